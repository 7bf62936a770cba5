# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""DICOM series and multi-frame files as stacks of slices, in order of their place along the slices' normal."""

# Shapes: S slices, H height, W width
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .dicom_pedclip import (
    UnreadableImageError,
    first_number,
    guarded,
    is_dicom,
    look_up,
    meant_values,
    read_dataset,
    read_header,
    refuse_large,
    stored_values,
    stream_size,
)
from .reading_pedclip import DICOM_SUFFIXES, file_content
from .volume_windows_pedclip import ARBITRARY, HOUNSFIELD, Stack, refuse_many

try:
    import pydicom
    import pydicom.pixels
except ImportError:
    pydicom = None

TAGS = (
    *("SeriesInstanceUID", "SeriesNumber", "Modality", "NumberOfFrames", "Rows", "Columns"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PhotometricInterpretation", "FileSetID", "SOPClassUID"),
)
NO_IMAGE = (0, 0)
SAME_DIRECTION = 1e-3  # of a direction's cosines
SAME_PLACE = 0.01  # mm
FORWARD = (-1, 1, 1)  # a patient's x, y, z grow to the left, the back and the head; slices go to the right, back, head
GAP = 1.5  # of the usual distance: beyond it a slice is missing
SERIES = "pass the files of one series: series_in(folder) has them apart"


@dataclass(frozen=True)
class _Header:
    """What a series' order depends on, of one file."""

    name: str
    path: Path
    series: str
    number: str
    modality: str
    size: tuple[int, int]  # rows, columns; NO_IMAGE of a report
    place: Any  # (3,), mm, in the patient; None where the file does not say it
    directions: Any  # (2, 3): along a row, along a column; or None
    inverted: bool


def series_in(folder: str | os.PathLike) -> dict[str, list[Path]]:
    """The image files of each series in a folder, by SeriesInstanceUID, sorted by name; its sub-folders are not read.

    Raises FileNotFoundError where there is no such folder.
    """
    found: dict[str, list[Path]] = {}
    for header in _headers_in(Path(folder)):
        found.setdefault(header.series, []).append(header.path)
    return found


def read_series(source: str | os.PathLike | Sequence[str | os.PathLike], allow_gaps: bool = False) -> Stack:
    """A folder with one series, or the files of one, as a stack whose slices are read when they are asked for.

    Order and distances come from ImagePositionPatient along the slices' normal, not from names or numbers. Raises
    UnreadableImageError where the files are of several series, directions or sizes, where two lie at one place, and,
    unless `allow_gaps`, where slices are missing between others.
    """
    headers = _headers_in(Path(source)) if isinstance(source, str | os.PathLike) else _headers_of(source)
    refuse_many(len(headers))
    _refuse_mixed(headers)
    normal = _normal(headers[0].directions)
    along = np.array([float(normal @ header.place) for header in headers])
    order = np.argsort(along, kind="stable")
    headers, along = [headers[number] for number in order], along[order]
    _refuse_repeated([header.name for header in headers], along)
    if not allow_gaps:
        _refuse_gaps(along)
    paths, size = [header.path for header in headers], headers[0].size

    def values(number: int) -> np.ndarray:
        dataset = read_dataset(file_content(paths[number]))
        found = guarded(_slice_values, dataset, None)
        if found.shape != size:
            raise UnreadableImageError(f"{paths[number].name} changed while it was read")
        return found

    return Stack(values, along, _units(headers[0].modality), headers[0].inverted)


def read_dicom_stack(content: bytes, allow_gaps: bool = False) -> Stack | None:
    """One DICOM file as a stack: a single slice, or frames (enhanced CT and MR, tomosynthesis) by functional groups.

    None for an image that does not say where in the patient it lies: a radiograph.
    """
    return guarded(_stack_of, read_dataset(content), allow_gaps)


def refuse_loose_slices(paths: Sequence[str | os.PathLike]) -> None:
    """Refuses files of one DICOM series that are given as volumes of their own."""
    seen: dict[str, str] = {}
    for path in map(Path, paths):
        if path.is_file() and _looks_like_dicom(path):
            header = guarded(read_header, path, ["SeriesInstanceUID", "ImagePositionPatient"])
            series = str(guarded(header.get, "SeriesInstanceUID") or path)
            if "ImagePositionPatient" not in header:  # a radiograph
                continue
            if series in seen:
                raise ValueError(
                    f"{seen[series]} and {path.name} are of one series and were given as volumes of their own; pass a "
                    "series as one list among the volumes, volumes=[[first, second, ...]], or its folder"
                )
            seen[series] = path.name


def _stack_of(dataset: Any, allow_gaps: bool) -> Stack | None:
    if int(first_number(dataset.get("NumberOfFrames")) or 1) > 1:
        return _frames(dataset, allow_gaps)
    place, directions = _numbers(dataset, "ImagePositionPatient", 3), _numbers(dataset, "ImageOrientationPatient", 6)
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).strip().upper()
    if place is None or directions is None or not photometric.startswith("MONOCHROME"):
        return None
    along = np.array([float(_normal(directions.reshape(2, 3)) @ place)])
    modality = str(dataset.get("Modality", "")).strip().upper()
    return Stack(
        lambda number: guarded(_slice_values, dataset, None), along, _units(modality), photometric == "MONOCHROME1"
    )


def _frames(dataset: Any, allow_gaps: bool) -> Stack:
    frames = int(first_number(dataset.get("NumberOfFrames")) or 1)
    refuse_many(frames)
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if rows < 1 or columns < 1:
        raise UnreadableImageError(f"the DICOM file gives its frames {rows} rows and {columns} columns")
    refuse_large(columns, rows)
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).strip().upper()
    if not photometric.startswith("MONOCHROME"):
        raise UnreadableImageError(f"the frames are {photometric}; volumes are read in grey")
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    each = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if len(each) != frames:
        raise UnreadableImageError(
            f"the DICOM file has {frames} frames and no place for each of them, like a film; a volume's frames have "
            "one: pass a single frame, or an array"
        )

    def group(frame: int, sequence: str) -> Any:
        for holder in (each[frame], shared):
            found = None if holder is None else holder.get(sequence)
            if found:
                return found[0]
        return None

    places: list[Any] = []
    directions: list[Any] = []
    for frame in range(frames):
        position, orientation = group(frame, "PlanePositionSequence"), group(frame, "PlaneOrientationSequence")
        places.append(_numbers(position, "ImagePositionPatient", 3))
        directions.append(_numbers(orientation, "ImageOrientationPatient", 6))
        if places[-1] is None or directions[-1] is None:
            raise UnreadableImageError(f"frame {frame + 1} of {frames} has no place or no direction in the patient")
        if np.abs(directions[-1] - directions[0]).max() > SAME_DIRECTION:
            raise UnreadableImageError(f"frames 1 and {frame + 1} lie in different directions; pass a single frame")
    normal = _normal(directions[0].reshape(2, 3))
    along = np.array([float(normal @ place) for place in places])
    order = np.argsort(along, kind="stable")
    _refuse_repeated([f"frame {frame + 1}" for frame in order], along[order])
    if not allow_gaps:
        _refuse_gaps(along[order])

    def values(number: int) -> np.ndarray:
        frame = int(order[number])
        return guarded(_slice_values, dataset, frame, group(frame, "PixelValueTransformationSequence"))

    modality = str(dataset.get("Modality", "")).strip().upper()
    return Stack(values, along[order], _units(modality), photometric == "MONOCHROME1")


def _headers_in(folder: Path) -> list[_Header]:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    files = sorted(path for path in folder.iterdir() if path.is_file())
    found = [header for path in files if _looks_like_dicom(path) and (header := _header(path)) is not None]
    images = [header for header in found if header.size != NO_IMAGE]
    if not images:
        below = sum(path.is_dir() for path in folder.iterdir())
        hint = f"; its {below} folders are not looked into: pass one of them" if below else ""
        raise UnreadableImageError(f"none of the {len(files)} files of {folder.name} is a DICOM image{hint}")
    return images


def _headers_of(paths: Iterable[str | os.PathLike]) -> list[_Header]:
    headers = []
    for path in map(Path, paths):
        if not path.is_file():
            raise FileNotFoundError(f"there is no image file {path}")
        header = _header(path)
        if header is None or header.size == NO_IMAGE:
            raise UnreadableImageError(f"{path.name} is no DICOM image; a list of files is one DICOM series")
        headers.append(header)
    if not headers:
        raise ValueError("the list of files is empty; a series has at least one")
    return headers


def _looks_like_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return is_dicom(file.read(132)) or path.suffix.lower() in DICOM_SUFFIXES


def _header(path: Path) -> _Header | None:
    """None for the index of a disc."""
    return guarded(_header_of, path, read_header(path, TAGS))


def _header_of(path: Path, dataset: Any) -> _Header | None:
    if "FileSetID" in dataset:
        return None
    size = (int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0))
    if min(size) < 1:
        kind = pydicom.uid.UID(str(dataset.get("SOPClassUID", "")))
        if not kind.name or kind.name == kind or "Image Storage" in kind.name:
            raise UnreadableImageError(f"{path.name} is DICOM and has no image, and is no report either: cut short?")
    frames = int(first_number(dataset.get("NumberOfFrames")) or 1)
    if frames > 1:
        raise UnreadableImageError(f"{path.name} has {frames} frames by itself: pass that file, not a series")
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).strip().upper()
    if not photometric.startswith("MONOCHROME"):
        raise UnreadableImageError(f"{path.name} is {photometric}; the slices of a volume are read in grey")
    directions = _numbers(dataset, "ImageOrientationPatient", 6)
    return _Header(
        name=path.name,
        path=path,
        series=str(dataset.get("SeriesInstanceUID", "")),
        number=str(dataset.get("SeriesNumber", "") or "?"),
        modality=str(dataset.get("Modality", "")).strip().upper(),
        size=size if min(size) > 0 else NO_IMAGE,
        place=_numbers(dataset, "ImagePositionPatient", 3),
        directions=None if directions is None else directions.reshape(2, 3),
        inverted=photometric == "MONOCHROME1",
    )


def _refuse_mixed(headers: list[_Header]) -> None:
    counts: dict[tuple[str, str], int] = {}
    for header in headers:
        counts[header.series, header.number] = counts.get((header.series, header.number), 0) + 1
    if len({series for series, _ in counts}) > 1:
        parts = ", ".join(f"number {number} with {count} files" for (_, number), count in counts.items())
        raise UnreadableImageError(f"the files are of {len(counts)} series ({parts}); {SERIES}")
    first = headers[0]
    for header in headers:
        if header.place is None or header.directions is None:
            raise UnreadableImageError(
                f"{header.name} does not say where its slice lies (ImagePositionPatient, ImageOrientationPatient); "
                "if these are views and no slices, pass views=[...]"
            )
        if header.size != first.size:
            raise UnreadableImageError(
                f"{first.name} has {first.size[0]} x {first.size[1]} pixels and {header.name} {header.size[0]} x "
                f"{header.size[1]}; the slices of a volume are of one size"
            )
        if np.abs(header.directions - first.directions).max() > SAME_DIRECTION:
            raise UnreadableImageError(
                f"{first.name} and {header.name} lie in different directions, as in a localizer; pass files that are "
                "parallel, or all as views=[...]"
            )
        if header.modality != first.modality or header.inverted != first.inverted:
            raise UnreadableImageError(f"{first.name} and {header.name} differ in modality or in what is bright")


def _refuse_repeated(names: Sequence[str], along: np.ndarray) -> None:
    for number in np.flatnonzero(np.diff(along) < SAME_PLACE)[:1]:
        raise UnreadableImageError(
            f"{names[number]} and {names[number + 1]} lie at the same place ({along[number]:.2f} mm); several phases, "
            "echoes or copies are several volumes: pass the files of one"
        )


def _refuse_gaps(along: np.ndarray) -> None:
    steps = np.diff(along)
    if len(steps) < 2:
        return
    usual = float(np.median(steps))
    gaps = np.flatnonzero(steps > GAP * usual)
    if len(gaps):
        where = ", ".join(f"{along[gap]:.2f} and {along[gap + 1]:.2f} mm" for gap in gaps[:3])
        raise UnreadableImageError(
            f"slices are missing in {len(gaps)} places: none lies between {where}, and the others are {usual:.2f} mm "
            "apart; pass all of them, or allow_gaps=True"
        )


def _normal(directions: np.ndarray) -> np.ndarray:
    """The direction in which slices follow one another, whichever way round their images are stored."""
    normal = np.cross(directions[0], directions[1])
    length = float(np.linalg.norm(normal))
    if not 0.9 < length < 1.1:
        raise UnreadableImageError(f"ImageOrientationPatient is {directions.tolist()}: those are no two directions")
    main = int(np.abs(normal).argmax())
    return normal / length * (1 if normal[main] * FORWARD[main] > 0 else -1)


def _numbers(holder: Any, name: str, count: int) -> np.ndarray | None:
    """An element that holds so many finite numbers; None where it is absent or damaged."""
    value = None if holder is None else holder.get(name)
    try:
        numbers = np.array([float(one) for one in value or ()])
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None


def _units(modality: str) -> str:
    return HOUNSFIELD if modality == "CT" else ARBITRARY


def _slice_values(dataset: Any, frame: int | None, rescale: Any = None) -> np.ndarray:
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
