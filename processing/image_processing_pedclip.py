# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""From a radiograph to the model's pixels: resize, or fit and pad; grey to three channels; normalize."""

import os

import numpy as np
import torch
from PIL import Image
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import ImageInput, PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs, Unpack
from transformers.utils import auto_docstring

from ..configuration.hub_folder_pedclip import SelfContainedMixin


class PedCLIPImageProcessorKwargs(ImagesKwargs, total=False):
    r"""
    keep_aspect_ratio (`bool`, *optional*, defaults to `False`):
        Whether to fit the whole image into `size` and pad the rest with black, evenly on both sides. `False` stretches
        the image to `size`, as the ViT's own processor does.
    """

    keep_aspect_ratio: bool


@auto_docstring
class PedCLIPImageProcessor(SelfContainedMixin, PilBackend):
    valid_kwargs = PedCLIPImageProcessorKwargs
    resample = PILImageResampling.BICUBIC
    # those of google/vit-base-patch16-224, the tower the paper starts from
    image_mean = [0.5, 0.5, 0.5]
    image_std = [0.5, 0.5, 0.5]
    size = {"height": 224, "width": 224}
    do_resize = True
    do_rescale = True
    do_normalize = True
    do_convert_rgb = True
    keep_aspect_ratio = False
    model_input_names = ["pixel_values"]

    def __init__(self, **kwargs: Unpack[PedCLIPImageProcessorKwargs]):
        super().__init__(**kwargs)
        self.auto_map = {"AutoImageProcessor": "image_processing_pedclip.PedCLIPImageProcessor"}

    def fetch_images(self, image_url_or_urls):
        """Adds to transformers' paths, URLs and base64 text: `os.PathLike`, and grey arrays without a channel axis."""
        if isinstance(image_url_or_urls, list | tuple):
            return [self.fetch_images(image) for image in image_url_or_urls]
        if isinstance(image_url_or_urls, os.PathLike):
            image_url_or_urls = os.fspath(image_url_or_urls)
        if isinstance(image_url_or_urls, np.ndarray | torch.Tensor) and image_url_or_urls.ndim == 2:
            return image_url_or_urls[None]
        return super().fetch_images(image_url_or_urls)

    def convert_to_rgb(self, image: ImageInput, **kwargs) -> ImageInput:
        """As in transformers, and an array of one channel becomes three equal ones."""
        if isinstance(image, Image.Image) and image.mode.startswith(("I", "F")):
            # PIL would clip the values above 255 and make the picture white
            raise ValueError(f"the image has more than 8 bits (mode {image.mode}), not handled yet; scale it down")
        # a tensor comes here from transformers 5.20 alone, and has to stay one
        if isinstance(image, np.ndarray | torch.Tensor) and image.ndim == 3 and 1 in (image.shape[0], image.shape[-1]):
            channel_axis = 0 if image.shape[0] == 1 else 2
            if isinstance(image, torch.Tensor):
                return image.repeat_interleave(3, dim=channel_axis)
            return np.repeat(image, 3, axis=channel_axis)
        return super().convert_to_rgb(image, **kwargs)  # which channel is last: from transformers 5.21 on

    def resize(
        self, image: np.ndarray, size: SizeDict, resample=None, keep_aspect_ratio=False, **kwargs
    ) -> np.ndarray:
        """Stretches the image (C, H, W) to `size`, or fits it in and pads with black."""
        if not keep_aspect_ratio:
            return super().resize(image=image, size=size, resample=resample, **kwargs)
        if not (size.height and size.width):
            raise ValueError(f"keep_aspect_ratio=True needs size with 'height' and 'width', and got {dict(size)}")
        height, width = image.shape[-2:]
        scale = min(size.height / height, size.width / width)
        fitted = SizeDict(height=max(1, round(height * scale)), width=max(1, round(width * scale)))
        image = super().resize(image=image, size=fitted, resample=resample, **kwargs)
        missing_rows, missing_columns = size.height - fitted.height, size.width - fitted.width
        rows = (missing_rows // 2, missing_rows - missing_rows // 2)
        columns = (missing_columns // 2, missing_columns - missing_columns // 2)
        return np.pad(image, ((0, 0), rows, columns))

    def _preprocess(self, images: list[np.ndarray], do_resize: bool, size: SizeDict, resample, **kwargs):
        keep_aspect_ratio = kwargs.pop("keep_aspect_ratio", False)
        if do_resize:
            images = [
                self.resize(image=image, size=size, resample=resample, keep_aspect_ratio=keep_aspect_ratio)
                for image in images
            ]
        return super()._preprocess(images, do_resize=False, size=size, resample=resample, **kwargs)


__all__ = ["PedCLIPImageProcessor"]
