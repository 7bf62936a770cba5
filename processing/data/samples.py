"""The samples that `data.path` holds, whatever its form: an imagefolder, or shards in a folder or on the Hub."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...configuration.data import DataConfig
from .captions import Captions
from .folder import SPLITS, read_folder, report_skipped
from .sample import Sample
from .shards import ShardSamples, holds_shards


def read_samples(
    config: DataConfig,
    *,
    split: str,
    skipped_file: Path | str | None = None,
    need_caption: bool = True,
) -> Sequence[Sample]:
    """One split's samples; rows that cannot be used are skipped, and listed with their reason in `skipped_file`.

    Images of a folder are checked here; those of shards were, by `pedclip data build`.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; ask for {', '.join(SPLITS)}. What the data call them is in data.splits")
    if not holds_shards(config.path):
        return read_folder(config, split=split, skipped_file=skipped_file, need_caption=need_caption)
    if config.volumes is not None:
        raise ValueError(
            f"data.volumes is set, and data.path {config.path} holds no folder of files but shards, which hold single "
            "images; leave data.volumes out, or give a folder"
        )
    try:
        samples = ShardSamples(config, split)
    except OSError as error:
        raise ValueError(
            f"data.path {config.path} is no folder here, and as a data set of the Hub it cannot be read: {error}"
        ) from error
    captions = Captions(config)
    skipped: list[dict[str, Any]] = []
    kept = []
    for number, sample in enumerate(samples if need_caption else ()):
        if captions.caption(sample):
            kept.append(number)
        else:
            reason = "no text, and no caption template fits its labels"
            skipped.append({"row": number, "file_name": sample.file_name, "reason": reason})
    report_skipped(skipped, len(samples), config.path, skipped_file)
    if need_caption and not kept:
        raise ValueError(f"{config.path}: none of the {len(samples)} rows can be used; the first: {skipped[0]}")
    return samples.only(kept) if skipped else samples


def image_bytes(samples: Sequence[Sample], index: int) -> bytes:
    """An image or a volume as it is stored, before anything is decoded; of a series all files, by name."""
    if isinstance(samples, ShardSamples):
        return samples.content(index)
    path = samples[index].path
    if path.is_dir():
        return b"".join(file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file())
    return path.read_bytes()
