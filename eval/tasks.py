"""The tasks as rows of a table, and the one function that runs a row and writes down everything it depended on."""

import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..configuration.data import DataConfig
from ..configuration.training import load_recipe
from ..processing.data.official.terms import all_terms
from ..processing.data.sample import Sample
from ..processing.data.samples import image_bytes, read_samples
from .detector import NO_XRAY, UNKNOWN_PART, embed_no_xray, gate_detector, split_by_training
from .embeddings import EmbeddedImages, ModelUnderTest, load_model, model_hash
from .gate import gate_accuracy
from .leakage import leaks_of
from .predictions import of_detector, of_gate, of_matching
from .prompt_classification import prompt_classification
from .prompts import questions
from .retrieval import matching, retrieval_result
from .statistics import RESAMPLES


@dataclass(frozen=True)
class Settings:
    """What a method may depend on besides the model and the images."""

    data: DataConfig
    where: Mapping[str, Sequence[Any]] | None = None  # narrows a question's rows, by column
    resamples: int = RESAMPLES
    seed: int = 0


def ask(name: str, tested: ModelUnderTest, images: EmbeddedImages, settings: Settings) -> dict[str, Any]:
    question = questions()[name]
    answer = prompt_classification(
        tested,
        images,
        question,
        settings.data,
        where=settings.where,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    return {**answer.result, "predictions": answer.predictions}


def find(name: str, tested: ModelUnderTest, images: EmbeddedImages, settings: Settings) -> dict[str, Any]:
    found = matching(tested, images, settings.data)
    result = retrieval_result(found, images, settings.data, resamples=settings.resamples, seed=settings.seed)
    return {**result, "predictions": of_matching(found, images)}


def gate(name: str, tested: ModelUnderTest, images: EmbeddedImages, settings: Settings) -> dict[str, Any]:
    result = gate_accuracy(images, tested.body_parts, resamples=settings.resamples, seed=settings.seed)
    return {**result, "predictions": of_gate(images, tested.body_parts)}


def detect(name: str, tested: ModelUnderTest, images: EmbeddedImages, settings: Settings) -> dict[str, Any]:
    parts = None if tested.training_labels is None else tested.training_labels["body_part"]
    known, strange = split_by_training(images, parts)
    unknown = {UNKNOWN_PART: strange, NO_XRAY: embed_no_xray(tested, settings.data, seed=settings.seed)}
    result = gate_detector(known, unknown, resamples=settings.resamples, seed=settings.seed)
    return {**result, "predictions": of_detector(known, unknown)}


@dataclass(frozen=True)
class Task:
    """A row: `method(name, tested, images, settings)` gives {value, low, high, n, patients, predictions, ...}."""

    name: str
    method: Callable[[str, ModelUnderTest, EmbeddedImages, Settings], dict[str, Any]]
    headline: str  # what `value` is, in words


TASKS = {
    task.name: task
    for task in (
        Task("body-part", ask, headline="macro AUC"),
        Task("pneumonia", ask, headline="AUC"),
        Task("viral-bacterial", ask, headline="AUC"),
        Task("scoliosis", ask, headline="AUC"),
        Task("retrieval", find, headline="image to text R@1"),
        Task("gate", gate, headline="accuracy"),
        Task("gate-detector", detect, headline="AUC of known against unknown images"),
    )
}


def run_task(
    name: str,
    model: ModelUnderTest | Path | str,
    data: DataConfig | Path | str,
    split: str = "test",
    *,
    where: Mapping[str, Sequence[Any]] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    allow_leaks: bool = False,
) -> dict[str, Any]:
    """One task on one model: {task, value, low, high, n, predictions, ...} with all that it depended on.

    `model` is a folder or an open model; `data` a folder of images with metadata, a recipe (YAML, for its `data:`
    part), or a DataConfig. Test images that the model was trained on are a LeakError, or with `allow_leaks` stand in
    the result; what is known of a model's training is the manifest that its run left beside the folder.
    """
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; there are {', '.join(TASKS)}")
    config = data_config(data)
    tested = model if isinstance(model, ModelUnderTest) else load_model(model)
    samples = read_samples(config, split=split, need_caption=False)
    leaks: dict[str, Any] = {"found": None, "says": "not looked for: an open model, or images of another split"}
    if split == "test" and not isinstance(model, ModelUnderTest):
        leaks = leaks_of(model, samples, config.datasets, allow=allow_leaks)
    images = tested.embed_images(samples, config)
    result = TASKS[name].method(name, tested, images, Settings(config, where, resamples, seed))
    return {
        "task": name,
        **result,
        "model": tested.name,
        "model_hash": None if isinstance(model, ModelUnderTest) else model_hash(model),
        "data_set": data_set_name(config),
        "split": split,
        "leaks": leaks,
        **provenance(samples, seed, resamples),
    }


def data_config(data: DataConfig | Path | str) -> DataConfig:
    if isinstance(data, DataConfig):
        return data
    path = Path(data)
    if path.suffix in (".yaml", ".yml"):
        return load_recipe(path).data
    return DataConfig(path=str(path))


def data_set_name(config: DataConfig) -> str | None:
    """What the numbers stand under: the owner's names, or the phantom's, whose folders say what they are."""
    if Path(config.path, "phantom.json").is_file():
        return all_terms()["phantom"].title
    titles = [all_terms()[name].title if name in all_terms() else name for name in config.datasets]
    return ", ".join(titles) or None


def provenance(samples: Sequence[Sample], seed: int, resamples: int, known_hash: str | None = None) -> dict[str, Any]:
    """What makes a number repeatable: versions, seed, and a hash over the images and labels it was made from.

    `known_hash` is that hash, where the samples were read for it already.
    """
    return {
        "seed": seed,
        "resamples_asked": resamples,
        "interval": f"95 %, BCa widened for few patients, {resamples} resamples of whole patients",
        "data_hash": known_hash or data_hash(samples),
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("torch", "transformers", "numpy", "pillow")},
        },
    }


def data_hash(samples: Sequence[Sample]) -> str:
    """SHA-256 over every image's bytes and metadata row, in the order of file names."""
    total = hashlib.sha256()
    for index, sample in sorted(enumerate(samples), key=lambda numbered: numbered[1].file_name):
        total.update(json.dumps([sample.file_name, dict(sample.row)], sort_keys=True, default=str).encode())
        total.update(hashlib.sha256(image_bytes(samples, index)).digest())
    return total.hexdigest()


def table(result: Mapping[str, Any]) -> str:
    """A result in a few lines for the terminal."""
    lines = [
        f"{result['task']}: {result['asks']} ({result['kind']})",
        f"{result['metric']} {shown(result)}; n {result['n']}, {result['patients']} patients, "
        f"chance {result['chance']:.3f}, split {result['split']}",
    ]
    leaks = result.get("leaks", {"found": False})
    if leaks["found"]:
        lines.append(f"LEAK: {leaks['says']}; this number is no test of the model")
    elif leaks["found"] is None:
        lines.append(f"leaks: {leaks['says']}")
    for row in result.get("classes", []):
        value = f"{row['value']:.3f}" if "value" in row else "  -  "
        value += " below chance" if row.get("below_chance") else ""
        left_out = "" if row.get("in_mean", True) else "  (too few for the mean)"
        lines.append(f"  {row['class']:<24} {value}  n {row['n']}{left_out}")
    for direction in ("image_to_text", "text_to_image"):
        for name, score in result.get(direction, {}).items():
            lines.append(f"  {direction.replace('_', ' ')} {name:<5} {shown(score)}  chance {score['chance']:.3f}")
    return "\n".join(lines)


def shown(score: Mapping[str, Any], sign: str = "") -> str:
    """0.981 (0.975 to 0.987), and whether that is below chance; a difference with the sign "+"."""
    flag = " below chance" if score.get("below_chance") else ""
    if score.get("low") is None:
        return f"{score['value']:{sign}.3f} ({no_interval(score)}){flag}"
    return f"{score['value']:{sign}.3f} ({score['low']:{sign}.3f} to {score['high']:{sign}.3f}){flag}"


def no_interval(score: Mapping[str, Any]) -> str:
    """Why a score has none, where it says so."""
    why = score.get("no_interval")
    return f"no interval: {why}" if why else "no interval"
