"""What the official layouts share: studies drawn for them, tables, pictures and boxes."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from .records import Study
from .render import Film
from .study import Clinic, studies_of

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; the right and bottom edges lie outside


def drawn(patients: int, seed: int, clinic: Clinic) -> Iterator[tuple[int, Study]]:
    """Every study with the number of its patient."""
    for number in range(patients):
        for study in studies_of(seed, number, clinic):
            yield number, study


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence], *, excel: bool = False) -> None:
    """A CSV file; `excel` saves it as Excel does: a byte order mark first, and CRLF."""
    with open(path, "w", encoding="utf-8-sig" if excel else "utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\r\n" if excel else "\n")
        table.writerow(columns)
        table.writerows(rows)


def save_8_bit(film: Film, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((film.pixels >> 4).astype(np.uint8)).save(path)


def save_16_bit(film: Film, path: Path) -> None:
    """All twelve bits, spread over sixteen: 0 stays 0 and 4095 becomes 65535."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(film.pixels << 4 | film.pixels >> 8).save(path)


def box_of(mask: np.ndarray | None) -> Box | None:
    """The smallest box round a mask; None where there is nothing on the film."""
    if mask is None or not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
