"""What the readers share: tables as they were published, folders as they unpack, and what a reader gives."""

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ....configuration.data import SplitsConfig
from ...dicom_pedclip import UnreadableImageError, read_header
from ..archive.headers import SEXES, months_of_age
from ..sample import Sample
from ..splits import split_of_patient

SPLITS = SplitsConfig()  # a tenth of the patients for validation and for testing, seed 0
NESTED = 3  # folders that hold nothing but the next one: Kaggle unpacks twice
MOST_BYTES = 64 * 2**20  # of a table
TRUE, FALSE = {"1", "1.0", "true", "yes"}, {"", "0", "0.0", "false", "no"}


@dataclass(frozen=True)
class Reading:
    """A data set as it lies in a folder."""

    samples: list[Sample]
    missing: list[str]  # files that a table names and that are not there
    notes: list[str] = field(default_factory=list)


def root_of(folder: Path, landmarks: Sequence[str], title: str, tree: str) -> Path:
    """The folder that holds one of the landmarks: this one, or the only one inside it, and so on."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; give the one that holds {title}:\n{tree}")
    here = folder
    for _ in range(NESTED + 1):
        if any(any(here.glob(landmark)) for landmark in landmarks):
            return here
        inside = [path for path in here.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))]
        if len(inside) != 1:
            break
        here = inside[0]
    raise FileNotFoundError(f"{folder} holds none of {', '.join(landmarks)}. {title} looks like this:\n{tree}")


def read_table(
    path: Path, needed: Sequence[str], key: str | None, aliases: Mapping[str, Sequence[str]] | None = None
) -> list[dict[str, str]]:
    """A CSV file's rows under their official column names; `aliases` are other names that copies give them.

    Columns are compared without regard to case, spaces and underscores. Raises ValueError for another encoding than
    UTF-8, a missing column, an empty table, and an id in `key` that stands twice.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; a table of at most {MOST_BYTES} is read")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not in UTF-8 ({error.reason} at byte {error.start}); save it in that encoding"
        ) from error
    rows = list(csv.reader(io.StringIO(text, newline="")))
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        raise ValueError(f"{path} has no rows; unpack or download it again")
    return named_rows(path, rows, needed, key, aliases or {})


def named_rows(
    path: Path,
    rows: Sequence[Sequence[str]],
    needed: Sequence[str],
    key: str | None,
    aliases: Mapping[str, Sequence[str]],
) -> list[dict[str, str]]:
    """Rows of cells, the first of them the columns' names, as dictionaries."""
    official = {_plain(alias): name for name in needed for alias in aliases.get(name, ())}
    official |= {_plain(name): name for name in needed}
    columns = [official.get(_plain(name), name.strip()) for name in rows[0]]
    lacking = [name for name in needed if name not in columns]
    if lacking:
        raise ValueError(f"{path} lacks the column(s) {', '.join(map(repr, lacking))}; it has {', '.join(rows[0])}")
    found = []
    for number, row in enumerate(rows[1:], 2):
        if len(row) > len(columns):
            raise ValueError(f"{path} line {number} has {len(row)} cells for {len(columns)} columns")
        found.append({name: cell.strip() for name, cell in zip(columns, [*row, *[""] * len(columns)], strict=False)})
    if key is not None:
        twice = [value for value, count in Counter(row[key] for row in found).items() if count > 1]
        if twice:
            raise ValueError(f"{path}: {key} {twice[0]!r} stands in more than one row ({len(twice)} such); keep one")
    return found


def flag(row: Mapping[str, str], column: str, path: Path) -> bool:
    """1 or blank, as the data sets have it."""
    value = row.get(column, "").lower()
    if value not in TRUE | FALSE:
        raise ValueError(f"{path}: {column} is {row[column]!r}; it is 1, 0 or blank")
    return value in TRUE


def number(row: Mapping[str, str], column: str, path: Path) -> float | None:
    """A number, or None where the cell is blank."""
    value = row.get(column, "")
    if not value:
        return None
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{path}: {column} is {value!r}, which is no number") from None


def sex_of(text: str | None) -> str | None:
    return SEXES.get((text or "").strip().lower())


def split_by_patient(patient: str) -> str:
    """The rule where a data set has no split: processing/data/splits.py with its default shares and seed 0."""
    return split_of_patient(patient, SPLITS)


def age_and_sex(path: Path) -> tuple[float | None, str | None]:
    """Of a DICOM header: months, and female or male. A file that cannot be read has neither."""
    try:
        header = read_header(path, ("PatientAge", "PatientSex"))
    except UnreadableImageError:
        return None, None
    return months_of_age(str(header.get("PatientAge", ""))), sex_of(str(header.get("PatientSex", "")))


def split_hash(samples: Iterable[Sample]) -> str:
    """16 digits that are the same where the same files lie in the same splits."""
    lines = sorted(f"{sample.file_name}\t{sample.split}" for sample in samples)
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()[:16]


def require_some(samples: Sequence[Sample], missing: Sequence[str], folder: Path, tree: str) -> None:
    """A table without a single one of its images is a download that is not there yet."""
    if not samples:
        raise FileNotFoundError(
            f"{folder}: none of the {len(missing)} images is there, {missing[0] if missing else 'nothing'} for one. "
            f"Expected:\n{tree}"
        )


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", "", name).lower()
