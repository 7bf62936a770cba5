"""Scores with their uncertainty: bootstrap intervals over patients, and paired differences on the same patients.

A metric here is a function of weights: given (R, N) weights, one row for each resample and one column for each image,
it returns (R,) values. Weights of one give the plain value. So a thousand resamples cost a few matrix operations, and
two models are compared on the very same resamples.
"""

# Shapes: R resamples, N images, C classes
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

RESAMPLES = 1000
Metric = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; the interval is None where there is no second patient to resample."""

    value: float
    low: float | None
    high: float | None
    n: int  # images
    patients: int
    resamples: int  # those the interval is made of: a resample that lost a whole class has no AUC

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def auc_metric(positive: Sequence[bool] | np.ndarray, scores: Sequence[float] | np.ndarray) -> Metric:
    """The AUC as a function of weights: the chance that a positive outscores a negative, ties counting half.

    Written out because scikit-learn's, which the tests compare it with, takes one weighting at a time.
    """
    positive, scores = np.asarray(positive, dtype=bool), np.asarray(scores, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise ValueError(f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are not finite; no AUC exists")
    order = np.argsort(scores, kind="stable")
    sorted_positive = positive[order]
    first_of_tie = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])

    def metric(weights: np.ndarray) -> np.ndarray:
        weights = weights[:, order]
        positives = np.add.reduceat(weights * sorted_positive, first_of_tie, axis=1)  # (R, ties)
        negatives = np.add.reduceat(weights * ~sorted_positive, first_of_tie, axis=1)
        below = np.cumsum(negatives, axis=1) - negatives
        won = (positives * (below + 0.5 * negatives)).sum(1)
        pairs = positives.sum(1) * negatives.sum(1)
        return np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)

    return metric


def mean_of(metrics: Sequence[Metric]) -> Metric:
    """The macro average; in a resample that lost a class it is the mean of the others."""

    def metric(weights: np.ndarray) -> np.ndarray:
        values = np.stack([one(weights) for one in metrics])  # (C, R)
        known = ~np.isnan(values)
        total = np.where(known, values, 0).sum(0)
        return np.divide(total, known.sum(0), out=np.full(values.shape[1], np.nan), where=known.any(0))

    return metric


def among(metric: Metric, rows: Sequence[int]) -> Metric:
    """A metric over some of the images, as a function of the weights of all."""
    return lambda weights: metric(weights[:, list(rows)])


def share_metric(hits: Sequence[float] | np.ndarray) -> Metric:
    """The share of hits (accuracy, R@k) as a function of weights."""
    hits = np.asarray(hits, dtype=np.float64)
    return lambda weights: weights @ hits / weights.sum(1)


def patient_weights(patients: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """(R, N): how often each image is drawn when whole patients are drawn with replacement."""
    names, of_image = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    random = np.random.default_rng(seed)
    counts = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return counts[:, of_image].astype(np.float64)


def estimate(metric: Metric, patients: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """The metric's value on all images, with its 95 % percentile interval over resampled patients."""
    value = float(metric(np.ones((1, len(patients))))[0])
    distinct = len(set(patients))
    if resamples == 0 or distinct < 2:
        return Estimate(value, None, None, len(patients), distinct, 0)
    drawn = metric(patient_weights(patients, resamples, seed))
    return _with_interval(value, drawn, len(patients), distinct)


def paired_difference(
    metric: Metric, other: Metric, patients: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """How much better `metric`'s scores are than `other`'s on the same images, both drawn together."""
    return estimate(lambda weights: metric(weights) - other(weights), patients, resamples, seed)


def _with_interval(value: float, drawn: np.ndarray, n: int, patients: int) -> Estimate:
    drawn = drawn[~np.isnan(drawn)]
    if len(drawn) < 2:
        return Estimate(value, None, None, n, patients, len(drawn))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(value, float(low), float(high), n, patients, len(drawn))
