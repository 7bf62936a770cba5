"""One shard, written by a worker: its images, their rows, and beside it what was found while making it."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from ...dicom_pedclip import UnreadableImageError
from ...reading_pedclip import read_radiograph
from .duplicates import thumbnail
from .identity import pseudonym
from .picture import LEAST_SIDE, PictureSettings, encode
from .sources import Row

ROWS_IN_A_GROUP = 100  # what train.py reads at a time
COLUMNS = {
    "text": "string",
    "body_part": "string",
    "findings": ["string"],
    "age_months": "float32",
    "sex": "string",
    "view": "string",
    "laterality": "string",
    "year": "int32",
    "modality": "string",
    "device": "string",
    "patient_id": "string",
    "study_id": "string",
    "image_id": "string",
    "original_width": "int32",
    "original_height": "int32",
    "bits": "int32",
    "window": "string",
    "curation_engine": "string",
    "curation_model": "string",
    "curation_licence": "string",
    "curation_prompts": "string",
    "curation_expert": "string",  # one of the 23, or none: curated_experts.py
}


def features():
    """The schema as `datasets` knows it: `image` is decoded by itself."""
    from datasets import Features, Image, List, Value

    plain = {name: List(Value(kind[0])) if isinstance(kind, list) else Value(kind) for name, kind in COLUMNS.items()}
    return Features({"image": Image(), **plain})


def write_shard(
    target: Path, sidecar: Path, rows: Sequence[Row], key: bytes, settings: PictureSettings, schema: pyarrow.Schema
) -> None:
    """`target` and `sidecar`, each whole or not at all, the sidecar last: where it is, the shard is done."""
    made: list[dict[str, Any]] = []
    skipped: list[Row] = []
    for row in rows:
        try:
            made.append(_made(row, key, settings))
        except (OSError, ValueError) as error:  # UnreadableImageError, or what an encoder does not take
            reason = str(error).replace(row["file"], row["name"])
            skipped.append({"file": row["name"], "reason": reason})
    table = pyarrow.Table.from_pylist(made, schema=schema)  # a thumbnail is in no column, and stays out
    compression = dict.fromkeys(_leaves(schema), "snappy") | {"image.bytes": "none"}  # an image is compressed
    new = target.with_name(f".{target.name}.{os.getpid()}")
    parquet.write_table(table, new, row_group_size=ROWS_IN_A_GROUP, compression=compression, use_dictionary=False)
    os.replace(new, target)
    facts = ("body_part", "age_months", "sex", "view", "year", "patient_id", "image_id", "window", "thumbnail")
    curated = ("curation_engine", "curation_model", "curation_licence")
    about = {"rows": [{name: one.get(name) for name in (*facts, *curated)} for one in made], "skipped": skipped}
    new = sidecar.with_name(f".{sidecar.name}.{os.getpid()}")
    new.write_text(json.dumps(about), encoding="utf-8")
    os.replace(new, sidecar)


def _made(row: Row, key: bytes, settings: PictureSettings) -> dict[str, Any]:
    radiograph = read_radiograph(row["file"])
    height, width = radiograph.pixels.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise UnreadableImageError(f"the image is {width} x {height} pixels; at least {LEAST_SIDE} x {LEAST_SIDE}")
    content, suffix, shown = encode(radiograph, settings)
    image_id = pseudonym(key, "image", row["name"])
    study = row["study_id"]
    kept = {name: row[name] for name in COLUMNS if name in row}
    return kept | {
        "image": {"bytes": content, "path": image_id + suffix},
        "image_id": image_id,
        "patient_id": row["patient_hash"],
        "study_id": None if study is None else pseudonym(key, "study", study),
        "original_width": width,
        "original_height": height,
        "bits": radiograph.bits,
        "window": radiograph.window,
        "thumbnail": thumbnail(shown).hex(),
    }


def _leaves(schema: pyarrow.Schema) -> list[str]:
    names = ["image.bytes", "image.path"]
    for name in schema.names[1:]:
        names.append(f"{name}.list.element" if pyarrow.types.is_list(schema.field(name).type) else name)
    return names
