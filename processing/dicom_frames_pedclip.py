# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""One DICOM file as a volume: frames (enhanced CT and MR, tomosynthesis) in order of their place, or one slice."""

# Shapes: S slices, H height, W width
from typing import Any

import numpy as np

from .dicom_pedclip import UnreadableImageError, first_number, guarded, read_dataset, refuse_large
from .dicom_series_pedclip import SAME_DIRECTION
from .dicom_slices_pedclip import PER_FRAME, in_order, normal_of, photometric_of, place_of, slice_values, units_of
from .volume_windows_pedclip import MAX_VOLUME_BYTES, Stack, refuse_many


def read_dicom_stack(content: bytes, allow_gaps: bool = False) -> Stack | None:
    """One DICOM file as a stack: a single slice, or frames (enhanced CT and MR, tomosynthesis) by functional groups.

    None for an image that does not say where in the patient it lies: a radiograph.
    """
    return guarded(_stack_of, read_dataset(content, MAX_VOLUME_BYTES), allow_gaps)


def _stack_of(dataset: Any, allow_gaps: bool) -> Stack | None:
    if int(first_number(dataset.get("NumberOfFrames")) or 1) > 1:
        return _frames(dataset, allow_gaps)
    place, directions = place_of(dataset)
    photometric = photometric_of(dataset)
    if place is None or directions is None or not photometric.startswith("MONOCHROME"):
        return None
    along = np.array([float(normal_of(directions) @ place)])
    return Stack(lambda number: guarded(slice_values, dataset), along, units_of(dataset), photometric == "MONOCHROME1")


def _frames(dataset: Any, allow_gaps: bool) -> Stack:
    frames = int(first_number(dataset.get("NumberOfFrames")) or 1)
    refuse_many(frames)
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if rows < 1 or columns < 1:
        raise UnreadableImageError(f"the DICOM file gives its frames {rows} rows and {columns} columns")
    refuse_large(columns, rows)
    photometric = photometric_of(dataset)
    if not photometric.startswith("MONOCHROME"):
        raise UnreadableImageError(f"the frames are {photometric}; volumes are read in grey")
    if len(dataset.get(PER_FRAME) or []) != frames:
        raise UnreadableImageError(
            f"the DICOM file has {frames} frames and no place for each of them, like a film; a volume's frames have "
            "one: pass a single frame, or an array"
        )
    places: list[np.ndarray] = []
    ways: list[np.ndarray] = []
    for frame in range(frames):
        place, directions = place_of(dataset, frame)
        if place is None or directions is None:
            raise UnreadableImageError(f"frame {frame + 1} of {frames} has no place or no direction in the patient")
        places.append(place)
        ways.append(directions)
        if np.abs(directions - ways[0]).max() > SAME_DIRECTION:
            raise UnreadableImageError(f"frames 1 and {frame + 1} lie in different directions; pass a single frame")
    names = [f"frame {frame + 1}" for frame in range(frames)]
    order, along = in_order(names, np.array(places), normal_of(ways[0]), allow_gaps)

    def values(number: int) -> np.ndarray:
        return guarded(slice_values, dataset, int(order[number]))

    return Stack(values, along, units_of(dataset), photometric == "MONOCHROME1")
