"""Zero-shot classification: the questions of a prompts file, asked of the test images of a data set."""

# Shapes: N images, C classes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ..classification import Classification, enough, few_patients
from ..prompt_classification import SEEN, UNKNOWN, ZERO_SHOT, logits_of, prompt_classification
from ..prompts import Question, Selection
from ..statistics import among, below_chance, estimate, mean_of
from .asked import Answer, Asked, Stated
from .label_auc import sigmoid

PROMPTS = Path(__file__).parent / "prompts.yaml"
FIELDS = {"asks", "min_images", "prompts"}
INTERVAL = ("value", "low", "high", "no_interval", "below_chance", "interval_below_chance")


@dataclass(frozen=True)
class Asking:
    """A data set's entry in a prompts file: its labels as questions of their own, or its classes as one."""

    asks: str
    questions: Sequence[Question]
    several: bool  # labels, each against its absence, rather than classes


@cache
def askings(path: Path = PROMPTS) -> dict[str, Asking]:
    """Every entry of the file by name. A mistake in it is an error that names the place."""
    found = {}
    for name, entry in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        lacking = sorted(FIELDS - entry.keys())
        if lacking or len(entry.keys() & {"labels", "classes"}) != 1 or entry.keys() - FIELDS - {"labels", "classes"}:
            raise ValueError(
                f"{path.name}: {name} has {', '.join(entry)}; it needs {', '.join(sorted(FIELDS))}, and either labels "
                "or classes"
            )
        shared = {
            "asks": entry["asks"],
            "column": "findings",
            "rows": {},
            "min_images": entry["min_images"],
            "words": {},
            "prompts": tuple(entry["prompts"]),
        }
        if "classes" in entry:
            classes = {label: {"is": [label], "words": words} for label, words in entry["classes"].items()}
            found[name] = Asking(entry["asks"], [Question(name=name, classes=classes, **shared)], several=False)
            continue
        asked = []
        for label, sides in entry["labels"].items():
            if sides.keys() != {"positive", "negative"}:
                raise ValueError(f"{path.name}: {name}, {label}, needs positive and negative words")
            classes = {
                label: {"is": [label], "words": sides["positive"]},
                f"not {label}": {"without": [label], "words": sides["negative"]},
            }
            asked.append(Question(name=label, classes=classes, **shared))
        found[name] = Asking(entry["asks"], asked, several=True)
    return found


def zero_shot(asked: Asked, entry: str, prompts: Path = PROMPTS) -> Answer:
    """AUC by label and macro, from the cosines to prompt ensembles; nothing is learned here.

    Labels: the AUC of positive against negative words, averaged over the labels that have enough images. Classes: each
    one's AUC against the rest, averaged. `paraphrases` holds the value with each template alone.
    """
    asking, images = askings(prompts)[entry], asked.splits["test"]
    answers: dict[str, Classification] = {}
    rows: list[dict[str, Any]] = []
    columns: dict[str, Sequence[Any]] = {}
    metrics = []
    stated: list[Stated] = []
    for question in asking.questions:
        selection = question.select(images.samples)
        if not enough(selection.labels, question.min_images):
            rows.append({"class": question.name, "n": selection.labels.count(question.name), "in_mean": False})
            continue
        answer = prompt_classification(
            asked.tested, images, question, asked.data, resamples=asked.resamples, seed=asked.seed
        )
        answers[question.name] = answer
        metrics.append(among(answer.metric, selection.indices))
        rows += _rows_of(answer.result, question.name, asking.several)
        logits = logits_of(asked.tested, images, question, selection.indices, selection.classes, asked.data)
        stated.append(_stated(selection, logits, images.patients, asking.several))
        columns |= _predictions(question, selection.indices, selection.labels, logits, len(images.samples), asking)
    if not answers:
        raise ValueError(
            f"no label of {entry} has {asking.questions[0].min_images} images with and without it among "
            f"{len(images.samples)} test images"
        )
    headline = mean_of(metrics)
    found = estimate(headline, images.patients, asked.resamples, asked.seed)
    kinds = {answer.result["kind"] for answer in answers.values()}
    result = {
        "asks": asking.asks,
        "kind": next(kind for kind in (SEEN, UNKNOWN, ZERO_SHOT) if kind in kinds),
        "metric": "macro AUC" if len(rows) > 1 else "AUC",
        **found.to_dict(),
        "chance": 0.5,
        **below_chance(found),
        "few_patients": few_patients(rows),
        "classes": rows,
        "paraphrases": _paraphrases(asked, asking, answers),
        "prompts_file": prompts.name,
    }
    return Answer(result, columns, headline, images.patients, stated=_together(stated))


def _stated(selection: Selection, logits: np.ndarray, patients: Sequence[str], several: bool) -> Stated:
    """The softmax over the classes; of a label against its absence the probability of the label."""
    own = [patients[index] for index in selection.indices]
    if several:
        positive = np.array([label == selection.classes[0] for label in selection.labels], dtype=int)
        return Stated(positive, sigmoid(logits[:, 0] - logits[:, 1]), own)
    numbers = np.array([selection.classes.index(label) for label in selection.labels])
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return Stated(numbers, shares / shares.sum(1, keepdims=True), own)


def _together(stated: Sequence[Stated]) -> Stated:
    return Stated(
        np.concatenate([one.truth for one in stated]),
        np.concatenate([one.probabilities for one in stated]),
        [patient for one in stated for patient in one.patients],
    )


def _rows_of(result: Mapping[str, Any], name: str, several: bool) -> list[dict[str, Any]]:
    if not several:
        return list(result["classes"])
    positive, negative = result["classes"]
    return [
        {
            **{key: positive[key] for key in ("n", "patients", "patients_without", "in_mean", "seen_in_training")},
            **{key: result[key] for key in INTERVAL if key in result},
            "class": name,
            "prompts": positive["prompts"],
            "against": negative["prompts"],
        }
    ]


def _predictions(
    question: Question, indices: Sequence[int], labels: Sequence[str], logits: np.ndarray, total: int, asking: Asking
) -> dict[str, list[Any]]:
    """Label and score of every test image; None where an image is none that the question is about."""
    places = dict(zip(indices, range(len(indices)), strict=True))

    def column(values: Sequence[Any]) -> list[Any]:
        return [values[places[number]] if number in places else None for number in range(total)]

    if asking.several:
        margin = np.round(logits[:, 0] - logits[:, 1], 5).tolist()
        return {
            f"label: {question.name}": column([label == question.name for label in labels]),
            f"score: {question.name}": column(margin),
        }
    names = list(question.classes or {})
    scores = {f"score: {name}": column(np.round(logits[:, place], 5).tolist()) for place, name in enumerate(names)}
    return {"label": column(labels), **scores}


def _paraphrases(asked: Asked, asking: Asking, answers: Mapping[str, Classification]) -> dict[str, Any]:
    """How far the value moves with the sentence: the macro AUC of each template by itself."""
    images = asked.splits["test"]
    values = {}
    for template in asking.questions[0].prompts:
        alone = [
            prompt_classification(
                asked.tested, images, replace(question, prompts=(template,)), asked.data, resamples=0
            ).result["value"]
            for question in asking.questions
            if question.name in answers
        ]
        values[template] = float(np.mean(alone))
    return {
        "value_by_template": values,
        "lowest": min(values.values()),
        "highest": max(values.values()),
        "standard_deviation": float(np.std(list(values.values()), ddof=1)) if len(values) > 1 else 0.0,
    }
