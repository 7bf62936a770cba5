"""One radiograph with what is known about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Sample:
    """A row of the metadata whose image could be read.

    `row` keeps the whole row as the data have it, so that an evaluation can select by columns that training ignores
    (source, age, device).
    """

    path: Path
    file_name: str  # as the metadata spell it
    body_part: str | None  # the data's own name; processing/data/body_parts.py turns it into an expert
    patient_id: str
    split: str | None  # train, validation or test, whatever the data call them
    text: str | None = None
    findings: tuple[str, ...] = ()
    row: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
