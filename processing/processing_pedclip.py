# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""The processor: PedCLIP's image transform and a BERT tokenizer, saved and loaded as one. It reads volumes too."""

# Shapes: B studies, S slices of the longest study, C channels
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers.feature_extraction_utils import BatchFeature
from transformers.processing_utils import ProcessingKwargs, ProcessorMixin
from transformers.utils import auto_docstring

from ..configuration.hub_folder_pedclip import SelfContainedMixin
from .dicom_series_pedclip import refuse_loose_slices, series_in
from .image_processing_pedclip import PedCLIPImageProcessor
from .pipeline_pedclip import PedCLIPZeroShotImageClassificationPipeline  # so that it is saved again with the rest
from .volume_reading_pedclip import read_views, read_volume
from .volume_windows_pedclip import Volume, Window


class PedCLIPProcessorKwargs(ProcessingKwargs, total=False):
    # The paper pads its texts to at most 120 tokens; padding to the batch's longest gives the same embeddings. A
    # tokenizer whose own settings name a max_length goes by that: transformers' rule.
    _defaults = {"text_kwargs": {"padding": True, "truncation": True, "max_length": 120}}


class PedCLIPStudyFeature(BatchFeature):
    """What the processor gives for studies. In half precision places in mm would be rounded, so they keep theirs."""

    def to(self, *args, **kwargs) -> "PedCLIPStudyFeature":
        positions = self["slice_positions"]
        super().to(*args, **kwargs)
        self["slice_positions"] = positions.to(self["slice_positions"].device)
        return self


@auto_docstring
class PedCLIPProcessor(SelfContainedMixin, ProcessorMixin):
    valid_processor_kwargs = PedCLIPProcessorKwargs

    def __init__(self, image_processor=None, tokenizer=None, **kwargs):
        super().__init__(image_processor, tokenizer, **kwargs)
        self.auto_map = {
            "AutoProcessor": "processing_pedclip.PedCLIPProcessor",
            "AutoImageProcessor": "image_processing_pedclip.PedCLIPImageProcessor",
        }

    def __call__(
        self,
        images: Any = None,
        text: Any = None,
        *,
        volumes: Any = None,
        views: Any = None,
        window: Window = None,
        spacing: float | None = None,
        plane: str | None = None,
        allow_gaps: bool | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        r"""
        volumes:
            One study or a list of studies: a folder with a DICOM series, a list of its files, a DICOM file with
            frames, NIfTI, TIFF with pages, an array (slices, height, width), what `read_volume` or `read_views` gave,
            or a single image. Gives `pixel_values` (batch, slices, channels, height, width), `slice_positions` (batch,
            slices) in mm and `slice_mask` (batch, slices), padded to the longest study.
        views:
            The views of one study, a list of images, or a list of such lists: slices without an order.
        window, spacing, plane, allow_gaps:
            How volumes are read, as in `read_volume`.
        """
        if volumes is None:
            settings = {"window": window, "spacing": spacing, "plane": plane, "allow_gaps": allow_gaps}
            for name, value in settings.items():
                if value is not None:
                    raise ValueError(f"{name} is {value!r}, which is for volumes=..., and there is none")
        if volumes is None and views is None:
            return super().__call__(images=images, text=text, **kwargs)
        if sum(given is not None for given in (images, volumes, views)) > 1:
            raise ValueError(
                "images, volumes and views are three ways to say what is seen, and more than one was given; an image "
                "among volumes is a volume of one slice, and views are read_views([...])"
            )
        if volumes is None:
            several = isinstance(views, list | tuple) and all(isinstance(one, list | tuple) for one in views)
            studies = [read_views(one) for one in (views if several else [views])]
        else:
            sources = list(volumes) if isinstance(volumes, list | tuple) else [volumes]
            refuse_loose_slices(sources)
            studies = [self.read_volume(one, window, spacing, plane, bool(allow_gaps)) for one in sources]
        return self._of_studies(studies, text, kwargs)

    series_in = staticmethod(series_in)
    read_volume = staticmethod(read_volume)
    read_views = staticmethod(read_views)

    def _of_studies(self, studies: Sequence[Volume], text: Any, kwargs: dict[str, Any]) -> BatchFeature:
        """Each slice through the image processor by itself: beside the result, one slice in its full size is held."""
        tensors = kwargs.get("return_tensors", kwargs.get("common_kwargs", {}).get("return_tensors"))
        if tensors not in (None, "pt"):
            raise ValueError(f"return_tensors is {tensors!r}; volumes come as torch tensors, 'pt'")
        if not studies:
            raise ValueError("volumes is an empty list; pass at least one study")
        longest = max(map(len, studies))
        merged = self._merge_kwargs(self.valid_processor_kwargs, self.tokenizer.init_kwargs, **kwargs)
        settings = {**merged["images_kwargs"], "return_tensors": "pt"}
        pixel_values: torch.Tensor | None = None
        for row, study in enumerate(studies):
            for number in range(len(study)):
                prepared = self.image_processor(study[number], **settings).pixel_values[0]  # (C, H, W)
                if pixel_values is None:
                    pixel_values = prepared.new_zeros(len(studies), longest, *prepared.shape)
                if prepared.shape != pixel_values.shape[2:]:
                    raise ValueError(
                        f"slice {number} of study {row} comes out as {tuple(prepared.shape)} and the first one as "
                        f"{tuple(pixel_values.shape[2:])}; a batch has one size: leave do_resize on, or resize them "
                        "before"
                    )
                pixel_values[row, number] = prepared
        positions = torch.zeros(len(studies), longest)
        mask = torch.zeros(len(studies), longest, dtype=torch.bool)
        for row, study in enumerate(studies):
            positions[row, : len(study)] = torch.from_numpy(np.asarray(study.positions, np.float32))
            mask[row, : len(study)] = True
        encoded = {} if text is None else dict(super().__call__(text=text, **{**kwargs, "return_tensors": "pt"}))
        seen = {"pixel_values": pixel_values, "slice_positions": positions, "slice_mask": mask}
        return PedCLIPStudyFeature({**encoded, **seen})


__all__ = ["PedCLIPImageProcessor", "PedCLIPProcessor", "PedCLIPZeroShotImageClassificationPipeline"]
