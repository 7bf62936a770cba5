"""Embeds a data set's images, or a file of texts, into Parquet parts: a run that was killed goes on where it was."""

# Shapes: N rows, C shared width, E experts
import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import torch
import transformers

from pedclip.auto import PedCLIPModel
from pedclip.configuration.data import DataConfig
from pedclip.embedding_parts import Columns, Embedded, Fault, begin, remember, write_parts
from pedclip.eval.embeddings import ModelUnderTest, model_hash
from pedclip.eval.tasks import data_config
from pedclip.hub import load_folder
from pedclip.processing.data.folder import SPLITS, read_folder
from pedclip.processing.data.sample import Sample
from pedclip.processing.data.samples import image_bytes, read_samples
from pedclip.processing.data.shards import ShardSamples, holds_shards, shard_names
from pedclip.processing.dicom_pedclip import UnreadableImageError
from pedclip.processing.reading_pedclip import read_radiograph
from pedclip.processing.text_cache_pedclip import PedCLIPTextCache

FORMAT = 1  # one higher whenever columns or settings change their meaning
NO_MATTER = {"augment": None, "cache_gib": None, "captions": None, "datasets": None}  # of the data's settings


def embed_images(
    model_folder: Path | str,
    data: DataConfig | Path | str,
    out: Path | str,
    *,
    splits: Sequence[str] | None = None,
    batch_size: int = 64,
    part_rows: int = 1024,
    device: str | None = None,
) -> Embedded:
    """Every image's embedding, and how much each expert is involved, into OUT/images-*.parquet.

    `data` is what `pedclip eval` takes: a folder, a recipe, or shards in a folder or on the Hub. Without `splits` all
    that the data have. Images that cannot be read stand in skipped_rows.jsonl with their reason.
    """
    out, config = Path(out), data_config(data)
    _check_sizes(batch_size, part_rows)
    begun = begin(out, "images")
    tested, identity = _opened(model_folder, device)
    groups, skipped = _samples(config, splits, out.with_name(f".{out.name}.skipped"))
    settings = {
        **identity,
        "data": dataclasses.asdict(config) | NO_MATTER,
        "splits": list(splits) if splits else "all",
        "rows": sum(map(len, groups)),
        "rows_hash": _rows_hash(groups),
        "batch_size": batch_size,
        "part_rows": part_rows,
        "body_parts": tested.body_parts,  # the order of router_probs
    }
    remember(out, "images", settings, begun)
    starts = np.cumsum([0, *map(len, groups)]).tolist()
    parts = [part for start, end in pairwise(starts) for part in _parts(start, end, part_rows)]

    def embed(part: Sequence[int], advance: Callable[[int], Any]) -> tuple[Columns, list[Fault]]:
        group = max(number for number, start in enumerate(starts[:-1]) if start <= part[0])
        numbers = [number - starts[group] for number in part]
        return _image_rows(tested, config, groups[group], numbers, batch_size, advance)

    vision = tested.model.config.vision_config
    schema = {
        "file_name": pyarrow.string(),
        "split": pyarrow.string(),
        "body_part": pyarrow.string(),
        "image_embeds": pyarrow.list_(pyarrow.float32(), tested.model.config.shared_dim),
        **({"router_probs": pyarrow.list_(pyarrow.float32(), vision.num_experts)} if vision.mobe_layers else {}),
    }
    metadata = {"model_hash": settings["model_hash"]}
    return write_parts(out, "images", pyarrow.schema(list(schema.items()), metadata), parts, embed, skipped)


def embed_texts(
    model_folder: Path | str,
    texts: Path | str,
    out: Path | str,
    *,
    batch_size: int = 64,
    part_rows: int = 1024,
    device: str | None = None,
) -> Embedded:
    """The embedding of every line of a file, in their order, into OUT/texts-*.parquet."""
    out = Path(out)
    _check_sizes(batch_size, part_rows)
    begun = begin(out, "texts")
    content = Path(texts).read_bytes()
    lines = content.decode("utf-8-sig").removesuffix("\n").split("\n")
    empty = [number for number, line in enumerate(lines, start=1) if not line.strip()]
    if empty:
        raise ValueError(f"{texts}: line {empty[0]} is empty; one text a line is needed")
    tested, identity = _opened(model_folder, device)
    sizes = {"rows": len(lines), "batch_size": batch_size, "part_rows": part_rows}
    settings = {**identity, "texts_hash": hashlib.sha256(content).hexdigest(), **sizes}
    remember(out, "texts", settings, begun)

    def embed(part: Sequence[int], advance: Callable[[int], Any]) -> tuple[Columns, list[Fault]]:
        # a cache for each part: what is in a part must not depend on where a run began
        embeds_of = PedCLIPTextCache(tested.model, tested.processor, size=len(part))
        embeds = []
        for batch in _parts(part[0], part[-1] + 1, batch_size):
            embeds.append(embeds_of([lines[number] for number in batch]).cpu().numpy())
            advance(len(batch))
        return {
            "line": list(part),
            "text": [lines[number] for number in part],
            "text_embeds": np.concatenate(embeds),
        }, []

    width = tested.model.config.shared_dim
    schema = {
        "line": pyarrow.int64(),
        "text": pyarrow.string(),
        "text_embeds": pyarrow.list_(pyarrow.float32(), width),
    }
    metadata = {"model_hash": settings["model_hash"]}
    parts = _parts(0, len(lines), part_rows)
    return write_parts(out, "texts", pyarrow.schema(list(schema.items()), metadata), parts, embed)


def _opened(folder: Path | str, device: str | None) -> tuple[ModelUnderTest, dict[str, Any]]:
    model, processor = load_folder(folder)
    if not isinstance(model, PedCLIPModel):
        raise ValueError(f"{folder} holds a {type(model).__name__}, and embeddings come from a PedCLIPModel")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    begun_with = {"torch": torch.__version__, "transformers": transformers.__version__}
    identity = {"format": FORMAT, "model": Path(folder).name, "model_hash": model_hash(folder), "device": device}
    return ModelUnderTest(model.eval().to(device), processor), identity | {"begun_with": begun_with}


def _parts(start: int, end: int, size: int) -> list[range]:
    return [range(first, min(first + size, end)) for first in range(start, end, size)]


def _samples(
    config: DataConfig, splits: Sequence[str] | None, listed: Path
) -> tuple[list[Sequence[Sample]], list[Fault]]:
    """The samples in groups that are read together, and the rows that cannot be used, which `listed` is lent for."""
    groups: list[Sequence[Sample]] = []
    skipped: list[Fault] = []
    try:
        if splits is None and not holds_shards(config.path):
            groups = [read_folder(config, need_caption=False, skipped_file=listed)]
            return groups, _listed(listed)
        if splits is None:
            own = {getattr(config.splits, split): split for split in SPLITS}
            found = {own[name] for _, name in shard_names(config.path) if name in own}
            splits = [split for split in SPLITS if split in found] or ["test"]  # none at all: the reader says so
        for split in dict.fromkeys(splits):
            groups.append(read_samples(config, split=split, need_caption=False, skipped_file=listed))
            skipped += [fault for fault in _listed(listed) if fault not in skipped]
    finally:
        listed.unlink(missing_ok=True)
    return groups, skipped


def _listed(file: Path) -> list[Fault]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _rows_hash(groups: Sequence[Sequence[Sample]]) -> str:
    total = hashlib.sha256()
    for group in groups:
        for sample in group:
            total.update(json.dumps([sample.file_name, sample.split, sample.body_part]).encode())
    return total.hexdigest()


def _image_rows(
    tested: ModelUnderTest,
    config: DataConfig,
    samples: Sequence[Sample],
    numbers: Sequence[int],
    batch_size: int,
    advance: Callable[[int], Any],
) -> tuple[Columns, list[Fault]]:
    """A part as columns, and its rows whose image is broken: those of shards are read here for the first time."""
    faults: list[Fault] = []
    usable = list(numbers)
    try:
        images = tested.embed_images(_only(samples, usable), config, batch_size, advance, labelled=False)
    except UnreadableImageError:
        for number in numbers:
            try:
                read_radiograph(image_bytes(samples, number))
            except UnreadableImageError as error:
                reason = f"image cannot be read: {error}"
                faults.append({"row": number, "file_name": samples[number].file_name, "reason": reason})
                usable.remove(number)
        if len(usable) == len(numbers):
            raise
        advance(len(faults))
        if not usable:
            empty: list[Any] = []
            return dict.fromkeys(("file_name", "split", "body_part", "image_embeds", "router_probs"), empty), faults
        images = tested.embed_images(_only(samples, usable), config, batch_size, advance, labelled=False)
    columns = {name: [getattr(one, name) for one in images.samples] for name in ("file_name", "split", "body_part")}
    return columns | {
        "image_embeds": images.embeds,
        "router_probs": images.gates[-1] if images.gates else None,
    }, faults


def _only(samples: Sequence[Sample], numbers: Sequence[int]) -> Sequence[Sample]:
    return samples.only(numbers) if isinstance(samples, ShardSamples) else [samples[number] for number in numbers]


def _check_sizes(batch_size: int, part_rows: int) -> None:
    for name, value in (("batch_size", batch_size), ("part_rows", part_rows)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it counts rows, at least 1")
