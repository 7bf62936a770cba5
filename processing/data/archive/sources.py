"""What there is to build from: a manifest's rows, or the DICOM files of a folder with their headers."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ...curation.licences import curation_of, is_triplet
from ...dicom_pedclip import UnreadableImageError, is_dicom
from ..csv_table import rows_of_csv
from ..curated_experts import expert_told
from ..metadata import id_or_none, list_of_names, text_or_none
from ..plain_names import columns_named
from .headers import OLDEST, SEXES, clean, months_of_age, row_of_header, year_of

TABLES = (".jsonl", ".csv", ".parquet")
IMAGE_COLUMNS = ("file_name", "image_path", "image", "path")
REPORTS = ("reports.csv", "reports.jsonl", "reports.parquet")

Row = dict[str, Any]


def rows_of(source: Path) -> tuple[list[Row], list[Row]]:
    """(usable rows, rows that are none with their `reason`): each with `file`, where its image lies."""
    if source.is_dir():
        tables = [source / f"metadata{suffix}" for suffix in TABLES if (source / f"metadata{suffix}").is_file()]
        return rows_of_manifest(tables[0]) if tables else rows_of_dicom_folder(source)
    if source.is_file() and source.suffix in TABLES:
        return rows_of_manifest(source)
    raise FileNotFoundError(
        f"{source} is neither a manifest ({', '.join(TABLES)}) nor a folder, of DICOM files or with metadata.jsonl"
    )


def rows_of_manifest(path: Path) -> tuple[list[Row], list[Row]]:
    """One row an image; file names count from the manifest's folder."""
    usable: list[Row] = []
    refused: list[Row] = []
    seen: set[str] = set()
    for number, raw in enumerate(read_table(path), 1):
        name = next((found for column in IMAGE_COLUMNS if (found := text_or_none(raw.get(column)))), None)
        if name is None:
            if number == 1 and not any(column in raw for column in IMAGE_COLUMNS):
                raise ValueError(f"{path} has no column {' or '.join(IMAGE_COLUMNS)}; {columns_named(raw)}")
            refused.append({"file": f"row {number}", "reason": "no file name"})
        elif os.path.normpath(name) in seen:
            refused.append({"file": name, "reason": f"row {number} repeats a file of another row"})
        else:
            seen.add(os.path.normpath(name))
            try:
                usable.append(_row_of_manifest(raw, path.parent / name, os.path.normpath(name)))
            except (ValueError, TypeError) as error:
                refused.append({"file": name, "reason": f"row {number} cannot be read: {error}"})
    if not usable:
        raise ValueError(f"{path} has no row with an image's file name")
    return usable, refused


def rows_of_dicom_folder(folder: Path) -> tuple[list[Row], list[Row]]:
    """Every DICOM file below the folder, whatever it is called, with the report of its study where there is one."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and _begins_as_dicom(path)]
    if not files:
        raise FileNotFoundError(f"{folder} has neither metadata{', metadata'.join(TABLES)} nor any DICOM file")
    reports = _reports(folder)
    usable: list[Row] = []
    refused: list[Row] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        headers = threads.map(_header_or_reason, files)
        for path, header in tqdm(zip(files, headers, strict=True), total=len(files), desc="headers", unit="file"):
            name = path.relative_to(folder).as_posix()
            if isinstance(header, str):
                refused.append({"file": name, "reason": header})
                continue
            keys = header.pop("report_keys")
            text = next((reports[key] for key in keys if key in reports), None)
            usable.append({**header, "file": str(path), "name": name, "text": text, "findings": [], "split": None})
    return usable, refused


def read_table(path: Path) -> Iterator[Row]:
    """The rows of a CSV, JSONL or Parquet file; a mistake in it names the line."""
    if path.suffix == ".csv":
        yield from rows_of_csv(path)
    elif path.suffix == ".jsonl":
        with path.open("rb") as lines:  # a line ends at a line feed alone, not at U+2028 in a text
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                    except UnicodeDecodeError as error:
                        raise ValueError(f"{path} line {number} is no UTF-8: {error.reason}") from None
                    except json.JSONDecodeError as error:
                        raise ValueError(f"{path} line {number} is not JSON: {error}") from error
                    if not isinstance(row, dict):
                        raise ValueError(
                            f"{path} line {number} is a JSON {type(row).__name__}; each line is an object"
                        )
                    yield row
    else:
        from pyarrow import parquet

        yield from parquet.read_table(path).to_pylist()


def _row_of_manifest(raw: Mapping[str, Any], file: Path, name: str) -> Row:
    def text(column: str) -> str | None:
        found = text_or_none(raw.get(column))
        return None if found is None else clean(found)

    def identity(column: str) -> str | None:
        found = id_or_none(raw.get(column))
        return None if found is None else clean(found)

    return {
        "file": str(file),
        "name": name,
        "body_part": text("body_part"),
        "laterality": text("laterality"),
        "view": text("view"),
        "age_months": _age(raw),
        "sex": SEXES.get((text("sex") or "").lower()),
        "year": year_of(text("year")) or year_of(text("study_date")),
        "modality": text("modality"),
        "device": text("device"),
        "patient_id": identity("patient_id"),
        "study_id": identity("study_id"),
        "text": text("text") or text("report"),
        "findings": [clean(name) for name in list_of_names(raw.get("findings"))],
        "split": text("split"),
        **{column: text_or_none(told) for column, told in curation_of(raw).items()},
        "curation_expert": expert_told(raw) if is_triplet(raw) else None,
        "burned_in": "not stated",
        "set_aside": None,
    }


def _age(raw: Mapping[str, Any]) -> float | None:
    """`age_months`, or `age_years` or `age` in years or as DICOM writes it (018M); None above 89 years."""
    for column, months in (("age_months", 1), ("age_years", 12), ("age", 12)):
        value = text_or_none(raw.get(column))
        if months_of_age(value) is not None:
            return months_of_age(value)
        try:
            age = float(value) * months if value is not None else math.nan
        except ValueError:
            continue
        if 0 <= age <= OLDEST * 12:
            return round(age, 2)
    return None


def _reports(folder: Path) -> dict[str, str]:
    """The report of each study, by any id that the table's `study_id` may be."""
    table = next((folder / name for name in REPORTS if (folder / name).is_file()), None)
    if table is None:
        return {}
    found = {}
    for row in read_table(table):
        study, report = id_or_none(row.get("study_id")), text_or_none(row.get("report"))
        if study and report:
            found[study] = report
    return found


def _begins_as_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(132)
    return is_dicom(start) or (path.suffix.lower() in (".dcm", ".dicom"))


def _header_or_reason(path: Path) -> Row | str:
    try:
        return row_of_header(path)
    except (UnreadableImageError, OSError) as error:
        return str(error)
