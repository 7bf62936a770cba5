"""Runs rows of the table on one model: a data set is embedded once, an answer is written as soon as it is there."""

# Shapes: N images
import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ...configuration.data import DataConfig
from ...processing.data.folder import fault_of_image
from ...processing.data.official.readers import official_reader
from ...processing.data.official.terms import all_terms
from ...processing.data.sample import Sample
from ...processing.dicom_pedclip import UnreadableImageError
from ...processing.phantom.official import is_phantom_tree
from ..calibration import calibration
from ..embeddings import EmbeddedImages, ModelUnderTest, load_model, model_hash
from ..json_files import read_json, write_json
from ..leakage import leak_mark, leaks_of
from ..predictions import numbered
from ..statistics import RESAMPLES, patient_weights, without_each
from ..tasks import data_hash, provenance, shown
from .asked import Answer, Asked
from .by_group import by_group
from .maps import MAPS, maps_of
from .stored import (
    RESULTS,
    TASKS_FOLDER,
    earlier_statuses,
    remember,
    still_holds,
    stored_answers,
)
from .tasks import TASKS, BenchTask
from .zero_shot import PROMPTS

SPLITS = ("train", "validation", "test")
LABELS = ("findings", "bone_age_months", "masks", "boxes", "row")  # part, age and sex may be known to a method
NOT_AVAILABLE = "data not available"
NOT_ANSWERED = "not answered"


@dataclasses.dataclass(frozen=True)
class Bench:
    """How a run is made; what two runs have to share before their numbers are compared."""

    model: Path
    data_root: Path
    prompts: Path = PROMPTS
    resamples: int = RESAMPLES
    seed: int = 0
    shuffled: bool = False  # the control: every image gets another one's labels
    allow_leaks: bool = False  # go on with test images that the model was trained on; every entry says so

    def settings(self) -> dict[str, Any]:
        """As JSON, without a path of this machine. Leaks are allowed call by call, so that is not among them."""
        return {
            "prompts": self.prompts.name,
            "prompts_sha256": hashlib.sha256(self.prompts.read_bytes()).hexdigest(),
            "resamples": self.resamples,
            "seed": self.seed,
            "shuffled_labels": self.shuffled,
        }


@dataclasses.dataclass(frozen=True)
class Images:
    """One data set as it lies there: its usable images by split, and what is known of leaks."""

    samples: dict[str, list[Sample]]
    hashes: dict[str, str]  # by split
    leaks: dict[str, Any]


def run_bench(
    bench: Bench,
    out: Path,
    names: Sequence[str] = (),
    say: Callable[[str], Any] = tqdm.write,
    note: str | None = None,
) -> list[dict[str, Any]]:
    """Each task's entry, in the order of the table.

    An answer that OUT has from an earlier call is used again where model, settings and all images are the same. A data
    set whose folder is not there, cannot be read, or holds what the model was trained on, gives entries that say so,
    and the others go on. OUT/tasks/NAME.json holds an answer with its predictions, OUT/results.json all entries, also
    of earlier calls, and OUT/maps.json relevance maps of generated films.
    """
    chosen = tasks_named(names)
    settings, own_hash = bench.settings(), model_hash(bench.model)
    out.mkdir(parents=True, exist_ok=True)
    remember(out, {**settings, "model_hash": own_hash})
    (out / TASKS_FOLDER).mkdir(exist_ok=True)
    stored = stored_answers(out)
    entries: dict[str, dict[str, Any]] = {}
    hashes: dict[str, dict[str, str]] = {}
    answered: list[str] = []
    opened: ModelUnderTest | None = None
    with tqdm(total=len(chosen), unit="task") as bar:
        for data_set, tasks in _by_data_set(chosen).items():
            images = _images(bench, data_set)
            asked: Asked | None = None
            for task in tasks:
                bar.set_description(task.name)
                if isinstance(images, str):
                    entry = _missing(task) if images == NOT_AVAILABLE else _unanswered(task, images)
                else:
                    hashes[data_set] = images.hashes
                    entry = stored.get(task.name, {})
                    if not still_holds(entry, settings, own_hash, images.hashes, bench.allow_leaks):
                        began = time.monotonic()
                        try:
                            if asked is None:
                                opened = opened or load_model(bench.model)
                                asked = ask(bench, opened, data_set, images.samples)
                            entry = _entry(bench, task, asked, images, began)
                            write_json(out / TASKS_FOLDER / f"{task.name}.json", {**entry, "model_hash": own_hash})
                            entry["model_hash"] = own_hash
                            answered.append(data_set)
                        except (ValueError, OSError) as error:  # too few images of a kind, say: the other tasks go on
                            entry = _unanswered(task, f"{NOT_ANSWERED}: {error}")
                entries[task.name] = entry
                say(line_of(entry))
                bar.update()
    others = {
        name: entry
        for name, entry in stored.items()
        if name in TASKS
        and name not in entries
        and still_holds(entry, settings, own_hash, hashes.get(TASKS[name].data_set), bench.allow_leaks)
    }
    others |= earlier_statuses(out, [*entries, *others])
    rows = {**others, **entries}
    kept = [_without_predictions(rows[name]) for name in TASKS if name in rows]
    head = {"name": out.name, "note": note, **settings, "allow_leaks": bench.allow_leaks, "model_hash": own_hash}
    write_json(out / RESULTS, {**head, "tasks": kept})
    if opened is not None and answered and not bench.shuffled:
        _draw_maps(bench, opened, out, list(dict.fromkeys(answered)), say)
    return [entries[task.name] for task in chosen]


def failed(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The tasks whose data are there and that were not answered."""
    return [entry["task"] for entry in entries if entry.get("status", "").startswith(NOT_ANSWERED)]


def _by_data_set(tasks: Sequence[BenchTask]) -> dict[str, list[BenchTask]]:
    """Each data set's tasks, so that it is read and embedded once, and one is in memory at a time."""
    found: dict[str, list[BenchTask]] = {}
    for task in tasks:
        found.setdefault(task.data_set, []).append(task)
    return found


def _images(bench: Bench, data_set: str) -> Images | str:
    """The data set's images, or why there are none: NOT_AVAILABLE, or NOT_ANSWERED and the reason."""
    if not (bench.data_root / data_set).is_dir():
        return NOT_AVAILABLE
    try:
        samples = read_splits(bench, data_set)
        leaks = leaks_of(bench.model, samples["test"], [data_set], allow=bench.allow_leaks)
    except (ValueError, OSError) as error:
        return f"{NOT_ANSWERED}: {error}"
    return Images(samples, {split: data_hash(own) for split, own in samples.items()}, leaks)


def _draw_maps(
    bench: Bench, tested: ModelUnderTest, out: Path, data_sets: Sequence[str], say: Callable[[str], Any]
) -> None:
    """OUT/maps.json: those of these data sets anew. The results stand already, so a failure is told and no more."""
    try:
        before = read_json(out / MAPS) if (out / MAPS).is_file() else []
        maps = maps_of(tested, bench.data_root, data_sets, bench.prompts)
    except (ValueError, OSError, LookupError, RuntimeError, ImportError) as error:
        say(f"  no relevance maps, and the results are whole: {error}")
        return
    write_json(out / MAPS, [*(one for one in before if one["data_set"] not in data_sets), *maps])


def tasks_named(names: Sequence[str]) -> list[BenchTask]:
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise ValueError(f"unknown task {unknown[0]!r}; there are {', '.join(TASKS)}")
    return [task for task in TASKS.values() if task.name in names or (not names and task.of_the_paper)]


def read_splits(bench: Bench, data_set: str) -> dict[str, list[Sample]]:
    """The usable samples of each split; files that cannot be read are left out, with a word."""
    folder = bench.data_root / data_set
    samples = usable(official_reader(data_set).read(folder).samples)
    splits = {split: [sample for sample in samples if sample.split == split] for split in SPLITS}
    for split, own in splits.items():
        if not own:
            raise ValueError(f"{folder.name}/ has no images in split {split}; a benchmark needs all three")
    return splits


def ask(
    bench: Bench, tested: ModelUnderTest, data_set: str, samples: Mapping[str, Sequence[Sample]] | None = None
) -> Asked:
    """A data set embedded, and read where `samples` by split are not given; the control has its labels dealt out."""
    config = DataConfig(path=str(bench.data_root / data_set))
    splits = {}
    for split, own in (samples or read_splits(bench, data_set)).items():
        with tqdm(total=len(own), unit="image", desc=f"{data_set}, {split}", leave=False) as bar:
            images = tested.embed_images(own, config, advance=bar.update)
        splits[split] = shuffled(images, bench.seed) if bench.shuffled else images
    return Asked(tested, splits, config, bench.resamples, bench.seed, bench.shuffled)


def usable(samples: Sequence[Sample]) -> list[Sample]:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        faults = list(threads.map(lambda sample: fault_of_image(sample.path), samples))
    broken = [sample for sample, fault in zip(samples, faults, strict=True) if fault]
    if broken:
        first = next(fault for fault in faults if fault)
        tqdm.write(f"{len(broken)} of {len(samples)} images cannot be used and are left out; the first: {first}")
    if len(broken) == len(samples):
        raise UnreadableImageError(f"none of the {len(samples)} images can be read; the first: {faults[0]}")
    return [sample for sample, fault in zip(samples, faults, strict=True) if not fault]


def shuffled(images: EmbeddedImages, seed: int) -> EmbeddedImages:
    """The control: the same pictures and patients, with everything that is known of them dealt out anew.

    What a method still finds then is chance, or a mistake of the method.
    """
    order = np.random.default_rng(seed).permutation(len(images.samples))
    dealt = [
        dataclasses.replace(sample, **{name: getattr(images.samples[other], name) for name in LABELS})
        for sample, other in zip(images.samples, order, strict=True)
    ]
    return dataclasses.replace(images, samples=dealt)


def _entry(bench: Bench, task: BenchTask, asked: Asked, images: Images, began: float) -> dict[str, Any]:
    embedded = time.monotonic() - began
    answer = task.method(asked, bench.prompts)
    test = asked.splits["test"].samples
    drawing = {"resamples": bench.resamples, "seed": bench.seed}
    more: dict[str, Any] = {}
    if not bench.shuffled:  # the control has no groups: it has other images' rows
        more["subgroups"] = by_group(answer, test, task.lower_is_better, **drawing)
    if (said := answer.stated) is not None:
        more["calibration"] = calibration(said.truth, said.probabilities, said.patients, **drawing)
    return {
        "task": task.name,
        "title": task.title,
        "data_set": name_of_tree(bench.data_root / task.data_set, task.data_set),
        "model": asked.tested.name,
        **answer.result,
        **more,
        "better": "lower" if task.lower_is_better else "higher",
        "images": {split: len(images.samples) for split, images in asked.splits.items()},
        "settings": {**answer.result.get("settings", {}), **bench.settings()},
        # the control's labels are others, and its numbers are never compared with the signal's
        **provenance(test, bench.seed, bench.resamples, None if bench.shuffled else images.hashes["test"]),
        "data_hashes": images.hashes,
        "leaks": images.leaks,
        "seconds": round(time.monotonic() - began, 1),
        "seconds_of_embedding": round(embedded, 1),
        **draws_of(answer, bench),
        "predictions": {
            **answer.predictions,
            "patient": numbered([one.patient_id for one in _asked_about(answer, test)]),
        },
    }


def _asked_about(answer: Answer, test: Sequence[Sample]) -> Sequence[Sample]:
    return test if answer.rows is None else [test[row] for row in answer.rows]


def line_of(entry: Mapping[str, Any]) -> str:
    """An entry for the terminal: name, value with its interval, chance, images."""
    if "status" in entry:
        return f"  {entry['task']:<30} {entry['status']}"
    return (
        f"  {entry['task']:<30} {entry['metric']:<10} {shown(entry):<26} chance {entry['chance']:.3f}  "
        f"n {entry['n']}, {entry['patients']} patients, {entry['seconds']:.0f} s{leak_mark(entry)}"
    )


def _missing(task: BenchTask) -> dict[str, Any]:
    tree = official_reader(task.data_set).tree
    needs = f"{task.data_set}/ in the data root, as it is downloaded:\n{tree}"
    return {**_unanswered(task, NOT_AVAILABLE), "needs": needs}


def _unanswered(task: BenchTask, why: str) -> dict[str, Any]:
    return {
        "task": task.name,
        "title": task.title,
        "data_set": official_reader(task.data_set).title,
        "status": why,
    }


def _without_predictions(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in ("predictions", "draws", "without_each")}


def draws_of(answer: Answer, bench: Bench) -> dict[str, list[float | None]]:
    """The headline in every resample, and without each patient: what a difference of two models is made of."""
    if len(set(answer.patients)) < 2:
        return {}
    weights = patient_weights(answer.patients, bench.resamples, bench.seed)
    values = {"draws": answer.metric(weights), "without_each": without_each(answer.metric, answer.patients)}
    return {name: [float(value) if np.isfinite(value) else None for value in found] for name, found in values.items()}


def name_of_tree(folder: Path, data_set: str) -> str:
    """The data set's name; a tree that the phantom wrote never stands under that of real radiographs."""
    title = official_reader(data_set).title
    return f"{all_terms()['phantom'].title}, laid out as {title}" if is_phantom_tree(folder) else title
