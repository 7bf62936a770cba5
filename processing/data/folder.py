"""Reads a folder in `imagefolder` form into samples; rows that cannot be used are counted, listed and skipped."""

import json
import logging
import os
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from ...configuration.data import DataConfig
from ..dicom_pedclip import UnreadableImageError
from ..reading_pedclip import read_radiograph
from .captions import Captions
from .metadata import column, list_of_names, read_rows, text_or_none
from .sample import Sample
from .splits import split_of_patient
from .volumes import fault_of_volume

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")


def read_folder(
    config: DataConfig,
    *,
    split: str | None = None,
    skipped_file: Path | str | None = None,
    need_caption: bool = True,
) -> list[Sample]:
    """The samples of one split (all of them without one), in the table's order.

    A row is skipped, with its reason in `skipped_file`, if its image is missing or broken or if it has no caption
    (which an evaluation that only needs labels may allow). A file that stands in two rows or outside the folder is an
    error: the first lets test images into training, the second is no data set.
    """
    if split is not None and split not in SPLITS:
        raise ValueError(f"split is {split!r}; ask for {', '.join(SPLITS)}. What the data call them is in data.splits")
    rows = read_rows(config)
    _refuse_bad_names(rows, config)
    samples: list[Sample] = []
    skipped: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        name = row[config.columns.image]
        if name is None:
            skipped.append({"row": number, "file_name": None, "reason": "no file name"})
            continue
        samples.append(_sample(row, name, config))
        if split is not None and samples[-1].split is None:
            found = text_or_none(column(row, config.columns.split))
            reason = f"split is none of those that data.splits names: {found!r}"
            skipped.append({"row": number, "file_name": name, "reason": reason})
    _warn_of_shared_patients(samples)
    wanted = [sample for sample in samples if split is None or sample.split == split]
    if not wanted:
        named = sorted({str(column(row, config.columns.split)) for row in rows})
        raise ValueError(
            f"{config.path} has no rows in split {split!r}; its column {config.columns.split!r} holds "
            f"{', '.join(named)}. Map them under data.splits"
        )

    captions = Captions(config)
    numbers = {row[config.columns.image]: number for number, row in enumerate(rows)}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:  # decoding lets other threads run
        faults = list(threads.map(lambda sample: fault_of_sample(sample, config), wanted))
    usable = []
    for sample, fault in zip(wanted, faults, strict=True):
        if fault is None and need_caption and not captions.caption(sample):
            fault = "no text, and no caption template fits its labels"
        if fault is None:
            usable.append(sample)
        else:
            skipped.append({"row": numbers[sample.file_name], "file_name": sample.file_name, "reason": fault})
    report_skipped(skipped, len(wanted), config.path, skipped_file)
    if not usable:
        raise ValueError(f"{config.path}: none of the {len(wanted)} rows can be used; the first: {skipped[0]}")
    return usable


def fault_of_sample(sample: Sample, config: DataConfig) -> str | None:
    return fault_of_image(sample.path) if config.volumes is None else fault_of_volume(sample, config.volumes)


def fault_of_image(path: Path) -> str | None:
    """Why an image cannot be used, None if it can. Decodes it whole: a truncated file opens without complaint."""
    if not path.is_file():
        return "file is missing"
    try:
        height, width = read_radiograph(path).pixels.shape[:2]
    except UnreadableImageError as error:
        return f"image cannot be read: {error}"
    return None if min(width, height) >= 8 else f"image is {width} x {height} pixels; at least 8 x 8 are needed"


def _sample(row: dict[str, Any], name: str, config: DataConfig) -> Sample:
    columns = config.columns
    # without a patient column each image is its own patient
    patient = text_or_none(column(row, columns.patient_id)) or name
    own_split = text_or_none(column(row, columns.split))
    if columns.split is None or columns.split not in row:
        split: str | None = split_of_patient(patient, config.splits)
    else:
        names = {config.splits.train: "train", config.splits.validation: "validation", config.splits.test: "test"}
        split = names.get(own_split or "")
    return Sample(
        path=Path(config.path) / name,
        file_name=name,
        body_part=text_or_none(column(row, columns.body_part)),
        patient_id=patient,
        split=split,
        text=text_or_none(column(row, columns.text)),
        findings=list_of_names(column(row, columns.findings)),
        row=row,
    )


def _refuse_bad_names(rows: list[dict[str, Any]], config: DataConfig) -> None:
    names = [row[config.columns.image] for row in rows if row[config.columns.image] is not None]
    # by spelling, not by following links: downloads keep their files as links into a cache
    outside = [
        name for name in names if Path(name).is_absolute() or ".." in PurePosixPath(name.replace("\\", "/")).parts
    ]
    if outside:
        raise ValueError(f"{config.path}: {len(outside)} file names lead out of the folder, first {outside[0]!r}")
    twice = [name for name, count in Counter(os.path.normpath(name) for name in names).items() if count > 1]
    if twice:
        raise ValueError(f"{config.path}: {len(twice)} files stand in more than one row, first {twice[0]!r}; keep one")


def _warn_of_shared_patients(samples: list[Sample]) -> None:
    splits = defaultdict(set)
    for sample in samples:
        splits[sample.patient_id].add(sample.split)
    shared = [patient for patient, where in splits.items() if len(where - {None}) > 1]
    if shared:
        logger.warning("%d patients stand in more than one split; test scores will look too good", len(shared))


def report_skipped(skipped: list[dict[str, Any]], total: int, folder: str, skipped_file: Path | str | None) -> None:
    """Says how many rows were left out and for which reasons; each one stands in the file."""
    if skipped_file is not None:
        Path(skipped_file).parent.mkdir(parents=True, exist_ok=True)
        Path(skipped_file).write_text("".join(json.dumps(row) + "\n" for row in skipped), encoding="utf-8")
    if skipped:
        reasons = Counter(row["reason"].split(":")[0] for row in skipped)
        logger.warning(
            "%s: %d of %d rows skipped (%s)%s",
            folder,
            len(skipped),
            total,
            ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()),
            f"; listed in {skipped_file}" if skipped_file is not None else "",
        )
