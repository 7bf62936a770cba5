"""Scores of several classes as AUCs: macro, by class, with intervals. Shared by prompts, probes and baselines."""

# Shapes: N images, C classes
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .predictions import of_classes
from .statistics import FEWEST_PATIENTS, RESAMPLES, Metric, auc_metric, below_chance, estimate, mean_of


@dataclass(frozen=True)
class Classification:
    """How well scores tell the classes apart, as numbers and as a metric that can be paired with another's."""

    result: dict[str, Any]
    metric: Metric
    predictions: dict[str, list[Any]] = field(default_factory=dict, repr=False)  # eval/predictions.py


def classify(
    labels: Sequence[str],
    classes: Sequence[str],
    scores: np.ndarray,
    patients: Sequence[str],
    *,
    min_images: int = 1,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Classification:
    """Two classes: the AUC of the first against the second. More: the mean of each one's AUC against the rest.

    `scores` are (N, C), higher for likelier, comparable down a column. A class with fewer than `min_images` images is
    reported and left out of the mean.
    """
    counts = Counter(labels)
    require_two_classes(labels, min_images)
    labels_array = np.asarray(labels)
    two = len(classes) == 2
    metrics: dict[str, Metric] = {}
    for place, name in enumerate(classes):
        column = scores[:, place] - scores[:, 1 - place] if two else scores[:, place]
        if counts[name]:
            metrics[name] = auc_metric(labels_array == name, column)
    counted = [name for name in classes if counts[name] >= min_images]
    headline = metrics[counted[0]] if two else mean_of([metrics[name] for name in counted])

    rows: list[dict[str, Any]] = []
    for name in classes:
        of_class = [patient for patient, label in zip(patients, labels, strict=True) if label == name]
        of_others = {patient for patient, label in zip(patients, labels, strict=True) if label != name}
        row = {"class": name, "n": counts[name], "patients": len(set(of_class)), "patients_without": len(of_others)}
        row["in_mean"] = name in counted
        if name in metrics:
            by_class = estimate(metrics[name], patients, resamples, seed)
            row |= by_class.interval() | below_chance(by_class)
        rows.append(row)
    found = estimate(headline, patients, resamples, seed)
    result = {
        "metric": f"AUC, {classes[0]} against {classes[1]}" if two else "macro AUC, one against the rest",
        **found.to_dict(),
        "chance": 0.5,
        **below_chance(found),
        "min_images": min_images,
        "few_patients": few_patients(rows),
        "classes": rows,
    }
    return Classification(result, headline, of_classes(labels, classes, scores, patients))


def few_patients(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The counted labels with fewer than FEWEST_PATIENTS on a side: a mean over labels rests on them too."""
    return [
        row["class"]
        for row in rows
        if row["in_mean"] and min(row["patients"], row["patients_without"]) < FEWEST_PATIENTS
    ]


def require_two_classes(labels: Sequence[str], min_images: int) -> None:
    """Refuses images that no AUC can be made from, and says what they are."""
    if not enough(labels, min_images):
        raise ValueError(
            f"an AUC needs two classes with at least {min_images} images, and the images are {dict(Counter(labels))}; "
            "take another split, other rows, or a lower min_images"
        )


def enough(labels: Sequence[str], min_images: int) -> bool:
    """Whether two classes have that many images, which any of these AUCs needs."""
    return sum(count >= min_images for count in Counter(labels).values()) >= 2


def log_odds(logits: np.ndarray) -> np.ndarray:
    """log p/(1-p) of a softmax over the classes: the same order as p, without p's rounding to 1."""
    columns = []
    for place in range(logits.shape[1]):
        others = np.delete(logits, place, axis=1)
        top = others.max(1)
        columns.append(logits[:, place] - top - np.log(np.exp(others - top[:, None]).sum(1)))
    return np.stack(columns, axis=1)
