"""Runs rows of the table on one model: a data set is embedded once, an answer is written as soon as it is there."""

# Shapes: N images
import dataclasses
import json
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
from ..leakage import leaks_of
from ..statistics import RESAMPLES, patient_weights, without_each
from ..tasks import provenance, shown
from .asked import Answer, Asked
from .by_group import by_group
from .maps import MAPS, maps_of
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
        """As JSON, without a path of this machine."""
        return {
            "prompts": self.prompts.name,
            "resamples": self.resamples,
            "seed": self.seed,
            "shuffled_labels": self.shuffled,
        }


def run_bench(
    bench: Bench,
    out: Path,
    names: Sequence[str] = (),
    say: Callable[[str], Any] = tqdm.write,
    note: str | None = None,
) -> list[dict[str, Any]]:
    """Each task's entry, in the order of the table; those that OUT has from an earlier run are not made again.

    A data set whose folder is not there gives an entry that says so. OUT/tasks/NAME.json holds an answer with its
    predictions, OUT/results.json all entries, OUT/maps.json relevance maps of generated films.
    """
    chosen = tasks_named(names)
    out.mkdir(parents=True, exist_ok=True)
    remember(out, {**bench.settings(), "model_hash": model_hash(bench.model)})
    (out / "tasks").mkdir(exist_ok=True)
    entries: dict[str, dict[str, Any]] = {}
    pending = []
    for task in chosen:
        file = out / "tasks" / f"{task.name}.json"
        if file.is_file():
            entries[task.name] = json.loads(file.read_text(encoding="utf-8"))
        elif (folder := bench.data_root / task.data_set).is_dir():
            pending.append(task)
        else:
            entries[task.name] = _missing(task, folder)
    first = {name: place for place, name in reversed(list(enumerate(task.data_set for task in pending)))}
    pending.sort(key=lambda task: first[task.data_set])  # so that each data set is embedded once
    opened = load_model(bench.model) if pending else None
    sets: dict[str, Asked] = {}
    leaks: dict[str, Any] = {}
    with tqdm(total=len(pending), unit="task") as bar:
        for task in pending:
            assert opened is not None
            bar.set_description(task.name)
            began = time.monotonic()
            if task.data_set not in sets:
                sets = {task.data_set: ask(bench, opened, task.data_set)}  # one data set in memory at a time
                test = sets[task.data_set].splits["test"].samples
                leaks = leaks_of(bench.model, test, [task.data_set], allow=bench.allow_leaks)
            asked = sets[task.data_set]
            embedding = time.monotonic() - began
            try:
                entry = _entry(bench, task, asked, task.method(asked, bench.prompts), began)
                entry["seconds_of_embedding"] = round(embedding, 1)
                entry["leaks"] = leaks
            except ValueError as error:  # too few images of a kind, say: the other tasks go on
                entry = _unanswered(task, f"{NOT_ANSWERED}: {error}")
            entries[task.name] = entry
            write_json(out / "tasks" / f"{task.name}.json", entries[task.name])
            say(line_of(entries[task.name]))
            bar.update()
    if opened is not None and not bench.shuffled:
        data_sets = list(dict.fromkeys(task.data_set for task in chosen))
        write_json(out / MAPS, maps_of(opened, bench.data_root, data_sets, bench.prompts))
    ordered = [entries[task.name] for task in chosen]
    kept = [_without_predictions(entry) for entry in ordered]
    write_json(out / "results.json", {"name": out.name, "note": note, **bench.settings(), "tasks": kept})
    return ordered


def tasks_named(names: Sequence[str]) -> list[BenchTask]:
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise ValueError(f"unknown task {unknown[0]!r}; there are {', '.join(TASKS)}")
    return [task for task in TASKS.values() if task.name in names or (not names and task.of_the_paper)]


def ask(bench: Bench, tested: ModelUnderTest, data_set: str) -> Asked:
    """A data set read and embedded; files that cannot be read are left out, with a word."""
    folder = bench.data_root / data_set
    samples = usable(official_reader(data_set).read(folder).samples)
    config = DataConfig(path=str(folder))
    splits = {}
    for split in SPLITS:
        own = [sample for sample in samples if sample.split == split]
        if not own:
            raise ValueError(f"{folder} has no images in split {split}; a benchmark needs all three")
        with tqdm(total=len(own), unit="image", desc=f"{data_set}, {split}", leave=False) as bar:
            images = tested.embed_images(own, config, advance=bar.update)
        splits[split] = shuffled(images, bench.seed) if bench.shuffled else images
    return Asked(tested, splits, config, bench.resamples, bench.seed)


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


def _entry(bench: Bench, task: BenchTask, asked: Asked, answer: Answer, began: float) -> dict[str, Any]:
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
        **provenance(test, bench.seed, bench.resamples),
        "seconds": round(time.monotonic() - began, 1),
        **draws_of(answer, bench),
        "predictions": {
            **answer.predictions,
            "patient": numbered(test if answer.rows is None else [test[row] for row in answer.rows]),
        },
    }


def remember(out: Path, settings: Mapping[str, Any]) -> None:
    """Writes OUT/settings.json; where a run began already, makes sure that it began with these."""
    file, now = out / "settings.json", json.loads(json.dumps(settings))
    if not file.is_file():
        write_json(file, now)
        return
    begun = json.loads(file.read_text(encoding="utf-8"))
    changed = sorted(key for key in now.keys() | begun.keys() if now.get(key) != begun.get(key))
    if changed:
        raise ValueError(
            f"{out} holds results of another run ({', '.join(changed)} differ); take its settings, or another --out"
        )


def write_json(file: Path, value: Any) -> None:
    """Whole or not at all; NaN, which JSON has not, is an error."""
    new = file.with_name(f".{file.name}.new")
    new.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(new, file)


def line_of(entry: Mapping[str, Any]) -> str:
    """An entry for the terminal: name, value with its interval, chance, images."""
    if "status" in entry:
        return f"  {entry['task']:<30} {entry['status']}"
    leak = "  LEAK" if entry.get("leaks", {}).get("found") else ""
    return (
        f"  {entry['task']:<30} {entry['metric']:<10} {shown(entry):<26} chance {entry['chance']:.3f}  "
        f"n {entry['n']}, {entry['patients']} patients, {entry['seconds']:.0f} s{leak}"
    )


def _missing(task: BenchTask, folder: Path) -> dict[str, Any]:
    tree = official_reader(task.data_set).tree
    needs = f"{folder.name}/ in the data root, as it is downloaded:\n{tree}"
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


def numbered(samples: Sequence[Sample]) -> list[int]:
    """Which images are one patient's, without saying whose."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(sample.patient_id, len(numbers)) for sample in samples]
