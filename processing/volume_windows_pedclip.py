# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""Volumes as they are displayed: one window for all slices of a study, read and shown a slice at a time."""

# Shapes: S slices, C channels, H height, W width
import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .dicom_pedclip import HIGH_PERCENTILE, LOW_PERCENTILE, UnreadableImageError

# (centre, width) in Hounsfield units; those usual in radiology
WINDOWS = {"lung": (-600.0, 1500.0), "bone": (400.0, 1800.0), "soft_tissue": (50.0, 400.0)}
PERCENTILES = "percentiles"
MAX_SLICES = 2048
MAX_VOLUME_BYTES = 2**31  # of a file or an array that is held in memory as a whole
LOOKED_AT = 2**24  # values from which a volume's percentiles are taken: of a larger one every second, third, ...

HOUNSFIELD, ARBITRARY, UNKNOWN, SHOWN = "Hounsfield", "arbitrary", "unknown", "shown"  # what values mean

Window = str | Sequence[float] | None


@dataclass(frozen=True)
class Stack:
    """Slices as they are stored, in order, before any window."""

    values: Callable[[int], np.ndarray]  # number of a slice -> (H, W), NaN where a file says that it only pads; or,
    # where `units` is SHOWN, pixels as they are displayed, (H, W) or (C, H, W)
    positions: np.ndarray  # (S,), mm, ascending
    units: str
    inverted: bool = False  # MONOCHROME1: low values are bright


@dataclass(frozen=True)
class Volume:
    """A study of several images as they are displayed: `volume[number]` is (C, H, W), from 0 (black) to 255."""

    shown: Callable[[int], np.ndarray]
    positions: np.ndarray  # (S,), mm; all the same where slices have no order
    window: str  # where the display range comes from

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, number: int) -> np.ndarray:
        if not 0 <= number < len(self):
            raise IndexError(f"slice {number} of {len(self)}")
        return self.shown(number)

    @property
    def spacing(self) -> float | None:
        """From slice to slice in mm, the usual one; None for a single slice."""
        return usual_step(np.diff(self.positions)) if len(self) > 1 else None


def usual_step(steps: np.ndarray) -> float:
    """The middle one of all distances; of an even number the smaller of both, because a gap only makes one larger."""
    return float(np.sort(steps)[(len(steps) - 1) // 2])


def refuse_many(slices: int) -> None:
    if slices > MAX_SLICES:
        raise UnreadableImageError(f"the volume has {slices} slices; at most {MAX_SLICES} are read: pass a part of it")


def show(stack: Stack, window: Window) -> Volume:
    """The stack through a window: a name of `WINDOWS`, (centre, width) in the stack's own units, or "percentiles".

    `None` is for CT the soft-tissue window; for everything else from the 0.5th to the 99.5th percentile of the whole
    volume, as for single images that name no window (ours). What is displayed already stays as it is.
    """
    low, high, name = _range(stack, window)

    def shown(number: int) -> np.ndarray:
        values = stack.values(number)
        if low is None or high is None:
            if values.dtype.kind == "f" and (values.min() < 0 or values.max() > 255):
                raise UnreadableImageError(
                    f"slice {number} holds {values.min():g} to {values.max():g}; floating-point values are shown as "
                    'they are, from 0 to 255: give a window, "lung", "percentiles" or (centre, width) say'
                )
            return values if values.ndim == 3 else values[None]
        if values.ndim == 3:
            raise ValueError(f"window is {window!r}, and the slices are in colour, which has none; leave it out")
        share = np.clip((values - low) / np.float32(high - low), 0, 1) if high > low else np.zeros_like(values)
        share = np.nan_to_num(1 - share if stack.inverted else share, copy=False)
        return (share * 255).astype(np.float32)[None]

    return Volume(shown, stack.positions, name)


def check_window(window: Any) -> None:
    """Refuses what is neither a name nor a centre and a width."""
    if window is None or window == PERCENTILES:
        return
    if isinstance(window, str):
        if window not in WINDOWS:
            raise ValueError(
                f"window is {window!r}; it is one of {', '.join(WINDOWS)}, {PERCENTILES}, or (centre, width)"
            )
        return
    two = isinstance(window, list | tuple) and len(window) == 2
    if not two or not all(isinstance(one, numbers.Real) and math.isfinite(one) for one in window) or window[1] <= 1:
        raise ValueError(f"window is {window!r}; (centre, width) are two numbers, the width above 1")


def _range(stack: Stack, window: Window) -> tuple[float | None, float | None, str]:
    """Lowest and highest value shown, and where they come from."""
    check_window(window)
    if window is None and stack.units == SHOWN:
        return None, None, "as given"
    if window is None:
        window = "soft_tissue" if stack.units == HOUNSFIELD else PERCENTILES
    if window == PERCENTILES:
        return (*_percentiles(stack), PERCENTILES)
    if isinstance(window, str) and stack.units == ARBITRARY:
        raise ValueError(
            f"window={window!r} is in Hounsfield units, and this is no CT; leave it out, or give (centre, width)"
        )
    centre, width = map(float, WINDOWS[window] if isinstance(window, str) else window)
    low = centre - 0.5 - (width - 1) / 2  # PS3.3 C.11.2.1.2.1
    return low, low + width - 1, window if isinstance(window, str) else f"centre {centre:g}, width {width:g}"


def _percentiles(stack: Stack) -> tuple[float, float]:
    """Where 0.5 and 99.5 % of a volume's values are reached; read once, slice after slice."""
    slices = len(stack.positions)
    parts = []
    for number in range(slices):
        values = stack.values(number).reshape(-1)
        step = max(1, math.ceil(values.size * slices / LOOKED_AT))
        values = values[::step].astype(np.float32, copy=False)
        parts.append(values[~np.isnan(values)])
    values = np.concatenate(parts)
    if values.size == 0:
        return 0.0, 0.0
    places = [max(math.ceil(values.size * share / 100), 1) - 1 for share in (LOW_PERCENTILE, HIGH_PERCENTILE)]
    values.partition(places)
    return float(values[places[0]]), float(values[places[1]])
