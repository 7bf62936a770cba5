# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""DICOM series and multi-frame files as stacks of slices, in order of their place along the slices' normal."""

# Shapes: S slices, H height, W width
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .dicom_pedclip import UnreadableImageError, first_number, guarded, read_dataset, read_header
from .dicom_slices_pedclip import (
    PER_FRAME,
    SHARED,
    in_order,
    looks_like_dicom,
    modality_of,
    normal_of,
    photometric_of,
    pixel_spacing_of,
    place_of,
    slice_values,
    units_of,
)
from .reading_pedclip import file_content
from .volume_windows_pedclip import Stack, refuse_many

try:
    import pydicom
except ImportError:
    pydicom = None

TAGS = (
    *("SeriesInstanceUID", "SeriesNumber", "Modality", "NumberOfFrames", "Rows", "Columns", "PixelSpacing"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PhotometricInterpretation", "FileSetID", "SOPClassUID"),
    *("PatientID", "FrameOfReferenceUID", SHARED, PER_FRAME),
)
NO_IMAGE = (0, 0)
SAME_DIRECTION = 1e-3  # of a direction's cosines
SAME_SPACING = 0.01  # of a pixel's edge
SERIES = "pass the files of one series: processor.series_in(folder) has them apart"


@dataclass(frozen=True)
class _Header:
    """What a series' order depends on, of one file."""

    name: str
    path: Path
    series: str
    number: str
    modality: str
    units: str
    size: tuple[int, int]  # rows, columns; NO_IMAGE of a report
    place: Any  # (3,), mm, in the patient; None where the file does not say it
    directions: Any  # (2, 3): along a row, along a column; or None
    pixel_spacing: Any  # (2,), mm; or None
    patient: str
    frame_of_reference: str
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
    UnreadableImageError where the files are of several series, patients, directions or sizes, where two lie at one
    place or one beside the others, and, unless `allow_gaps`, where slices are missing between others.
    """
    headers = _headers_in(Path(source)) if isinstance(source, str | os.PathLike) else _headers_of(source)
    refuse_many(len(headers))
    _refuse_mixed(headers)
    places = np.array([header.place for header in headers])
    names = [header.name for header in headers]
    order, along = in_order(names, places, normal_of(headers[0].directions), allow_gaps)
    headers = [headers[number] for number in order]
    paths, size = [header.path for header in headers], headers[0].size

    def values(number: int) -> np.ndarray:
        dataset = read_dataset(file_content(paths[number]))
        found = guarded(slice_values, dataset)
        if found.shape != size:
            raise UnreadableImageError(f"{paths[number].name} changed while it was read")
        return found

    return Stack(values, along, headers[0].units, headers[0].inverted)


def refuse_loose_slices(studies: Iterable[Any]) -> None:
    """Refuses files of one DICOM series that are given as studies of their own; what is no file is not looked at."""
    seen: dict[str, str] = {}
    for path in (Path(study) for study in studies if isinstance(study, str | os.PathLike)):
        if os.path.isfile(path) and _looks_like_dicom(path):
            header = guarded(read_header, path, TAGS)
            series = str(guarded(header.get, "SeriesInstanceUID") or path)
            if guarded(place_of, header)[0] is None:  # a radiograph
                continue
            if series in seen:
                raise ValueError(
                    f"{seen[series]} and {path.name} are of one series and were given as volumes of their own; pass a "
                    "series as one list among the volumes, [[first, second, ...]], or its folder"
                )
            seen[series] = path.name


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
        start = file.read(132)
    if not start and not path.suffix and not path.name.startswith("."):
        raise UnreadableImageError(f"{path.name} is empty: a slice that was cut short? Copy it again, or move it away")
    return looks_like_dicom(start, path.name)


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
    photometric = photometric_of(dataset)
    if not photometric.startswith("MONOCHROME"):
        raise UnreadableImageError(f"{path.name} is {photometric}; the slices of a volume are read in grey")
    place, directions = place_of(dataset)
    return _Header(
        name=path.name,
        path=path,
        series=str(dataset.get("SeriesInstanceUID", "")),
        number=str(dataset.get("SeriesNumber", "") or "?"),
        modality=modality_of(dataset),
        units=units_of(dataset),
        size=size if min(size) > 0 else NO_IMAGE,
        place=place,
        directions=directions,
        pixel_spacing=pixel_spacing_of(dataset),
        patient=str(dataset.get("PatientID") or ""),
        frame_of_reference=str(dataset.get("FrameOfReferenceUID") or ""),
        inverted=photometric == "MONOCHROME1",
    )


def _refuse_mixed(headers: list[_Header]) -> None:
    counts: dict[tuple[str, str], int] = {}
    for header in headers:
        counts[header.series, header.number] = counts.get((header.series, header.number), 0) + 1
    if len({series for series, _ in counts}) > 1:
        parts = ", ".join(f"number {number} with {count} files" for (_, number), count in counts.items())
        raise UnreadableImageError(f"the files are of {len(counts)} series ({parts}); {SERIES}")
    if two := _two_that_differ(headers, "patient"):  # no message repeats a patient's number
        raise UnreadableImageError(f"{two} are of two patients (PatientID); pass the files of one")
    if two := _two_that_differ(headers, "frame_of_reference"):
        raise UnreadableImageError(
            f"{two} have different frames of reference, so that their places cannot be compared; pass the files of one"
        )
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
        one, other = first.pixel_spacing, header.pixel_spacing
        if one is not None and other is not None and np.abs(one - other).max() > SAME_SPACING * one.max():
            raise UnreadableImageError(
                f"pixels of {first.name} are {one.tolist()} mm large and those of {header.name} {other.tolist()}; "
                "pass files of one PixelSpacing"
            )


def _two_that_differ(headers: list[_Header], name: str) -> str:
    """Names of two files that say different things; "" where all that say something say the same."""
    known = {getattr(header, name): header.name for header in reversed(headers) if getattr(header, name)}
    return " and ".join(list(known.values())[:2]) if len(known) > 1 else ""
