"""Training shards: Parquet files with the images inside, read a row group at a time, from a folder or the Hub.

The layout is that of `datasets`: data/train-00000-of-00042.parquet, with a column `image` of {bytes, path}. Everything
but the images is kept as one Arrow table; images are read when their batch comes, so an archive may be larger than the
memory. Which image comes when follows from the seed and the epoch alone (batches.py), so training resumes anywhere.
"""

import os
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import fsspec
import numpy as np
import pyarrow
from pyarrow import parquet

from ...configuration.data import DataConfig
from .metadata import list_of_names, text_or_none
from .sample import Sample

SHARD_NAME = re.compile(r"(?P<split>.+)-\d{5}-of-(?P<total>\d{5})\.parquet")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
IMAGE = "image"
OPEN_ROW_GROUPS = 12  # kept in memory, for each process that reads: what BLOCKS_AT_ONCE shuffles, and the next ones


def holds_shards(path: str) -> bool:
    """Whether `data.path` is a folder of shards or, where no such folder is here, looks like a Hub data set's id."""
    if Path(path).is_dir():
        return bool(shard_names(path))
    return path.startswith("hf://") or (HUB_ID.fullmatch(path) is not None and not Path(path).exists())


class ShardSamples(Sequence[Sample]):
    """The samples of one split. Made from the table when asked for; their images come from `content`."""

    def __init__(self, config: DataConfig, split: str):
        self.config, self.split = config, split
        own_name = {"train": config.splits.train, "validation": config.splits.validation, "test": config.splits.test}
        names = shard_names(config.path)
        self.files = [name for name, of_split in names if of_split == own_name[split]]
        if not self.files:
            splits = sorted({of_split for _, of_split in names})
            raise ValueError(
                f"{config.path} has no shards of split {own_name[split]!r}; there are {', '.join(splits) or 'none'}. "
                "Name them under data.splits"
            )
        self._readers: dict[tuple[int, str], parquet.ParquetFile] = {}
        self._groups: OrderedDict[tuple[int, int], Any] = OrderedDict()
        tables, blocks = [], []
        for number, name in enumerate(self.files):
            reader = self._reader(name)
            if IMAGE not in reader.schema_arrow.names:
                raise ValueError(f"{name} has no column {IMAGE!r}; its columns are {reader.schema_arrow.names}")
            light = [column for column in reader.schema_arrow.names if column != IMAGE]
            tables.append(reader.read(columns=light))
            for group in range(reader.num_row_groups):
                rows = reader.metadata.row_group(group).num_rows
                blocks += [(number, group, row) for row in range(rows)]
        self._table = pyarrow.concat_tables(tables, promote_options="default")
        self._places = np.array(blocks, np.int64).reshape(-1, 3)  # (N, 3): shard, row group, row in it
        self._kept = np.arange(len(self._places))

    def only(self, kept: Sequence[int]) -> "ShardSamples":
        """These samples alone, in this order."""
        some = object.__new__(ShardSamples)
        some.__dict__ = {**self.__dict__, "_kept": self._kept[list(kept)], "_groups": OrderedDict()}
        return some

    @property
    def blocks(self) -> np.ndarray:
        """(N,): samples of one row group have the same number."""
        places = self._places[self._kept]
        return np.unique(places[:, :2], axis=0, return_inverse=True)[1].reshape(-1)

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        number = int(self._kept[index])
        row = {name: self._table[name][number].as_py() for name in self._table.column_names}
        columns, shard = self.config.columns, self.files[self._places[number, 0]]

        def cell(column: str | None) -> Any:
            return None if column is None else row.get(column)

        name = f"{Path(shard).name}#{'-'.join(map(str, self._places[number, 1:]))}"
        return Sample(
            path=Path(shard),
            file_name=name,
            body_part=text_or_none(cell(columns.body_part)),
            patient_id=text_or_none(cell(columns.patient_id)) or name,
            split=self.split,
            text=text_or_none(cell(columns.text)),
            findings=list_of_names(cell(columns.findings)),
            row=row,
        )

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def content(self, index: int) -> bytes:
        """The image's bytes, as they lie in the shard."""
        shard, group, row = (int(part) for part in self._places[self._kept[index]])
        key = (shard, group)
        if key not in self._groups:
            images = self._reader(self.files[shard]).read_row_group(group, columns=[IMAGE])[IMAGE]
            self._groups[key] = images.combine_chunks()
            while len(self._groups) > OPEN_ROW_GROUPS:
                self._groups.popitem(last=False)
        self._groups.move_to_end(key)
        return self._groups[key].field("bytes")[row].as_py()

    def _reader(self, name: str) -> parquet.ParquetFile:
        # a worker process that was forked must not share a file's position with its parent
        key = (os.getpid(), name)
        if key not in self._readers:
            is_local = Path(name).is_file()
            source = name if is_local else fsspec.open(name, "rb").open()
            self._readers[key] = parquet.ParquetFile(source, memory_map=is_local)
        return self._readers[key]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_readers": {}, "_groups": OrderedDict()}


def shard_names(path: str) -> list[tuple[str, str]]:
    """(address, split) of every shard, in order; an incomplete set is an error."""
    if Path(path).is_dir():
        found = sorted(str(file) for file in (*Path(path).glob("*.parquet"), *Path(path).glob("data/*.parquet")))
    else:
        address = path if path.startswith("hf://") else f"hf://datasets/{path}"
        files, _ = fsspec.core.url_to_fs(address)
        where = address.split("://", 1)[1]
        listed = (name for pattern in ("*", "data/*") for name in files.glob(f"{where}/{pattern}.parquet"))
        found = sorted(f"hf://{name}" for name in listed)
    named = [(name, SHARD_NAME.fullmatch(name.rsplit("/", 1)[-1])) for name in found]
    totals: dict[str, list[int]] = {}
    for _, match in named:
        if match:
            totals.setdefault(match["split"], []).append(int(match["total"]))
    for split, of_split in totals.items():
        if set(of_split) != {len(of_split)}:
            raise ValueError(
                f"{path} has {len(of_split)} shards of split {split!r} and their names say {sorted(set(of_split))}; "
                "the rest is missing, or two builds lie together"
            )
    return [(name, match["split"]) for name, match in named if match]
