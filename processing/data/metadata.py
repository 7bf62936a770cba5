"""Reads an imagefolder's table: metadata.jsonl, .csv or .parquet, at the top or in each split's folder, or none."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...configuration.data import DataConfig
from .csv_table import rows_of_csv
from .plain_names import columns_named

METADATA_FILES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".dcm", ".dicom")


def read_rows(config: DataConfig) -> list[dict[str, Any]]:
    """The table's rows, with file names from the top folder; sub-folders stand in for a missing split or label."""
    root = Path(config.path)
    if not root.is_dir():
        raise FileNotFoundError(f"data.path {config.path} is not a folder; give the one that holds the images")
    table = _table_in(root)
    if table is not None:
        return _checked(list(_read_table(table)), table, config)
    rows = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        table = _table_in(folder)
        if table is None:
            continue
        for row in _checked(list(_read_table(table)), table, config):
            if row[config.columns.image]:
                row[config.columns.image] = f"{folder.name}/{row[config.columns.image]}"
            if config.columns.split is not None:
                row.setdefault(config.columns.split, folder.name)
            rows.append(row)
    return rows or _rows_from_class_folders(root, config)


def list_of_names(value: Any) -> tuple[str, ...]:
    """Findings as the table has them: a list, a JSON list, or one string with | or ; between the names."""
    if value is None:
        return ()
    if isinstance(value, str):
        text = value.strip()
        value = json.loads(text) if text.startswith("[") else text.replace(";", "|").split("|")
    return tuple(name for name in (str(entry).strip() for entry in value) if name)


def text_or_none(value: Any) -> str | None:
    """A cell as text; empty cells and the NaN that tables use for them are None."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value).strip() or None


def id_or_none(value: Any) -> str | None:
    """An id as text. A table that keeps whole numbers as floats writes 7 as 7.0: both are the same patient."""
    text = text_or_none(value)
    return None if text is None else re.sub(r"^(\d+)\.0$", r"\1", text)


def _table_in(folder: Path) -> Path | None:
    tables = [folder / name for name in METADATA_FILES if (folder / name).is_file()]
    if len(tables) > 1:
        raise ValueError(f"{folder} has {', '.join(table.name for table in tables)}; keep the one that holds")
    return tables[0] if tables else None


def _read_table(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except json.JSONDecodeError as error:
                    raise ValueError(f"{path} line {number} is not JSON: {error}") from error
                if not isinstance(row, dict):
                    raise ValueError(f"{path} line {number} is a JSON {type(row).__name__}; each line is one object")
                yield row
    elif path.suffix == ".csv":
        yield from rows_of_csv(path)
    else:
        from pyarrow import parquet  # comes with datasets; takes a moment to import

        yield from parquet.read_table(path).to_pylist()


def _checked(rows: list[dict[str, Any]], table: Path, config: DataConfig) -> list[dict[str, Any]]:
    if not rows:
        raise ValueError(f"{table} has no rows")
    image = config.columns.image
    if not any(image in row for row in rows):
        raise ValueError(
            f"{table} has no column {image!r}; {columns_named(rows[0])}. Name the one with the image's file under "
            "data.columns.image"
        )
    for row in rows:
        row[image] = text_or_none(row.get(image))
    return rows


def _rows_from_class_folders(root: Path, config: DataConfig) -> list[dict[str, Any]]:
    """root/[split/]class/.../image, the plain imagefolder."""
    columns = config.columns
    label = columns.body_part if config.class_folders == "body_part" else columns.findings
    splits = {config.splits.train, config.splits.validation, config.splits.test}
    rows: list[dict[str, Any]] = []
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        folders = path.relative_to(root).parts[:-1]
        row: dict[str, Any] = {columns.image: path.relative_to(root).as_posix()}
        if folders and folders[0] in splits and columns.split is not None:
            row[columns.split] = folders[0]
            folders = folders[1:]
        if folders and label is not None:
            row[label] = folders[0]
        rows.append(row)
    if not rows:
        raise FileNotFoundError(
            f"{root} has neither {' nor '.join(METADATA_FILES)} nor images in class folders; see data.path"
        )
    return rows


def column(row: Mapping[str, Any], name: str | None) -> Any:
    """A cell, or None where the data have no such column."""
    return None if name is None else row.get(name)
