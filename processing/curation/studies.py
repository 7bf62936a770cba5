"""Reads studies: a table of one row a study or one row an image, or a folder of DICOM files with a table of reports.

What cannot be read is listed with its reason and left out. Nothing is guessed: a study with a part whose name nobody
knows is left out whole, because its sentences would otherwise go to the parts that are known.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.archive.headers import clean
from ..data.archive.sources import IMAGE_COLUMNS, TABLES, read_table, rows_of_dicom_folder
from ..data.body_parts import UnknownBodyPartError, body_part_of
from ..data.metadata import id_or_none, text_or_none
from ..data.plain_names import columns_named, named
from .parts import UNSIDED, filmed_parts, laterality_of
from .schema import Study

REPORT_COLUMNS = ("report", "text")
STUDY, PATIENT = "study_id", "patient_id"
LONGEST_REPORT = 50_000  # characters: more is no report but a file that was put into the cell
MOST_PARTS = 40
SIDES = {"l": "left", "left": "left", "r": "right", "right": "right", "b": "bilateral", "bilateral": "bilateral"}
NO_SIDE = ("u", "unpaired", "unknown", "none", "n/a", "na", "-")  # U: DICOM's unpaired


class BadStudyError(ValueError):
    """A study that cannot be used; the message holds nothing of its report."""


class NoStudyError(ValueError):
    """A source without a study that can be used; `studies` has what was left out, and why."""

    def __init__(self, message: str, studies: "Studies"):
        super().__init__(message)
        self.studies = studies


@dataclass
class Studies:
    """What a source holds."""

    usable: list[Study] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)  # study, reason
    unknown_parts: dict[str, int] = field(default_factory=dict)  # a name: in how many studies it stands


@dataclass
class _Found:
    """A study while its rows are gathered."""

    study_id: str
    patient_id: str | None
    report: str | None
    parts: list[str] = field(default_factory=list)
    images: dict[str, list[str]] = field(default_factory=dict)
    called: dict[str, str] = field(default_factory=dict)  # a part: its source's name, before a side was added to it


def read_studies(source: Path, own_parts: Mapping[str, str | None] | None = None) -> Studies:
    """The studies of a table (.parquet, .csv, .jsonl), of a folder with metadata, or of a folder of DICOM files.

    A phantom folder's metadata has each film's own words, so the reports come from the studies.jsonl beside it. Image
    paths count from the table's folder and are returned absolute. `own_parts` adds names of body parts to
    body_parts.yaml: {"L KN 2V": "knee", "SCOUT": None}. Raises NoStudyError where no study can be used, and ValueError
    for a table that cannot be read.
    """
    found = Studies()
    if source.is_dir() and not any((source / f"metadata{suffix}").is_file() for suffix in TABLES):
        gathered = _from_dicom(source, found)
    else:
        gathered = _from_table(_table(source), found)
    for one in gathered:
        try:
            found.usable.append(_study(one, own_parts or {}))
        except UnknownBodyPartError as error:
            unknown = sorted({one.called.get(name, name) for name in error.names})
            for name in unknown:
                found.unknown_parts[name] = found.unknown_parts.get(name, 0) + 1
            names = named(unknown, "see unknown_parts.yaml")
            found.skipped.append({"study": one.study_id, "reason": f"nobody knows which part is meant by {names}"})
        except BadStudyError as error:
            found.skipped.append({"study": one.study_id, "reason": str(error)})
    if not found.usable:
        why = (
            f"of {len(found.skipped)} left out the first: {found.skipped[0]['reason']}" if found.skipped else "no row"
        )
        raise NoStudyError(f"{source} has no study to curate; {why}", found)
    return found


def _table(source: Path) -> Path:
    if source.is_dir():
        return next(source / f"metadata{suffix}" for suffix in TABLES if (source / f"metadata{suffix}").is_file())
    if not source.is_file() or source.suffix not in TABLES:
        raise FileNotFoundError(f"{source} is neither a table ({', '.join(TABLES)}) nor a folder; see docs/curation")
    return source


def _from_table(path: Path, found: Studies) -> Iterable[_Found]:
    gathered: dict[str, _Found] = {}
    broken: dict[str, str] = {}
    reports = _reports_beside(path)
    for number, raw in enumerate(read_table(path), 1):
        if reports is not None:
            raw |= {"report": reports.get(_id(raw, STUDY) or ""), "text": None}
        if number == 1:
            _check_columns(path, raw)
        study = _id(raw, STUDY)
        if study is None:
            found.skipped.append({"study": f"row {number}", "reason": f"no {STUDY}"})
            continue
        try:
            one = _row_of_study(study, raw, path) if "body_parts" in raw else _row_of_image(study, raw, path)
            if study not in gathered:
                gathered[study] = one
            elif "body_parts" in raw:
                raise BadStudyError(f"row {number} repeats the study")
            else:
                _add(gathered[study], one)
        except BadStudyError as error:
            broken.setdefault(study, str(error))
    for study, reason in broken.items():
        gathered.pop(study, None)
        found.skipped.append({"study": study, "reason": reason})
    return gathered.values()


def _reports_beside(table: Path) -> dict[str, str] | None:
    """{study: report} of the studies.jsonl of a phantom folder, None where the table is no such folder's."""
    file = table.with_name("studies.jsonl")
    if not table.name.startswith("metadata.") or not file.is_file() or not table.with_name("phantom.json").is_file():
        return None
    return {str(row[STUDY]): row["report"] for row in read_table(file)}


def _check_columns(path: Path, row: Mapping[str, Any]) -> None:
    missing = [STUDY] if STUDY not in row else []
    if not any(name in row for name in REPORT_COLUMNS):
        missing.append(" or ".join(REPORT_COLUMNS))
    if "body_parts" not in row and "body_part" not in row:
        missing.append("body_parts (a row is a study) or body_part (a row is an image)")
    if missing:
        raise ValueError(f"{path} has no column {', nor '.join(missing)}; {columns_named(row)}")


def _row_of_study(study: str, raw: Mapping[str, Any], table: Path) -> _Found:
    sources = _names(raw.get("body_parts"), "body_parts")
    images = raw.get("images")
    if isinstance(images, str) and images.strip().startswith("{"):
        images = _json(images, "images")
    side = _side_of_all(raw.get("laterality"))
    parts = [_of_this_side(name, side) for name in sources]
    called = dict(zip(parts, sources, strict=True))
    by_part: dict[str, list[str]] = {}
    images = _as_mapping(images)
    if isinstance(images, Mapping):
        filmed = [(clean(str(part).strip()), of_part) for part, of_part in images.items() if of_part is not None]
        strange = {part for part, _ in filmed} - set(sources)
        if strange or len(dict(filmed)) < len(filmed):
            raise BadStudyError(f"images names {len(strange)} parts that body_parts does not have, or one twice")
        by_part = {_of_this_side(part, side): _names(of_part, "images") for part, of_part in filmed}
    else:
        names = _names(images, "images")
        if names and len(set(parts)) == 1:
            by_part = {parts[0]: names}
        elif names and len(names) != len(parts):
            raise BadStudyError(
                f"{len(names)} images and {len(parts)} body parts: give one image a part, a part several times, or "
                "images by part"
            )
        else:
            for part, name in zip(parts, names, strict=False):
                by_part.setdefault(part, []).append(name)
    here = {part: [_place(table, name) for name in names] for part, names in by_part.items()}
    return _Found(study, _id(raw, PATIENT), _report(raw), list(dict.fromkeys(parts)), here, called)


def _row_of_image(study: str, raw: Mapping[str, Any], table: Path) -> _Found:
    source = text_or_none(raw.get("body_part"))
    name = next((found for column in IMAGE_COLUMNS if (found := text_or_none(raw.get(column)))), None)
    if source is None:
        raise BadStudyError("a row has no body_part")
    source = clean(source)
    part = _with_side(source, text_or_none(raw.get("laterality")))
    images = {part: [_place(table, name)]} if name else {}
    return _Found(study, _id(raw, PATIENT), _report(raw), [part], images, {part: source})


def _add(one: _Found, other: _Found) -> None:
    for what, mine, its in (("patient", one.patient_id, other.patient_id), ("report", one.report, other.report)):
        if its is not None and mine is not None and mine != its:
            raise BadStudyError(f"its rows have different {what}s")
    one.patient_id = one.patient_id or other.patient_id
    one.report = one.report or other.report
    one.called |= other.called
    for part in other.parts:
        if part not in one.parts:
            one.parts.append(part)
        mine_of_part = one.images.setdefault(part, [])
        mine_of_part += [image for image in other.images.get(part, []) if image not in mine_of_part]


def _from_dicom(folder: Path, found: Studies) -> Iterable[_Found]:
    """Studies by their headers. What data build sets aside is no image here either, but the part was filmed."""
    rows, refused = rows_of_dicom_folder(folder)
    found.skipped += [{"study": f"file {row['file']}", "reason": row["reason"]} for row in refused]
    gathered: dict[str, _Found] = {}
    broken: dict[str, str] = {}
    for row in rows:
        study = row["study_id"]
        if study is None:
            found.skipped.append({"study": f"file {row['name']}", "reason": "its header names no study"})
            continue
        one = _Found(study, row["patient_id"], None if row["text"] is None else clean(row["text"]))
        source = row["body_part"] or row["unknown_part"]
        if source is None:
            broken[study] = "the header of one of its files names no body part"
        else:
            part = _with_side(source, row["laterality"])
            one.parts, one.images, one.called = [part], {part: [os.path.abspath(row["file"])]}, {part: source}
            if row["set_aside"]:
                found.skipped.append({"study": f"file {row['name']}", "reason": row["set_aside"]})
                one.images = {}
        try:
            if study in gathered:
                _add(gathered[study], one)
            else:
                gathered[study] = one
        except BadStudyError as error:
            broken.setdefault(study, str(error))
    for study, reason in broken.items():
        gathered.pop(study, None)
        found.skipped.append({"study": study, "reason": reason})
    return gathered.values()


def _study(one: _Found, own_parts: Mapping[str, str | None]) -> Study:
    if one.report is None:
        raise BadStudyError("no report")
    if len(one.report) > LONGEST_REPORT:
        raise BadStudyError(f"its report has {len(one.report)} characters; at most {LONGEST_REPORT} are read")
    if not 1 <= len(one.parts) <= MOST_PARTS:
        raise BadStudyError(f"it has {len(one.parts)} body parts; 1 to {MOST_PARTS} are read")
    images = {part: one.images.get(part, []) for part in one.parts}
    own = {part: own_parts[source] for part, source in one.called.items() if source in own_parts}
    parts = filmed_parts(images, body_part_experts={**own, **own_parts})
    # without a patient a study is its own: two of them never share a split by accident, nor leak on purpose
    return Study(one.study_id, one.patient_id or f"study {one.study_id}", one.report, parts)


def _with_side(part: str, side: str | None) -> str:
    """The source's name, with the side that another of its columns tells: R KNEE stays, knee becomes right knee."""
    side = SIDES.get((side or "").strip().lower())
    return part if side is None or laterality_of(part, None) is not None else f"{side} {part}"


def _side_of_all(value: Any) -> str | None:
    """The side that a study's row tells for all of its parts."""
    told = text_or_none(value)
    if told is None or told.lower() in NO_SIDE:
        return None
    if told.lower() not in SIDES:
        raise BadStudyError(
            "its laterality is none of L, R, B, left, right, bilateral; where parts differ, write it into their names"
        )
    return SIDES[told.lower()]


def _of_this_side(part: str, side: str | None) -> str:
    """As `_with_side`, for a side that is told of all parts: no contradiction, and no side for a spine."""
    own = laterality_of(part, None)
    if side is not None and own not in (None, side):
        raise BadStudyError(f"its laterality is {side}, and the name of one of its parts says {own}")
    try:
        sided = body_part_of(part) not in UNSIDED
    except UnknownBodyPartError:
        sided = True
    return _with_side(part, side) if sided else part


def _id(raw: Mapping[str, Any], column: str) -> str | None:
    found = id_or_none(raw.get(column))
    return None if found is None else clean(found)


def _report(raw: Mapping[str, Any]) -> str | None:
    text = next((found for column in REPORT_COLUMNS if (found := text_or_none(raw.get(column)))), None)
    return None if text is None else clean(text)


def _names(value: Any, column: str) -> list[str]:
    """A list, a JSON list, or one string with ; or | between the names."""
    if isinstance(value, str):
        text = value.strip()
        value = _json(text, column) if text.startswith("[") else text.replace("|", ";").split(";")
    if value is None or (isinstance(value, float) and value != value):
        return []
    if not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise BadStudyError(f"{column} is a {type(value).__name__}; give a list, or one text with ; between the names")
    return [clean(str(name).strip()) for name in value if name is not None and str(name).strip()]


def _as_mapping(value: Any) -> Any:
    """A mapping of Parquet, which comes as pairs, as a mapping; anything else as it is."""
    if not isinstance(value, list) or not value or not all(isinstance(one, tuple) and len(one) == 2 for one in value):
        return value
    if len({one[0] for one in value}) < len(value):
        raise BadStudyError("images names a part twice")
    return dict(value)


def _json(text: str, column: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadStudyError(f"{column} begins as JSON and is none") from error


def _place(table: Path, name: str) -> str:
    return os.path.abspath(table.parent / name)
