# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""A study of several images from whatever holds it: DICOM series, NIfTI, TIFF with pages, arrays, views of an X-ray.

Slices come in ascending order of their place: towards the patient's head, back or right. DICOM's lie as they are
stored, NIfTI's as DICOM's usually do, the patient's right on the image's left. nibabel is optional: only who reads
NIfTI needs it.
"""

# Shapes: S slices, C channels, H height, W width
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageSequence

from .dicom_frames_pedclip import read_dicom_stack
from .dicom_pedclip import UnreadableImageError, refuse_large, said
from .dicom_series_pedclip import read_series
from .dicom_slices_pedclip import looks_like_dicom
from .reading_pedclip import WHITE_IS_ZERO, as_image, file_content
from .volume_windows_pedclip import (
    MAX_VOLUME_BYTES,
    SHOWN,
    UNKNOWN,
    Stack,
    Volume,
    Window,
    check_window,
    refuse_many,
    show,
)

try:
    import nibabel
except ImportError:
    nibabel = None  # type: ignore[assignment]

NIFTI_SUFFIXES = (".nii", ".nii.gz")
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MILLIMETRES = {"meter": 1000.0, "micron": 0.001}  # what NIfTI's units are; unless it names one of these, mm
# Of a volume whose axes run to the patient's right, front and head, for each plane: the axis along which slices follow
# one another, whether they do so backwards (towards the back, as in DICOM), and the axes of rows and columns
PLANES = {"axial": (2, False, 1, 0), "coronal": (1, True, 2, 0), "sagittal": (0, False, 2, 1)}


def read_volume(
    source: Any,
    window: Window = None,
    spacing: float | None = None,
    plane: str | None = None,
    allow_gaps: bool = False,
) -> Volume:
    """A study of several images as it is displayed, a slice at a time.

    Args:
        source: a folder with one DICOM series; a list of its files; a DICOM file with several frames; a NIfTI file; a
            TIFF file with pages; an array (S, H, W); or a single image in any form, which is a volume of one slice.
        window: "lung", "bone" or "soft_tissue" (Hounsfield units), "percentiles" of the whole volume, or (centre,
            width). `None`: for CT in DICOM soft tissue; for what has more than 8 bits percentiles; 8 bits and
            floating-point arrays, 0..255, stay as they are.
        spacing: mm from slice to slice, for TIFF and arrays, which do not say it. `None`: 1 mm.
        plane: for NIfTI, "axial", "coronal" or "sagittal". `None`: the plane in which it was taken, that whose slices
            are furthest apart.
        allow_gaps: whether a DICOM series may miss slices between others.

    Raises FileNotFoundError where there is no such file or folder, UnreadableImageError for what is broken, too large
    or no one volume, ImportError where a package is missing, and ValueError for arguments that do not fit the source.
    """
    check_window(window)
    if isinstance(source, Volume):
        given = {"window": window, "spacing": spacing, "plane": plane}
        for name, value in given.items():
            if value is not None:
                raise ValueError(f"{name} was given, but the volume is read already: give it to read_volume")
        return source
    stack = None
    if isinstance(source, list | tuple) and not all(isinstance(one, str | os.PathLike) for one in source):
        raise ValueError(
            "a list is one DICOM series, file by file; arrays and images are volumes each, views=[...] one"
        )
    if isinstance(source, list | tuple) or (isinstance(source, str | os.PathLike) and os.path.isdir(source)):
        stack = read_series(source, allow_gaps)
    elif isinstance(source, np.ndarray | torch.Tensor):
        stack = None if source.ndim == 2 else _array(source, spacing or 1.0)
    elif isinstance(source, str | os.PathLike) and os.fspath(source).lower().endswith(NIFTI_SUFFIXES):
        stack = _nifti(Path(source), plane)
    elif isinstance(source, os.PathLike) or (isinstance(source, str) and os.path.isfile(source)):
        stack = _content(file_content(source, MAX_VOLUME_BYTES), os.fspath(source), spacing or 1.0, allow_gaps)
    elif isinstance(source, bytes):
        stack = _content(source, "", spacing or 1.0, allow_gaps)
    _refuse_unread(source, stack, spacing, plane)
    if stack is None:
        if window is not None:
            raise ValueError(f"window is {window!r}, and the study is a single image, which has its own")
        return read_views([source])
    return show(stack, window)


def read_views(images: Sequence[Any]) -> Volume:
    """The views of a study (frontal and lateral, say) as slices without an order: all lie at 0 mm.

    Each is whatever the processor reads as an image, in its own size and its own display range.
    """
    if not isinstance(images, list | tuple) or not images:
        raise ValueError(f"views is a {type(images).__name__}; a study is a list of at least one image")
    refuse_many(len(images))

    def shown(number: int) -> np.ndarray:
        image = as_image(images[number])
        image = image.cpu().numpy() if isinstance(image, torch.Tensor) else image
        if not isinstance(image, np.ndarray) or image.ndim != 3:
            raise ValueError(f"view {number} is not one image but several; a study's views are a flat list")
        if image.shape[-1] in (1, 3) and image.shape[0] not in (1, 3):
            image = np.moveaxis(image, -1, 0)
        return image

    return Volume(shown, np.zeros(len(images)), "each view's own")


def _refuse_unread(source: Any, stack: Stack | None, spacing: float | None, plane: str | None) -> None:
    """Settings that would silently do nothing."""
    nifti = isinstance(source, str | os.PathLike) and os.fspath(source).lower().endswith(NIFTI_SUFFIXES)
    if plane is not None and not nifti:
        raise ValueError(f"plane is {plane!r}, and only NIfTI is cut in planes; other volumes have their slices")
    if spacing is None:
        return
    if not 0 < spacing < 1000:
        raise ValueError(f"spacing is {spacing}; it is the distance from slice to slice in mm, above 0")
    if nifti or stack is None or stack.units not in (SHOWN, UNKNOWN):
        raise ValueError(f"spacing is {spacing}, but the file says itself where its slices lie; leave it out")


def _array(array: np.ndarray | torch.Tensor, spacing: float) -> Stack:
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu()
        array = array.float() if array.dtype == torch.bfloat16 else array  # which numpy does not know
    values = np.asarray(array)
    if values.ndim != 3 or 0 in values.shape:
        raise ValueError(
            f"the array has the shape {values.shape}; a volume is (slices, height, width), and several are a list"
        )
    if values.shape[-1] in (3, 4):
        raise ValueError(
            f"the array has the shape {values.shape}, like an image in colour; a volume is (slices, height, width): "
            "pass an image as images=..., or as one of views=[...]"
        )
    slices, height, width = values.shape
    refuse_many(slices)
    refuse_large(width, height)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"the array holds {values.dtype}; pixels are numbers")
    if values.dtype == np.bool_:
        values = values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind in "iu" and values.dtype.itemsize > 2 and values.min() >= 0 and values.max() <= 255:
        values = values.astype(
            np.uint8
        )  # as for images: numpy's and torch's integers are that wide whatever they hold
    as_given = values.dtype == np.uint8 or values.dtype.kind == "f"

    def one(number: int) -> np.ndarray:
        found = values[number]
        _refuse_infinite(found, number)
        return found if found.dtype == np.uint8 else found.astype(np.float32)

    return Stack(one, np.arange(slices) * spacing, SHOWN if as_given else UNKNOWN)


def _refuse_infinite(values: np.ndarray, number: int, pads: bool = False) -> None:
    """`pads`: whether NaN says that there is nothing, as in NIfTI."""
    if values.dtype.kind == "f" and not (np.isfinite(values) | (pads & np.isnan(values))).all():
        raise UnreadableImageError(f"slice {number} holds values that are not finite; put numbers in their place")


def _content(content: bytes, name: str, spacing: float, allow_gaps: bool) -> Stack | None:
    """A file with frames, pages or a slice that has a place; None for another single image."""
    if looks_like_dicom(content[:132], name):
        return read_dicom_stack(content, allow_gaps)
    return _pages(content, spacing) if content[:4] in TIFF_STARTS else None


def _pages(content: bytes, spacing: float) -> Stack | None:
    """The pages of a TIFF file, each decoded when it is asked for."""
    try:
        with Image.open(io.BytesIO(content), formats=("TIFF",)) as image:
            pages, size, mode = image.n_frames, image.size, image.mode  # type: ignore[attr-defined]
            if pages == 1:
                return None
            refuse_many(pages)
            refuse_large(*size)
            inverted = image.tag_v2.get(262) == WHITE_IS_ZERO  # type: ignore[attr-defined]
            for number, page in enumerate(ImageSequence.Iterator(image)):
                if (page.size, page.mode) != (size, mode):
                    raise UnreadableImageError(
                        f"page 1 is {size} in mode {mode} and page {number + 1} {page.size} in {page.mode}; the "
                        "slices of a volume are of one size and depth"
                    )
    except UnreadableImageError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds on broken files
        raise UnreadableImageError(f"the TIFF file is broken: {said(error)}") from error
    deep = mode.startswith(("I", "F"))

    def one(number: int) -> np.ndarray:
        try:
            with Image.open(io.BytesIO(content), formats=("TIFF",)) as image:
                image.seek(number)
                if deep:
                    values = np.asarray(image).astype(np.float32)
                    _refuse_infinite(values, number)
                    return values
                pixels = np.asarray(image.convert("L" if mode in ("1", "L") else "RGB"))
        except UnreadableImageError:
            raise
        except Exception as error:
            raise UnreadableImageError(f"page {number + 1} of the TIFF file is broken: {said(error)}") from error
        return pixels if pixels.ndim == 2 else np.ascontiguousarray(np.moveaxis(pixels, -1, 0))

    return Stack(one, np.arange(pages) * spacing, UNKNOWN if deep else SHOWN, deep and inverted)


def _nifti(path: Path, plane: str | None) -> Stack:
    if plane is not None and plane not in PLANES:
        raise ValueError(f"plane is {plane!r}; it is one of {', '.join(PLANES)}")
    if nibabel is None:
        raise ImportError(
            'this is a NIfTI file, which nibabel reads, and that is not installed: pip install "nibabel>=5"'
        )
    if not path.is_file():
        raise FileNotFoundError(f"there is no image file {path}")
    try:
        return _nifti_stack(nibabel.load(path), plane)
    except (UnreadableImageError, ImportError):
        raise
    except MemoryError as error:
        raise UnreadableImageError("the NIfTI file takes more memory than there is") from error
    except Exception as error:  # nibabel raises many kinds on broken files
        raise UnreadableImageError(f"the NIfTI file is broken: {said(error)}") from error


def _nifti_stack(image: Any, plane: str | None) -> Stack:
    shape = image.shape[:3] + tuple(length for length in image.shape[3:] if length != 1)
    if len(shape) != 3 or 0 in shape:
        raise UnreadableImageError(
            f"the NIfTI file has the shape {image.shape}; one volume has 3 axes: pass one of several as an array"
        )
    # before anything is unpacked: a small file can claim a large volume
    needed = math.prod(shape) * image.get_data_dtype().itemsize
    if needed > MAX_VOLUME_BYTES:
        raise UnreadableImageError(f"the NIfTI file has {shape} voxels; at most {MAX_VOLUME_BYTES} bytes are read")
    if image.get_data_dtype().kind not in "iuf":
        raise UnreadableImageError(f"the NIfTI file holds {image.get_data_dtype()}; volumes are read in grey")
    stored = np.asarray(image.dataobj.get_unscaled()).reshape(shape)  # in the file's own depth
    slope, inter = float(image.dataobj.slope), float(image.dataobj.inter)
    towards = nibabel.orientations.io_orientation(image.affine)
    axes = np.asarray(image.affine[:3, :3]) * MILLIMETRES.get(image.header.get_xyzt_units()[0], 1.0)
    if np.isnan(towards).any() or not abs(np.linalg.det(axes)) > 0:
        raise UnreadableImageError("the NIfTI file's affine does not say where its axes lie in the patient")
    stored = nibabel.orientations.apply_orientation(stored, towards)  # left to right, back to front, foot to head
    distances = np.empty(3)  # mm between the planes that an axis crosses, of a sheared affine too
    distances[towards[:, 0].astype(int)] = 1 / np.linalg.norm(np.linalg.inv(axes), axis=1)
    if plane is None:
        plane = max(PLANES, key=lambda name: distances[PLANES[name][0]])  # the first, axial, where all are alike
    along, backwards, down, across = PLANES[plane]
    slices = stored.shape[along]
    refuse_many(slices)
    # (S, H, W): rows from head to foot or from front to back, columns from the patient's right or from the front
    ordered = stored.transpose(along, down, across)[:: -1 if backwards else 1, ::-1, ::-1]
    refuse_large(ordered.shape[2], ordered.shape[1])

    def one(number: int) -> np.ndarray:
        values = ordered[number].astype(np.float32) * np.float32(slope) + np.float32(inter)
        _refuse_infinite(values, number, pads=True)
        return values

    return Stack(one, np.arange(slices) * float(distances[along]), UNKNOWN)
