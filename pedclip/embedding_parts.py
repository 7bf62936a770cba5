"""Parquet parts of a long run: each whole or not at all, and settings that a run which goes on has to repeat."""

# Shapes: N rows
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import parquet
from tqdm.auto import tqdm

SKIPPED = "skipped_rows.jsonl"
KINDS = ("images", "texts")
SAID_ONLY = {"begun_with", "model"}  # of the settings: what a run that goes on need not repeat

Columns = Mapping[str, Any]  # name -> N values, or an array (N, width)
Fault = dict[str, Any]  # {"row", "file_name", "reason"} of a row that could not be embedded


@dataclass(frozen=True)
class Embedded:
    """What a run left."""

    files: list[Path]
    rows: int
    skipped: int
    before: int  # rows that an earlier run had written


def begin(out: Path, kind: str) -> Mapping[str, Any] | None:
    """The settings of a run that began in `out`, None for a new one; refuses a folder of something else."""
    settings = out / f"{kind}.json"
    if settings.is_file():
        return json.loads(settings.read_text(encoding="utf-8"))
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file; name a folder")
    if out.is_dir() and any(out.iterdir()) and not any((out / f"{one}.json").is_file() for one in KINDS):
        raise FileExistsError(f"{out} holds something else than embeddings; name a new or an empty folder")
    return None


def remember(out: Path, kind: str, settings: Mapping[str, Any], begun: Mapping[str, Any] | None) -> None:
    """Writes KIND.json; where a run began already, makes sure that it began with these settings."""
    if begun is not None:
        now = json.loads(json.dumps(settings))
        changed = sorted(key for key in (now.keys() | begun.keys()) - SAID_ONLY if now.get(key) != begun.get(key))
        if changed:
            raise ValueError(
                f"{out} holds {kind} embedded with other settings ({', '.join(changed)}); take those of "
                f"{out / kind}.json, or another --out"
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    lines = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
    write_whole(out / f"{kind}.json", lambda new: new.write_text(lines, encoding="utf-8"))


def write_parts(
    out: Path,
    kind: str,
    schema: pyarrow.Schema,
    parts: Sequence[Sequence[int]],
    embed: Callable[[Sequence[int], Callable[[int], Any]], tuple[Columns, list[Fault]]],
    skipped: Sequence[Fault] = (),
) -> Embedded:
    """Writes the parts that are not there yet.

    `embed(part, advance)` gives the part's columns and the rows that could not be embedded, and tells `advance` how
    many rows are done. A part carries its own faults in its metadata, so that rows and faults come at once; with
    `skipped`, those known before, they make skipped_rows.jsonl at the end.
    """
    files = [out / f"{kind}-{number:05d}-of-{len(parts):05d}.parquet" for number in range(len(parts))]
    before = sum(parquet.read_metadata(file).num_rows for file in files if file.is_file())
    done = sum(len(part) for part, file in zip(parts, files, strict=True) if file.is_file())
    with tqdm(total=sum(map(len, parts)), initial=done, unit="row", desc=kind) as bar:
        for part, file in zip(parts, files, strict=True):
            if file.is_file():
                continue
            columns, faults = embed(part, bar.update)
            metadata = {**(schema.metadata or {}), b"skipped": json.dumps(faults, ensure_ascii=False).encode()}
            table = _table(columns, schema.with_metadata(metadata))
            write_whole(file, partial(parquet.write_table, table))
    faults = [*skipped]
    for file in files:
        faults += json.loads(parquet.read_schema(file).metadata[b"skipped"])
    if kind == "images":
        lines = "".join(json.dumps(fault, ensure_ascii=False) + "\n" for fault in faults)
        write_whole(out / SKIPPED, lambda new: new.write_text(lines, encoding="utf-8"))
    rows = sum(parquet.read_metadata(file).num_rows for file in files)
    return Embedded(files, rows, len(faults), before)


def write_whole(target: Path, write: Callable[[Path], Any]) -> None:
    """A file that is there whole or not at all: written under another name, then renamed."""
    new = target.with_name(f".{target.name}.new")
    write(new)
    os.replace(new, target)


def _table(columns: Columns, schema: pyarrow.Schema) -> pyarrow.Table:
    arrays = []
    for field in schema:
        values = columns[field.name]
        if pyarrow.types.is_fixed_size_list(field.type):
            flat = pyarrow.array(np.ascontiguousarray(values, np.float32).reshape(-1))
            arrays.append(pyarrow.FixedSizeListArray.from_arrays(flat, type=field.type))
        else:
            arrays.append(pyarrow.array(values, field.type))
    return pyarrow.table(arrays, schema=schema)
