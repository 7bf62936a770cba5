"""One radiograph with what is known about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the stored image; its right and bottom edges lie outside."""

    label: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Mask:
    """What a label covers. `draw` gives it as a bool array (H, W); nothing is drawn before it is asked for."""

    label: str
    draw: Callable[[], np.ndarray] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Sample:
    """A row of the metadata whose image could be read.

    `row` keeps the whole row as the data have it, so that an evaluation can select by columns that training ignores
    (source, device). What comes after it is what only some data sets know.
    """

    path: Path
    file_name: str  # as the metadata spell it
    body_part: str | None  # the data's own name; processing/data/body_parts.py turns it into an expert
    patient_id: str
    split: str | None  # train, validation or test, whatever the data call them
    text: str | None = None
    findings: tuple[str, ...] = ()
    row: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    age_months: float | None = None
    sex: str | None = None  # female or male
    boxes: tuple[Box, ...] = ()
    masks: tuple[Mask, ...] = ()
    bone_age_months: float | None = None
