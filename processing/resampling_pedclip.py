# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""Resizing of images with more than 8 bits: Pillow's filters as two products of matrices, in float32."""

# Shapes: H height, W width of the image; h, w of the result
from functools import lru_cache

import numpy as np
import torch
from PIL import Image

ROWS_AT_ONCE = 16  # of the result: their part of the image then stays in the processor's cache
SUPPORT = {Image.Resampling.BILINEAR: 1.0, Image.Resampling.BICUBIC: 2.0}


def resize_deep(image: np.ndarray, height: int, width: int, method: Image.Resampling) -> np.ndarray:
    """One channel (H, W) in float32, resized to (height, width) as Pillow resizes mode F, several times faster.

    Values are not clipped: a bicubic filter overshoots at edges. Methods other than bilinear and bicubic are Pillow's.
    """
    if method not in SUPPORT:
        return np.asarray(Image.fromarray(image).resize((width, height), method))
    columns = weights(image.shape[1], width, method)  # (w, W)
    rows = weights(image.shape[0], height, method)  # (h, H)
    pixels = torch.from_numpy(image)
    narrow = torch.empty(height, image.shape[1])
    for first in range(0, height, ROWS_AT_ONCE):
        part = rows[first : first + ROWS_AT_ONCE]
        used = part.any(dim=0).nonzero()
        top, bottom = int(used[0]), int(used[-1]) + 1
        torch.mm(part[:, top:bottom], pixels[top:bottom], out=narrow[first : first + ROWS_AT_ONCE])
    return (narrow @ columns.T).numpy()


@lru_cache(maxsize=256)
def weights(before: int, after: int, method: Image.Resampling) -> torch.Tensor:
    """How much each of `before` pixels gives to each of `after` (after, before): Pillow's coefficients."""
    scale = before / after
    stretch = max(scale, 1.0)  # a smaller image's filter is wider: antialiasing
    reach = SUPPORT[method] * stretch
    centre = (np.arange(after) + 0.5) * scale
    first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + reach + 0.5).astype(np.int64), before)
    pixel = np.arange(before)
    distance = np.abs((pixel - centre[:, None] + 0.5) / stretch)
    share = _bicubic(distance) if method == Image.Resampling.BICUBIC else np.maximum(1 - distance, 0)
    share[(pixel < first[:, None]) | (pixel >= last[:, None])] = 0
    return torch.from_numpy((share / share.sum(axis=1, keepdims=True)).astype(np.float32))


def _bicubic(distance: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution with a = -1/2."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0))
