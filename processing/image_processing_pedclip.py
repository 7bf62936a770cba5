# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""From a radiograph in any form to the model's pixels: display range, size (stretched or padded), three channels."""

import numpy as np
import torch
from PIL import Image
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import ImageInput, PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs, Unpack
from transformers.utils import auto_docstring

from ..configuration.hub_folder_pedclip import SelfContainedMixin
from .reading_pedclip import as_image
from .resampling_pedclip import resize_deep


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
        """Any form of an image in its display range: path, web address, base64, bytes, DICOM, PIL, array, or lists."""
        return as_image(image_url_or_urls)

    def convert_to_rgb(self, image: ImageInput, **kwargs) -> ImageInput:
        """As in transformers, but that a grey image stays grey here and gets its three channels after the resizing."""
        if isinstance(image, np.ndarray | torch.Tensor) and image.ndim == 3 and 1 in (image.shape[0], image.shape[-1]):
            return image
        return super().convert_to_rgb(image, **kwargs)  # which channel is last: from transformers 5.21 on

    def resize(
        self, image: np.ndarray, size: SizeDict, resample=None, keep_aspect_ratio=False, **kwargs
    ) -> np.ndarray:
        """Stretches the image (C, H, W) to `size`, or fits it in and pads with black."""
        if not keep_aspect_ratio:
            return self._stretch(image, size, resample, **kwargs)
        if not (size.height and size.width):
            raise ValueError(f"keep_aspect_ratio=True needs size with 'height' and 'width', and got {dict(size)}")
        height, width = image.shape[-2:]
        scale = min(size.height / height, size.width / width)
        fitted = SizeDict(height=max(1, round(height * scale)), width=max(1, round(width * scale)))
        image = self._stretch(image, fitted, resample, **kwargs)
        missing_rows, missing_columns = size.height - fitted.height, size.width - fitted.width
        rows = (missing_rows // 2, missing_rows - missing_rows // 2)
        columns = (missing_columns // 2, missing_columns - missing_columns // 2)
        return np.pad(image, ((0, 0), rows, columns))

    def _stretch(self, image: np.ndarray, size: SizeDict, resample, **kwargs) -> np.ndarray:
        """8 bits as transformers does it; what has more keeps it, where transformers would go through 8 bits."""
        if image.dtype == np.uint8 or not (size.height and size.width):
            return super().resize(image=image, size=size, resample=resample, **kwargs)
        method = Image.Resampling(int(self.resample if resample is None else resample))
        channels = [np.ascontiguousarray(channel, dtype=np.float32) for channel in image]
        resized = np.stack([resize_deep(channel, size.height, size.width, method) for channel in channels])
        # bicubic overshoots at edges; the range is 0..255, or 0..1 where the caller's own array has that
        low, high = float(image.min()), float(image.max())
        return np.clip(resized, min(low, 0.0), max(high, 255.0 if high > 1 else 1.0))

    def _preprocess(self, images: list[np.ndarray], do_resize: bool, size: SizeDict, resample, **kwargs):
        keep_aspect_ratio = kwargs.pop("keep_aspect_ratio", False)
        if do_resize:
            images = [
                self.resize(image=image, size=size, resample=resample, keep_aspect_ratio=keep_aspect_ratio)
                for image in images
            ]
        if kwargs.get("do_convert_rgb"):
            images = [np.repeat(image, 3, axis=0) if image.shape[0] == 1 else image for image in images]
        return super()._preprocess(images, do_resize=False, size=size, resample=resample, **kwargs)


__all__ = ["PedCLIPImageProcessor"]
