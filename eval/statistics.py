"""Scores with their uncertainty: bootstrap intervals over patients, and paired differences on the same patients.

A metric here is a function of weights: given (R, N) weights, one row for each resample and one column for each image,
it returns (R,) values. Weights of one give the plain value. So a thousand resamples cost a few matrix operations, and
two models are compared on the very same resamples.

Intervals are bias-corrected and accelerated (intervals.py), because plain percentiles cover too seldom below 60
patients. How often they cover is measured in tests/eval/test_coverage.py.
"""

# Shapes: R resamples, N images, C classes
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .intervals import NO_SPREAD, bca_interval, bound_without_spread

RESAMPLES = 1000
JACKKNIFE_CELLS = 2**24  # weights at a time: 128 MiB
JACKKNIFE_GROUPS = 1000  # more patients are left out some at a time, which has the same skewness on average
FEWEST_PATIENTS = 10  # in all, and on either side of a label: with fewer, intervals cover far too seldom; ours
Metric = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class BoundedMetric:
    """A metric between 0 and 1, with the groups of images, as places, that it is made from.

    Where all is right, every resample is too, and the bootstrap would claim certainty; the number of patients in the
    smallest group says how little is known then. `sides` are the images with and without a label, where the metric is
    about one label: each side needs FEWEST_PATIENTS.
    """

    of_weights: Metric
    groups: tuple[np.ndarray, ...]
    sides: tuple[np.ndarray, ...] = ()

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        return self.of_weights(weights)


@dataclass(frozen=True, eq=False)
class Difference:
    """One metric less another; `sides` are those of both, as in BoundedMetric."""

    metric: Metric
    other: Metric

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        return self.metric(weights) - self.other(weights)

    @property
    def sides(self) -> tuple[np.ndarray, ...]:
        return (*sides_of(self.metric), *sides_of(self.other))


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; where there is none, both ends are None and `no_interval` says why."""

    value: float
    low: float | None
    high: float | None
    n: int  # images
    patients: int
    resamples: int  # those the interval is made of: a resample that lost a whole class has no AUC
    no_interval: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON; `no_interval` only where there is none."""
        return {key: value for key, value in asdict(self).items() if key != "no_interval" or value is not None}

    def interval(self) -> dict[str, Any]:
        """The value and its interval alone, for a row that counts its own images."""
        counts = ("n", "patients", "resamples")
        return {key: value for key, value in self.to_dict().items() if key not in counts}


def below_chance(found: Estimate, chance: float = 0.5) -> dict[str, bool]:
    """Whether a score is worse than chance, and whether its whole interval is: then the scores are turned round."""
    return {
        "below_chance": found.value < chance,
        "interval_below_chance": found.high is not None and found.high < chance,
    }


def auc_metric(positive: Sequence[bool] | np.ndarray, scores: Sequence[float] | np.ndarray) -> BoundedMetric:
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

    sides = (np.flatnonzero(positive), np.flatnonzero(~positive))
    return BoundedMetric(metric, sides, sides)


def mean_of(metrics: Sequence[Metric]) -> Metric:
    """The macro average; in a resample that lost a class it is the mean of the others.

    It keeps the `sides` of its metrics only where all are about the same label.
    """

    def metric(weights: np.ndarray) -> np.ndarray:
        values = np.stack([one(weights) for one in metrics])  # (C, R)
        known = ~np.isnan(values)
        total = np.where(known, values, 0).sum(0)
        return np.divide(total, known.sum(0), out=np.full(values.shape[1], np.nan), where=known.any(0))

    groups = [one.groups for one in metrics if isinstance(one, BoundedMetric)]
    if len(groups) < len(metrics):
        return metric
    sides = [sides_of(one) for one in metrics]
    alike = all(len(one) == len(sides[0]) and all(map(np.array_equal, one, sides[0])) for one in sides)
    return BoundedMetric(metric, sum(groups, ()), sides[0] if alike else ())


def sides_of(metric: Metric) -> tuple[np.ndarray, ...]:
    """The images with and without the label that a metric is about; nothing where it is about several, or none."""
    return metric.sides if isinstance(metric, BoundedMetric | Difference) else ()


def fewest_of_sides(metric: Metric, patients: Sequence[str]) -> int | None:
    """The patients on the smaller side of a metric's label; None where it is not about one label."""
    names = np.asarray(patients, dtype=str)
    return min((len(np.unique(names[side])) for side in sides_of(metric)), default=None)


def among(metric: Metric, rows: Sequence[int]) -> Metric:
    """A metric over some of the images, as a function of the weights of all."""
    rows = list(rows)

    def of_all(weights: np.ndarray) -> np.ndarray:
        return metric(weights[:, rows])

    if not isinstance(metric, BoundedMetric):
        return of_all
    places = np.asarray(rows, int)
    groups, sides = (tuple(places[group] for group in part) for part in (metric.groups, metric.sides))
    return BoundedMetric(of_all, groups, sides)


def share_metric(hits: Sequence[float] | np.ndarray) -> Metric:
    """The share of hits (accuracy, R@k), or the mean of any values, as a function of weights."""
    hits = np.asarray(hits, dtype=np.float64)

    def metric(weights: np.ndarray) -> np.ndarray:
        totals = weights.sum(1)
        return np.divide(weights @ hits, totals, out=np.full(len(totals), np.nan), where=totals > 0)

    within = len(hits) > 0 and bool(((hits >= 0) & (hits <= 1)).all())
    return BoundedMetric(metric, (np.arange(len(hits)),)) if within else metric


def mae_metric(truth: Sequence[float] | np.ndarray, said: Sequence[float] | np.ndarray) -> Metric:
    """The mean absolute error, in the unit of `truth` (N,), as a function of weights."""
    truth, said = _numbers(truth, said)
    errors = np.abs(said - truth)

    def metric(weights: np.ndarray) -> np.ndarray:
        totals = weights.sum(1)
        return np.divide(weights @ errors, totals, out=np.full(len(totals), np.nan), where=totals > 0)

    return metric


def r2_metric(truth: Sequence[float] | np.ndarray, said: Sequence[float] | np.ndarray) -> Metric:
    """R squared, the share of the truth's variance that is explained, as a function of weights; NaN without variance.

    0 is what saying the mean reaches, and worse is below 0.
    """
    truth, said = _numbers(truth, said)
    squares = (said - truth) ** 2
    centred = truth - truth.mean()  # the same variance, without the rounding of large numbers

    def metric(weights: np.ndarray) -> np.ndarray:
        totals = weights.sum(1)
        mean = np.divide(weights @ centred, totals, out=np.full(len(totals), np.nan), where=totals > 0)
        spread = weights @ centred**2 - totals * mean**2
        spread = np.where(spread > 1e-12 * np.maximum(weights @ centred**2, 1e-300), spread, np.nan)
        return 1 - weights @ squares / spread

    return metric


def dice_metric(scores: np.ndarray) -> Metric:
    """The mean over the classes (N, C) of each one's mean Dice over the images that have it, NaN where one has not."""
    scores = np.asarray(scores, dtype=np.float64)
    having = [np.flatnonzero(~np.isnan(column)).tolist() for column in scores.T]
    metrics = [
        among(share_metric(column[places]), places)
        for column, places in zip(scores.T, having, strict=True)
        if len(places)
    ]
    if not metrics:
        raise ValueError(f"none of the {len(scores)} images has any class (all Dice values are NaN); no mean exists")
    return mean_of(metrics)


def patient_weights(patients: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """(R, N): how often each image is drawn when whole patients are drawn with replacement."""
    names, of_image = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    random = np.random.default_rng(seed)
    counts = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return counts[:, of_image].astype(np.float64)


def estimate(metric: Metric, patients: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """The metric's value on all images, with its 95 % interval over resampled patients.

    A metric between 0 and 1 that is 0 or 1 in every resample gets an exact bound. There is no interval with fewer than
    FEWEST_PATIENTS in all or on a side of the metric's label, nor where the resamples do not differ.
    """
    if resamples < 0:
        raise ValueError(f"resamples is {resamples}; 0 makes no interval, and 100 are the least for one of 95 %")
    value = float(metric(np.ones((1, len(patients))))[0])
    distinct = len(set(patients))

    def without_interval(why: str, drawn: int = 0) -> Estimate:
        return Estimate(value, None, None, len(patients), distinct, drawn, why)

    if resamples == 0:
        return without_interval("none was asked for")
    if distinct < 2:
        return without_interval(f"{distinct} patients" if distinct != 1 else "1 patient")
    drawn = metric(patient_weights(patients, resamples, seed))
    drawn = drawn[~np.isnan(drawn)]
    if len(drawn) < 2:
        return without_interval(f"{len(drawn)} of {resamples} resamples have a value", len(drawn))
    if isinstance(metric, BoundedMetric) and value in (0.0, 1.0) and (drawn == value).all():
        names = np.asarray(patients, dtype=str)
        smallest = min(len(np.unique(names[group])) for group in metric.groups)
        low, high = bound_without_spread(value, smallest)
        return Estimate(value, low, high, len(patients), distinct, len(drawn))
    fewest = fewest_of_sides(metric, patients)
    if distinct < FEWEST_PATIENTS:
        return without_interval(f"{distinct} patients", len(drawn))
    if fewest is not None and fewest < FEWEST_PATIENTS:
        return without_interval(f"{fewest} patient{'s' if fewest != 1 else ''} on one side", len(drawn))
    found = bca_interval(value, drawn, without_each(metric, patients), distinct)
    if found is None:
        return without_interval(NO_SPREAD, len(drawn))
    return Estimate(value, *found, len(patients), distinct, len(drawn))


def paired_difference(
    metric: Metric, other: Metric, patients: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """How much better `metric`'s scores are than `other`'s on the same images, both drawn together."""
    return estimate(Difference(metric, other), patients, resamples, seed)


def without_each(metric: Metric, patients: Sequence[str]) -> np.ndarray:
    """(patients,): the value without one patient after the other, or without one of JACKKNIFE_GROUPS groups."""
    names, of_image = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    of_image = of_image % JACKKNIFE_GROUPS
    groups = min(len(names), JACKKNIFE_GROUPS)
    at_once = max(1, JACKKNIFE_CELLS // len(of_image))
    values = []
    for first in range(0, groups, at_once):
        left_out = np.arange(first, min(first + at_once, groups))
        values.append(metric((left_out[:, None] != of_image[None, :]).astype(np.float64)))
    return np.concatenate(values)


def _numbers(truth: Sequence[float] | np.ndarray, said: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth, said = np.asarray(truth, dtype=np.float64), np.asarray(said, dtype=np.float64)
    if truth.shape != said.shape or truth.ndim != 1:
        raise ValueError(f"truth is {truth.shape} and what was said {said.shape}; give one number an image for both")
    broken = int((~np.isfinite(truth) | ~np.isfinite(said)).sum())
    if broken:
        raise ValueError(f"{broken} of {len(truth)} pairs have a value that is not finite; leave those images out")
    return truth, said
