"""One image as it is stored in a shard: its size, its depth, its code."""

# Shapes: H height, W width
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ...dicom_pedclip import Radiograph
from ...resampling_pedclip import resize_deep

FORMATS = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
LEAST_SIDE = 8


@dataclass(frozen=True)
class PictureSettings:
    """How images are stored."""

    side: int = 256  # of the shorter side; smaller images stay as they are
    format: str = "jpeg"
    quality: int = 92  # of JPEG and WebP
    keep_16_bit: bool = False  # what has more than 8 bits becomes a 16-bit PNG

    def __post_init__(self):
        if self.format not in FORMATS:
            raise ValueError(f"the image format is {self.format!r}; choose one of {', '.join(FORMATS)}")
        if not 16 <= self.side <= 4096:
            raise ValueError(f"the side is {self.side} pixels; choose 16 to 4096")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"the quality is {self.quality}; it goes from 1 to 100")


def encode(radiograph: Radiograph, settings: PictureSettings) -> tuple[bytes, str, np.ndarray]:
    """(bytes, file suffix, the stored image in 8 bits). Colour whose channels are equal is stored as grey."""
    pixels = radiograph.pixels
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    height, width = pixels.shape[:2]
    share = min(1.0, settings.side / min(height, width))
    resized = _resized(pixels, max(1, round(height * share)), max(1, round(width * share)))
    eight_bit = np.round(resized).astype(np.uint8)
    buffer = io.BytesIO()
    if settings.keep_16_bit and radiograph.bits > 8 and resized.ndim == 2:
        deep = np.round(resized.astype(np.float64) * 257).astype(np.uint16)
        Image.fromarray(deep).save(buffer, "PNG")
        return buffer.getvalue(), ".png", eight_bit
    how = {} if settings.format == "png" else {"quality": settings.quality}
    Image.fromarray(eight_bit).save(buffer, settings.format.upper(), **how)
    return buffer.getvalue(), FORMATS[settings.format], eight_bit


def _resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    if pixels.shape[:2] == (height, width):
        return pixels
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))
    channels = [pixels] if pixels.ndim == 2 else [pixels[..., number] for number in range(3)]
    method = Image.Resampling.BICUBIC
    made = [np.clip(resize_deep(np.ascontiguousarray(one), height, width, method), 0, 255) for one in channels]
    return made[0] if pixels.ndim == 2 else np.stack(made, axis=-1)
