"""What the modules beside this file compute: checked input in, {value, low, high, n, patients, resamples} out.

Without `patients` every image counts as a patient of its own, which makes intervals too narrow where that is not so.
"""

# Shapes: N images, M gallery items, H and W pixels
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..bench.masks import dice
from ..calibration import calibration
from ..retrieval import ranks_of_first_hit
from ..statistics import RESAMPLES, Metric, auc_metric, below_chance, estimate, mae_metric, share_metric


def auc_answer(
    predictions: Sequence[float],
    references: Sequence[int],
    patients: Sequence[Any] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """The AUC of scores (N,) against 0 or 1 (N,), and whether it is below chance."""
    scores, labels = numbers("predictions", predictions), numbers("references", references)
    same_length(scores, labels, patients)
    if set(labels) != {0.0, 1.0}:
        raise ValueError(
            f"references are {sorted(set(labels.tolist()))[:5]}; an AUC needs both 0 and 1 and nothing else"
        )
    named = _named(patients, len(labels))
    found = estimate(auc_metric(labels == 1, scores), named, resamples, seed)
    return {**found.to_dict(), **below_chance(found)}


def mae_answer(
    predictions: Sequence[float],
    references: Sequence[float],
    patients: Sequence[Any] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """The mean absolute error (N,), in the references' unit."""
    said, truth = numbers("predictions", predictions), numbers("references", references)
    same_length(said, truth, patients)
    return _answer(mae_metric(truth, said), _named(patients, len(truth)), resamples, seed)


def dice_answer(
    predictions: Sequence[Any],
    references: Sequence[Any],
    patients: Sequence[Any] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """The mean over N label maps (H, W), 0 for background, of an image's mean Dice over the classes in its reference.

    Images whose reference has no class are left out and counted.
    """
    same_length(predictions, references, patients)
    values = np.full(len(references), np.nan)
    for place, (said, truth) in enumerate(zip(predictions, references, strict=True)):
        said, truth = np.asarray(said), np.asarray(truth)
        if said.shape != truth.shape or truth.ndim != 2:
            raise ValueError(
                f"image {place}: prediction {said.shape} and reference {truth.shape}; give (H, W) for both"
            )
        classes = [label for label in np.unique(truth) if label != 0]
        if classes:
            of_class = [[(image == label) for label in classes] for image in (said, truth)]
            values[place] = dice(np.array(of_class[0])[None], np.array(of_class[1])[None]).mean()
    kept = np.flatnonzero(~np.isnan(values))
    if not len(kept):
        raise ValueError(f"none of the {len(values)} references has a class; every pixel is 0, and no Dice exists")
    named = _named(patients, len(values))
    found = _answer(share_metric(values[kept]), [named[place] for place in kept], resamples, seed)
    return {**found, "left_out": len(values) - len(kept)}


def recall_answer(
    predictions: Sequence[Sequence[float]],
    references: Sequence[int],
    patients: Sequence[Any] | None = None,
    k: int = 1,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """How often the right item (N,) is among the k best of the scores (N, M); an equal score counts as better."""
    scores = numbers("predictions", predictions, dimensions=2)
    right = numbers("references", references)
    same_length(scores, right, patients)
    if k < 1 or not np.isin(right, np.arange(scores.shape[1])).all():
        raise ValueError(
            f"k is {k}, references {right.min():g} to {right.max():g}; with {scores.shape[1]} items references are "
            f"places 0 to {scores.shape[1] - 1}, and k is 1 or more"
        )
    hits = ranks_of_first_hit(scores, right[:, None] == np.arange(scores.shape[1])) < k
    return {**_answer(share_metric(hits), _named(patients, len(right)), resamples, seed), "k": k}


def ece_answer(
    predictions: Sequence[Any],
    references: Sequence[int],
    patients: Sequence[Any] | None = None,
    bins: int = 15,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """The calibration of probabilities (N,) or (N, C) against labels (N,): ECE as value, Brier score, reliability."""
    table = np.asarray(predictions, dtype=np.float64)
    labels = numbers("references", references)
    same_length(table, labels, patients)
    return calibration(labels, table, _named(patients, len(labels)), bins=bins, resamples=resamples, seed=seed)


def numbers(name: str, values: Any, dimensions: int = 1) -> np.ndarray:
    """As float64, without gaps."""
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != dimensions or not len(found):
        raise ValueError(f"{name} are {found.shape}; give {'one number' if dimensions == 1 else 'a row'} an image")
    broken = int((~np.isfinite(found)).sum())
    if broken:
        raise ValueError(f"{broken} of {found.size} {name} are not finite; leave those images out")
    return found


def same_length(predictions: Sequence[Any] | np.ndarray, references: Any, patients: Sequence[Any] | None) -> None:
    counts = {"predictions": len(predictions), "references": len(references)}
    if patients is not None:
        counts["patients"] = len(patients)
    if len(set(counts.values())) > 1:
        raise ValueError(", ".join(f"{count} {name}" for name, count in counts.items()) + "; give one each an image")


def _named(patients: Sequence[Any] | None, images: int) -> list[str]:
    return [str(number) for number in range(images)] if patients is None else [str(patient) for patient in patients]


def _answer(metric: Metric, patients: Sequence[str], resamples: int, seed: int) -> dict[str, Any]:
    return estimate(metric, patients, resamples, seed).to_dict()
