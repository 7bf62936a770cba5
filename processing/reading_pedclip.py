# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""Any radiograph as displayed pixels: files, bytes, PIL images and arrays of 8 bits or more, and DICOM.

The rule, whatever the depth: 8 bits are taken as they are. A DICOM file is shown through its own VOI LUT or window.
Where more than 8 bits come without either, as in PNG and TIFF, the display range is the image's own, from its 0.5th to
its 99.5th percentile (ours). Floating-point arrays are the caller's, and stay as they are.
"""

# Shapes: H height, W width, C channels
import base64
import binascii
import io
import os
import urllib.request
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from .dicom_pedclip import (
    MAX_BYTES,
    MAX_PIXELS,
    Radiograph,
    UnreadableImageError,
    count,
    display_range,
    is_dicom,
    look_up,
    read_dicom,
    refuse_large,
)

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "JPEG2000")  # the rest of Pillow's stay shut
DICOM_SUFFIXES = (".dcm", ".dicom")
URL_SECONDS = 30
WHITE_IS_ZERO = 0  # TIFF's PhotometricInterpretation (tag 262)


def read_radiograph(source: str | os.PathLike | bytes | Image.Image) -> Radiograph:
    """A file, its bytes, or an open PIL image, as displayed pixels.

    Raises FileNotFoundError where there is no such file, UnreadableImageError where it holds no image that can be
    read, and ImportError where a package for it is missing.
    """
    if isinstance(source, Image.Image):
        return _of_pil(source, keep=True)
    if isinstance(source, bytes | bytearray | memoryview):
        return _of_bytes(bytes(source), name="")
    return _of_bytes(file_content(source), name=os.fspath(source))


def file_content(path: str | os.PathLike, most: int | None = None) -> bytes:
    """The bytes of a file, if it is a file and has at most so many (`None`: a radiograph's)."""
    most = MAX_BYTES if most is None else most
    if not os.path.isfile(path):  # a folder, a pipe and a device are none
        raise FileNotFoundError(f"there is no image file {os.fspath(path)}")
    size = os.path.getsize(path)
    if size > most:
        raise UnreadableImageError(f"the file has {size} bytes; at most {most} are read")
    with open(path, "rb") as file:
        return file.read(most + 1)


def content_of_text(text: str) -> bytes:
    """The bytes that a text stands for, as in transformers: a web address, a path, or the image itself in base64."""
    if text.startswith(("http://", "https://")):
        with urllib.request.urlopen(text, timeout=URL_SECONDS) as answer:  # follows no redirect to a file
            content = answer.read(MAX_BYTES + 1)
    elif os.path.isfile(text):
        content = file_content(text)
    else:
        start, comma, after = text.partition(",")
        encoded = after if comma and start.startswith("data:") else text
        try:
            content = base64.b64decode("".join(encoded.split()), validate=True)
        except (binascii.Error, ValueError):
            content = b""
        if not content:
            shown = text if len(text) <= 200 else f"{text[:60]}... ({len(text)} characters)"
            raise FileNotFoundError(f"{shown} is no file, no address (http, https), and no image in base64")
    if len(content) > MAX_BYTES:
        raise UnreadableImageError(f"the image has more than {MAX_BYTES} bytes; no more are read")
    return content


def channels_first(radiograph: Radiograph) -> np.ndarray:
    """(C, H, W), with one channel for a grey image."""
    pixels = radiograph.pixels
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def displayed(array: np.ndarray | torch.Tensor) -> np.ndarray | torch.Tensor:
    """An array of any depth in its display range, in the same shape; 8 bits and floating point stay as they are."""
    if isinstance(array, torch.Tensor):
        if array.dtype == torch.uint8 or array.is_floating_point():
            return array
        return torch.from_numpy(_displayed(array.cpu().numpy()))
    return _displayed(array)


def _displayed(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint8 or array.dtype.kind not in "iu":
        return array
    if array.size == 0:
        raise UnreadableImageError(f"the image is empty: its shape is {array.shape}")
    low, high = int(array.min()), int(array.max())
    if array.dtype.itemsize > 2 and low >= 0 and high <= 255:
        return array.astype(np.uint8)  # numpy's and torch's integers are that wide whatever they hold
    return _windowed(array)


def _of_bytes(content: bytes, name: str) -> Radiograph:
    if not content:
        raise UnreadableImageError("the file is empty")
    if is_dicom(content[:132]):
        return read_dicom(content)
    if len(content) > MAX_BYTES:
        raise UnreadableImageError(f"the image has {len(content)} bytes; at most {MAX_BYTES} are read")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return _of_pil(image, keep=False)
    except UnidentifiedImageError as error:
        # DICOM without a preamble begins with an element of group 2 or 8
        if name.lower().endswith(DICOM_SUFFIXES) or content[:2] in (b"\x02\x00", b"\x08\x00"):
            return read_dicom(content)
        raise UnreadableImageError("the file is no image that is read: DICOM, " + ", ".join(FORMATS)) from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"the image is too large; at most {MAX_PIXELS} pixels are read") from error
    except (UnreadableImageError, ImportError):
        raise
    except MemoryError as error:
        raise UnreadableImageError("the image takes more memory than there is") from error
    except Exception as error:  # Pillow's decoders raise many kinds on broken files; all mean the same here
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UnreadableImageError(f"the image is broken: {said}") from error


def _of_pil(image: Image.Image, keep: bool) -> Radiograph:
    """`keep`: the image is the caller's, who may still want its frames."""
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # a phone adds a small second picture
    if frames > 1:
        raise UnreadableImageError(
            f"the image has {frames} frames or pages; a radiograph has one: pass a single one, or volumes=... with "
            "the path or the bytes of a TIFF"
        )
    refuse_large(*image.size)
    if 0 in image.size:
        raise UnreadableImageError(f"the image is empty: {image.width} x {image.height} pixels")
    inverted = image.format == "TIFF" and image.mode.startswith("I;16") and _white_is_zero(image)
    image = ImageOps.exif_transpose(image) if keep else _upright(image)
    if image.mode.startswith(("I", "F")):
        deep = np.asarray(image)
        shown = _windowed(deep) if deep.dtype.kind == "f" else _displayed(deep)
        bits = 8 if shown.dtype == np.uint8 else 32 if deep.dtype.itemsize > 2 else 16
        pixels = 255 - shown if inverted else shown
        return Radiograph(pixels, bits, "8 bits" if bits == 8 else "percentiles")
    grey = image.mode in ("1", "L")
    return Radiograph(np.asarray(image.convert("L" if grey else "RGB")), 8, "8 bits")


def _upright(image: Image.Image) -> Image.Image:
    ImageOps.exif_transpose(image, in_place=True)
    return image


def _white_is_zero(image: Image.Image) -> bool:
    return image.tag_v2.get(262) == WHITE_IS_ZERO  # type: ignore[attr-defined]


def _windowed(array: np.ndarray) -> np.ndarray:
    """Between its own percentiles, 0..255 in float32."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UnreadableImageError("the image holds values that are not finite")
    if array.dtype.itemsize == 2:
        kind, unsigned = array.dtype.kind, np.ascontiguousarray(array).astype(array.dtype.newbyteorder("=")).view("u2")
        table = np.arange(2**16, dtype=np.uint16).view("i2" if kind == "i" else "u2").astype(np.float64)
        low, high = display_range(table, count(unsigned, 2**16))
        return look_up(_scaled(table, low, high).astype(np.float32), unsigned)
    values, counts = np.unique(array, return_counts=True)
    low, high = display_range(values.astype(np.float64), counts)
    return _scaled(array.astype(np.float64), low, high).astype(np.float32)


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values - low) / (high - low), 0, 1) * 255 if high > low else np.zeros_like(values)


def as_image(value: Any) -> Any:
    """What an image processor can go on with: arrays (C, H, W) in their display range, batches of them, or lists."""
    if isinstance(value, list | tuple):
        return [as_image(one) for one in value]
    if isinstance(value, str):
        name = value if os.path.isfile(value) else ""
        return channels_first(_of_bytes(content_of_text(value), name=name))
    if isinstance(value, os.PathLike | bytes | bytearray | memoryview | Image.Image):
        return channels_first(read_radiograph(value))  # type: ignore[arg-type]
    if not isinstance(value, np.ndarray | torch.Tensor):
        raise TypeError(
            f"a {type(value).__name__} is no image; pass a path, bytes, a PIL image, a numpy array or a torch tensor"
        )
    if value.ndim not in (2, 3, 4):
        raise ValueError(f"an image has 2 or 3 axes and a batch 4; this array has the shape {tuple(value.shape)}")
    if value.ndim == 3 and not {1, 3, 4} & {value.shape[0], value.shape[-1]}:
        raise ValueError(f"image is 3-D {tuple(value.shape)}; pass volumes=... to the processor, or slice after slice")
    if 0 in value.shape:
        raise UnreadableImageError(f"the image is empty: its shape is {tuple(value.shape)}")
    if value.ndim == 4:
        return [as_image(one) for one in value]
    return displayed(value[None] if value.ndim == 2 else value)
