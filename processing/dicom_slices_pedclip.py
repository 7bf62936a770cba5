# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""One slice of a DICOM volume, of a series and of a file with frames alike: its place and its values."""

# Shapes: S slices, H height, W width
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from .dicom_pedclip import (
    UnreadableImageError,
    first_number,
    is_dicom,
    look_up,
    meant_values,
    refuse_large,
    stored_values,
    stream_size,
)
from .reading_pedclip import DICOM_SUFFIXES
from .volume_windows_pedclip import ARBITRARY, HOUNSFIELD, usual_step

try:
    import pydicom
    import pydicom.pixels
except ImportError:
    pydicom = None

SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")  # with which a file begins that has no preamble
SAME_PLACE = 0.01  # mm
FORWARD = (-1, 1, 1)  # a patient's x, y, z grow to the left, the back and the head; slices go to the right, back, head
GAP = 1.5  # of the usual distance: beyond it a slice is missing
BESIDE = 2.0  # mm, ours: a slice further off the others' line is of another stack
STEEPEST = 1.0  # mm aside for each mm ahead, ours: no gantry leans by 45 degrees


def looks_like_dicom(start: bytes, name: str) -> bool:
    """Whether a file that starts like this is DICOM, by its preamble, its name or its first element."""
    return is_dicom(start) or name.lower().endswith(DICOM_SUFFIXES) or start[:2] in FIRST_GROUPS


def group_of(dataset: Any, frame: int, sequence: str) -> Any:
    """What the functional groups (enhanced CT and MR, tomosynthesis) say of a frame; None where they say nothing."""
    each, shared = dataset.get(PER_FRAME) or [], dataset.get(SHARED) or []
    for holder in (*each[frame : frame + 1], *shared[:1]):
        found = holder.get(sequence)
        if found:
            return found[0]
    return None


def place_of(dataset: Any, frame: int | None = None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Where a slice lies, (3,) in mm, and its directions along a row and along a column (2, 3); None where unknown.

    Of a file with one image (`frame` None) its own elements go before its functional groups.
    """
    number = frame or 0
    place = _numbers(group_of(dataset, number, "PlanePositionSequence"), "ImagePositionPatient", 3)
    directions = _numbers(group_of(dataset, number, "PlaneOrientationSequence"), "ImageOrientationPatient", 6)
    if frame is None:
        own_place = _numbers(dataset, "ImagePositionPatient", 3)
        own_directions = _numbers(dataset, "ImageOrientationPatient", 6)
        place = place if own_place is None else own_place
        directions = directions if own_directions is None else own_directions
    return place, None if directions is None else directions.reshape(2, 3)


def pixel_spacing_of(dataset: Any) -> np.ndarray | None:
    """mm from row to row and from column to column (2,); None where it is not said."""
    own = _numbers(dataset, "PixelSpacing", 2)
    return _numbers(group_of(dataset, 0, "PixelMeasuresSequence"), "PixelSpacing", 2) if own is None else own


def normal_of(directions: np.ndarray) -> np.ndarray:
    """The direction in which slices follow one another, whichever way round their images are stored."""
    normal = np.cross(directions[0], directions[1])
    length = float(np.linalg.norm(normal))
    if not 0.9 < length < 1.1:
        raise UnreadableImageError(f"ImageOrientationPatient is {directions.tolist()}: those are no two directions")
    main = int(np.abs(normal).argmax())
    return normal / length * (1 if normal[main] * FORWARD[main] > 0 else -1)


def in_order(names: Sequence[str], places: np.ndarray, normal: np.ndarray, allow_gaps: bool) -> tuple[Any, Any]:
    """The order of slices (S,) and their places along the normal (S,), in that order, from `places` (S, 3) in mm.

    Raises UnreadableImageError where two lie at one place, one lies beside the others or, unless `allow_gaps`, slices
    are missing between others.
    """
    along = places @ normal
    order = np.argsort(along, kind="stable")
    along, places, names = along[order], places[order], [names[number] for number in order]
    _refuse_repeated(names, along)
    _refuse_beside(names, along, places - along[:, None] * normal)
    if not allow_gaps:
        _refuse_gaps(along)
    return order, along


def _refuse_repeated(names: Sequence[str], along: np.ndarray) -> None:
    for number in np.flatnonzero(np.diff(along) < SAME_PLACE)[:1]:
        raise UnreadableImageError(
            f"{names[number]} and {names[number + 1]} lie at the same place ({along[number]:.2f} mm); several phases, "
            "echoes or copies are several volumes: pass the files of one"
        )


def _refuse_beside(names: Sequence[str], along: np.ndarray, aside: np.ndarray) -> None:
    """`aside` (S, 3) is where slices lie across their normal. A leaning gantry moves each by the same."""
    if len(along) < 2:
        return
    slope = np.median(np.diff(aside, axis=0) / np.diff(along)[:, None], axis=0)
    if np.linalg.norm(slope) > STEEPEST:
        slope = np.zeros(3)
    off = aside - slope * (along - along[0])[:, None]
    off = np.linalg.norm(off - np.median(off, axis=0), axis=1)
    if off.max() > BESIDE:
        raise UnreadableImageError(
            f"{names[int(off.argmax())]} lies {off.max():.1f} mm beside the line of the other slices, as of another "
            "stack; pass the files of one stack"
        )


def _refuse_gaps(along: np.ndarray) -> None:
    steps = np.diff(along)
    if len(steps) < 2:
        return
    usual = usual_step(steps)
    gaps = np.flatnonzero(steps > GAP * usual)
    if len(gaps):
        where = ", ".join(f"{along[gap]:.2f} and {along[gap + 1]:.2f} mm" for gap in gaps[:3])
        raise UnreadableImageError(
            f"slices are missing in {len(gaps)} places: none lies between {where}, and the others are {usual:.2f} mm "
            "apart; pass all of them, or allow_gaps=True"
        )


def _numbers(holder: Any, name: str, count: int) -> np.ndarray | None:
    """An element that holds so many finite numbers; None where it is absent or damaged."""
    value = None if holder is None else holder.get(name)
    try:
        numbers = np.array([float(one) for one in value or ()])
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None


def photometric_of(dataset: Any) -> str:
    return str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).strip().upper()


def units_of(dataset: Any) -> str:
    return HOUNSFIELD if modality_of(dataset) == "CT" else ARBITRARY


def modality_of(dataset: Any) -> str:
    return str(dataset.get("Modality", "")).strip().upper()


# ---- values


def slice_values(dataset: Any, frame: int | None = None) -> np.ndarray:
    """(H, W) in the units of the rescale (Hounsfield for CT), float32, NaN where the file says that it only pads."""
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    refuse_large(columns, rows)
    if "PixelData" not in dataset:
        raise UnreadableImageError("the DICOM file has no image: a report, a presentation state, or cut short")
    if frame is None:
        stored = stored_values(dataset, rows, columns)
    else:
        _refuse_other_frame_size(dataset, frame, rows, columns)
        stored = np.ascontiguousarray(pydicom.pixels.pixel_array(dataset, index=frame, raw=False))
    bits = int(dataset.get("BitsStored") or stored.dtype.itemsize * 8)
    rescale = group_of(dataset, frame or 0, "PixelValueTransformationSequence")
    holder = dataset if rescale is None else rescale
    if stored.dtype.itemsize > 2:
        values = pydicom.pixels.apply_modality_lut(stored.astype(np.int64), holder).astype(np.float32)
        values[_padding(dataset, stored)] = np.nan
        return values
    # as for single images: worked out once for each possible stored value
    patterns = np.arange(256**stored.dtype.itemsize, dtype=f"u{stored.dtype.itemsize}")
    meant = meant_values(patterns, bits, signed=stored.dtype.kind == "i")
    table = pydicom.pixels.apply_modality_lut(meant.astype(np.int64), holder).astype(np.float32)
    table[_padding(dataset, meant)] = np.nan
    return look_up(table, stored.view(patterns.dtype))


def _padding(dataset: Any, values: np.ndarray) -> np.ndarray:
    padding = first_number(dataset.get("PixelPaddingValue"))
    if padding is None:
        return np.zeros(values.shape, bool)
    other = first_number(dataset.get("PixelPaddingRangeLimit"))
    low, high = sorted((padding, padding if other is None else other))
    return (values >= low) & (values <= high)


def _refuse_other_frame_size(dataset: Any, frame: int, rows: int, columns: int) -> None:
    """As for single images: a decoder makes room for what a compressed stream says."""
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    frames = int(first_number(dataset.get("NumberOfFrames")) or 1)
    stream = pydicom.encaps.get_frame(dataset.PixelData, frame, number_of_frames=frames)
    size = stream_size(io.BytesIO(stream))
    if size is not None and size != (columns, rows):
        raise UnreadableImageError(
            f"the DICOM file says {columns} x {rows} pixels and its stream {size[0]} x {size[1]}"
        )
