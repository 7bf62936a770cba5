"""`pedclip data build`: plans every shard, has workers write them, and puts together what was found.

The plan follows from the source, the settings and the key alone: which image lies in which shard does not depend on
workers or on what was done before. So a build that was killed goes on, and ends with the same bytes.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ....configuration.data import SplitsConfig
from ..splits import split_of_patient
from .card import card
from .duplicates import near_duplicates
from .identity import key_check, pseudonym, read_key
from .picture import PictureSettings
from .shard import features, write_shard
from .sources import Row, rows_of
from .unfinished import alone, end_with, same_as_before, write_whole

SPLITS = ("train", "validation", "test")
WORK, DONE = "unfinished", "finished"  # in the private folder; both gone when the build is done
FORMAT = 3  # of the shards: another number means that an older build cannot go on


@dataclass(frozen=True)
class BuildSettings:
    """What decides a shard's bytes."""

    picture: PictureSettings = field(default_factory=PictureSettings)
    splits: SplitsConfig = field(default_factory=SplitsConfig)  # where the source names none
    images_in_a_shard: int = 512
    dataset: str = "unnamed"

    def __post_init__(self):
        if not 1 <= self.images_in_a_shard <= 100_000:
            raise ValueError(f"a shard of {self.images_in_a_shard} images is not written; choose 1 to 100000")


def private_folder(out: Path) -> Path:
    """Where what names people goes unless told otherwise: beside OUT, which may be handed on."""
    return out.with_name(out.name + "-private")


def build(
    source: Path,
    out: Path,
    settings: BuildSettings,
    *,
    private: Path | None = None,
    workers: int | None = None,
    report: Callable[[dict[str, Any]], Any] | None = None,
) -> dict[str, Any]:
    """Builds OUT, or goes on with it; returns the summary, which stands in OUT/build.json too.

    `private` gets the key, and skipped.jsonl and quarantine.jsonl, which name files. Raises ValueError where OUT holds
    something else, or a build of another source, key or settings. `report` is called with the summary before the build
    counts as done.
    """
    private = (private or private_folder(out)).resolve()
    if private.is_relative_to(out.resolve()):
        raise ValueError(f"the private folder {private} lies in {out}, which is what you hand on; keep it elsewhere")
    work = private / WORK
    if out.exists() and not work.is_dir() and any(out.iterdir()):
        raise ValueError(f"{out} exists and is no unfinished build; name a new folder, or delete it")
    if not private.exists():
        private.mkdir(parents=True)
        private.chmod(0o700)
    shutil.rmtree(private / DONE, ignore_errors=True)
    work.mkdir(exist_ok=True)
    key = read_key(private / "key")
    with alone(work):
        rows, refused = rows_of(source)
        _name_patients(rows, key)
        quarantined = [{"file": row["name"], "reason": row["set_aside"]} for row in rows if row["set_aside"]]
        used = [row for row in rows if not row["set_aside"]]
        if not used:
            first = (quarantined or refused)[0]
            raise ValueError(f"{source} has no image to build from; the first: {first['file']}: {first['reason']}")
        plan = _plan(used, settings, key)
        now = {"format": FORMAT, **asdict(settings), "key": key_check(key), "source": _hash(used)}
        same_as_before(work, now, "build")
        (out / "data").mkdir(parents=True, exist_ok=True)
        for left in (out / "data").glob(".*"):  # by a worker that was killed while writing
            left.unlink()
        todo = [name for name in plan if not (work / f"{name}.json").is_file()]
        _write_all(out, work, {name: plan[name] for name in todo}, len(used), key, settings, workers)
        summary, skipped, alike = _gathered(work, list(plan), used, refused, quarantined, settings)
        for folder, name, lines in (
            (private, "skipped", skipped),
            (private, "quarantine", quarantined),
            (out, "near_duplicates", alike),
        ):
            write_whole(folder / f"{name}.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        write_whole(out / "README.md", card(summary, features()))
        write_whole(out / "build.json", json.dumps(summary, indent=1) + "\n")
        if report is not None:
            report(summary)
        # one step, so that a kill leaves either all that a next run checks or none of it
        os.replace(work, private / DONE)
    shutil.rmtree(private / DONE)
    return summary


def _name_patients(rows: Sequence[Row], key: bytes) -> None:
    for row in rows:  # without a patient a study stays together, and without a study an image is its own
        study = f"study {row['study_id']}" if row["study_id"] else f"file {row['name']}"
        row["patient_hash"] = pseudonym(key, "patient", row["patient_id"] or study)


def _plan(rows: Sequence[Row], settings: BuildSettings, key: bytes) -> dict[str, list[Row]]:
    """{shard's name: its rows}: a patient's images lie together, and neighbours by chance alone."""
    by_split: dict[str, list[Row]] = {name: [] for name in SPLITS}
    named = {settings.splits.train: "train", settings.splits.validation: "validation", settings.splits.test: "test"}
    for row in rows:
        split = row["split"]
        if split is not None and split not in named:
            raise ValueError(f"{row['name']} is in split {split!r}; splits are called {', '.join(named)}")
        by_split[named[split] if split else split_of_patient(row["patient_hash"], settings.splits)].append(row)
    plan = {}
    for split, of_split in by_split.items():
        of_split.sort(key=lambda row: (row["patient_hash"], pseudonym(key, "image", row["name"])))
        size = settings.images_in_a_shard
        parts = [of_split[first : first + size] for first in range(0, len(of_split), size)]
        for number, part in enumerate(parts):
            plan[f"{split}-{number:05}-of-{len(parts):05}"] = part
    return plan


def _write_all(
    out: Path,
    work: Path,
    plan: dict[str, list[Row]],
    images: int,
    key: bytes,
    settings: BuildSettings,
    workers: int | None,
) -> None:
    schema = features().arrow_schema
    workers = min(workers or os.cpu_count() or 1, max(len(plan), 1))
    bar = tqdm(total=images, initial=images - sum(map(len, plan.values())), desc="images", unit="image")

    def arguments(name: str, rows: list[Row]) -> tuple:
        return out / "data" / f"{name}.parquet", work / f"{name}.json", rows, key, settings.picture, schema

    if workers == 1:
        for name, rows in plan.items():
            write_shard(*arguments(name, rows))
            bar.update(len(rows))
        bar.close()
        return
    jobs = iter(plan.items())
    running: dict[Future, int] = {}
    # spawned, not forked: the caller may have threads
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with, initargs=(os.getpid(),)) as pool:
        while True:
            while len(running) < 2 * workers and (job := next(jobs, None)) is not None:
                running[pool.submit(write_shard, *arguments(*job))] = len(job[1])
            if not running:
                break
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                bar.update(running.pop(done))
                try:
                    done.result()
                except BrokenProcessPool as error:
                    raise ValueError(
                        "a worker died, of too little memory or of an image that crashes a decoder; run it again to "
                        "go on, with --workers 1 to see which shard it is"
                    ) from error
    bar.close()


def _gathered(
    work: Path,
    names: Sequence[str],
    rows: Sequence[Row],
    refused: Sequence[Row],
    quarantined: Sequence[Row],
    settings: BuildSettings,
) -> tuple[dict[str, Any], list[Row], list[dict[str, Any]]]:
    """(summary, skipped files, near-duplicates) from what the workers left beside each shard."""
    images: list[dict[str, Any]] = []
    skipped = list(refused)
    for name in names:
        about = json.loads((work / f"{name}.json").read_text(encoding="utf-8"))
        images += [one | {"split": name.split("-")[0]} for one in about["rows"]]
        skipped += about["skipped"]
    thumbnails = [bytes.fromhex(one["thumbnail"]) for one in images]
    pairs = near_duplicates(thumbnails, [one["patient_id"] for one in images])
    alike = [
        {
            "images": [images[pair.first]["image_id"], images[pair.second]["image_id"]],
            "splits": [images[pair.first]["split"], images[pair.second]["split"]],
            "correlation": pair.correlation,
        }
        for pair in pairs
    ]
    in_splits: dict[str, set[str]] = {}
    for one in images:
        in_splits.setdefault(one["patient_id"], set()).add(one["split"])
    summary = {
        "dataset": settings.dataset,
        "settings": asdict(settings),
        "images": dict(Counter(one["split"] for one in images)),
        "patients": dict(Counter(split for splits in in_splits.values() for split in splits)),
        "shards": len(names),
        "skipped": len(skipped),
        "quarantined": len(quarantined),
        "quarantined_by_reason": dict(Counter(one["reason"] for one in quarantined)),
        "annotation_not_stated": sum(row["burned_in"] == "NOT STATED" for row in rows),
        "curated": _curated(images),
        "near_duplicates": len(alike),
        "near_duplicates_across_splits": sum(
            images[pair.first]["split"] != images[pair.second]["split"] for pair in pairs
        ),
        "patients_in_several_splits": sum(len(splits) > 1 for splits in in_splits.values()),
        "counts": {
            name: dict(Counter(_shown(one, name) for one in images).most_common())
            for name in ("body_part", "age", "sex", "view", "year", "window")
        },
    }
    return summary, skipped, alike


def _curated(images: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Who assigned the texts, where that is known: engine, model, its licence, and to how many images."""
    names = ("curation_engine", "curation_model", "curation_licence")
    counted = Counter(tuple(one[name] for name in names) for one in images if one["curation_engine"])
    keys = ("engine", "model", "licence", "images")
    return [dict(zip(keys, (*said, count), strict=True)) for said, count in counted.most_common()]


def _shown(image: dict[str, Any], name: str) -> str:
    if name != "age":
        return str(image[name]) if image[name] is not None else "not stated"
    months = image["age_months"]
    if months is None:
        return "not stated"
    return next(
        (f"{low}-{high - 1} y" for low, high in ((0, 3), (3, 7), (7, 12), (12, 18)) if months < high * 12), "adult"
    )


def _hash(rows: Sequence[Row]) -> str:
    total = hashlib.sha256()
    for row in rows:
        size = os.path.getsize(row["file"]) if os.path.isfile(row["file"]) else None  # a picture may be replaced
        fields = {key: row[key] for key in row if key != "file"} | {"size": size}
        total.update(json.dumps(fields, sort_keys=True).encode())
    return total.hexdigest()
