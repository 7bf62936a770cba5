"""Scores of labels as AUCs: each label's own, their mean, and what was too rare to be counted."""

# Shapes: N images, C labels, S sets of scores
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from ..classification import Classification, few_patients
from ..statistics import auc_metric, below_chance, estimate, mean_of
from .asked import Answer, Asked, Stated
from .questions import ProbeTask, labels_of


def label_answer(
    asked: Asked,
    task: ProbeTask,
    scores: Sequence[np.ndarray],
    learned: np.ndarray,
    about: Mapping[str, Any],
    probability: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Answer:
    """The answer that S sets of scores (N, C) of the test images give, higher for likelier; the AUC is their mean.

    `learned` (C,) says which labels the scores know of; the others may be NaN. A label is in the mean if it is learned
    and has `task.min_images` images with and without it both in train and in test; one that is not is listed with the
    reason. `about` is {kind, ...}: how the scores were made. `probability` makes a label's probabilities of scores; by
    itself it takes them for log-odds.
    """
    images = asked.splits["test"]
    truth, names = labels_of(task, images.samples)
    of_train = labels_of(task, asked.splits["train"].samples)[0]
    scored = _classification(asked, task, truth, of_train, scores, learned)
    columns: dict[str, Sequence[Any]] = {}
    if task.exclusive:
        columns["label"] = [names[place] for place in truth.argmax(1)]
    else:
        columns = {f"label: {name}": truth[:, place].tolist() for place, name in enumerate(names)}
    for number, of_draw in enumerate(scores, 1):
        draw = f", draw {number}" if len(scores) > 1 else ""
        for place in np.flatnonzero(learned):
            columns[f"score: {names[place]}{draw}"] = np.round(of_draw[:, place], 5).tolist()
    counted = [place for place, row in enumerate(scored.result["classes"]) if row["in_mean"]]
    stated = stated_by_label(
        truth[:, counted], [of_draw[:, counted] for of_draw in scores], images.patients, probability
    )
    result = {"asks": task.asks, **about, **scored.result}
    return Answer(result, columns, scored.metric, images.patients, stated=stated)


def stated_by_label(
    truth: np.ndarray,
    scores: Sequence[np.ndarray],
    patients: Sequence[str],
    probability: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Stated:
    """What S sets of scores (N, C) state of each label of each image, all together: S x C x N statements."""
    said = np.concatenate([(probability or sigmoid)(of_draw).T.ravel() for of_draw in scores])
    labels = truth.shape[1] * len(scores)
    return Stated(np.tile(truth.T.ravel(), len(scores)).astype(int), said, list(patients) * labels)


def sigmoid(scores: np.ndarray) -> np.ndarray:
    """Probabilities of log-odds, without overflow."""
    return 0.5 * (1 + np.tanh(scores / 2))


def macro_auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """The mean AUC over the labels (N, C) that some images have and some have not; NaN where there is none."""
    places = np.flatnonzero(mixed(truth) & np.isfinite(scores).all(0))
    return float(np.mean([roc_auc_score(truth[:, place], scores[:, place]) for place in places] or [np.nan]))


def mixed(truth: np.ndarray) -> np.ndarray:
    """Which labels (C,) some of the images (N, C) have and some have not."""
    having = truth.sum(0)
    return (having > 0) & (having < len(truth))


def _classification(
    asked: Asked,
    task: ProbeTask,
    truth: np.ndarray,
    of_train: np.ndarray,
    scores: Sequence[np.ndarray],
    learned: np.ndarray,
) -> Classification:
    patients = asked.splits["test"].patients
    rows: list[dict[str, Any]] = []
    metrics = []
    for place, name in enumerate(task.labels):
        positive = truth[:, place]
        row: dict[str, Any] = {
            "class": name,
            "n": int(positive.sum()),
            "patients": len({patient for patient, here in zip(patients, positive, strict=True) if here}),
            "patients_without": len({patient for patient, here in zip(patients, positive, strict=True) if not here}),
            "without": int((~positive).sum()),
        }
        rows.append(row)
        too_few = _too_few(task, positive, of_train[:, place])
        if too_few is None and not learned[place]:
            too_few = "the part of train that was drawn has images of one kind only"
        row["in_mean"] = too_few is None
        if too_few is not None:
            row["too_few"] = too_few
            continue
        metric = mean_of([auc_metric(positive, of_draw[:, place]) for of_draw in scores])
        found = estimate(metric, patients, asked.resamples, asked.seed)
        row |= found.interval() | below_chance(found)
        metrics.append(metric)
    if not metrics:
        raise ValueError(
            f"{task.name}: no label has enough images; "
            + "; ".join(f"{row['class']}: {row['too_few']}" for row in rows)
            + ". Take more images, or a lower min_images"
        )
    headline = mean_of(metrics)
    overall = estimate(headline, patients, asked.resamples, asked.seed)
    result = {
        "metric": "macro AUC" if len(rows) > 1 else "AUC",
        **overall.to_dict(),
        "chance": 0.5,
        **below_chance(overall),
        "min_images": task.min_images,
        "few_patients": few_patients(rows),
        "classes": rows,
    }
    return Classification(result, headline)


def _too_few(task: ProbeTask, of_test: np.ndarray, of_train: np.ndarray) -> str | None:
    for split, positive in (("train", of_train), ("test", of_test)):
        for count, kind in ((int(positive.sum()), "with"), (int((~positive).sum()), "without")):
            if count < task.min_images:
                return f"{split} has {count} images {kind} it, fewer than {task.min_images}"
    return None
