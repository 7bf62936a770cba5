"""Do stated probabilities come true? ECE, Brier score and reliability, with intervals over patients.

Binary: the positive's probability against how often it is there. Several classes: the top one's probability against
how often it is right. The common definition of the ECE (Guo et al. 2017, arXiv:1706.04599, eq. 3) has bins of equal
width; bins of equal mass stand beside it, since with few images most of the former are empty.
"""

# Shapes: N images, C classes, B bins, R resamples
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .statistics import RESAMPLES, Estimate, Metric, estimate, patient_weights, share_metric

BINS = 15
SUM_TOLERANCE = 1e-3  # probabilities of one image may have been rounded


def calibration(
    truth: Sequence[int] | np.ndarray,
    probabilities: np.ndarray,
    patients: Sequence[str],
    *,
    bins: int = BINS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """The ECE in bins of equal width as `value`, with everything that is needed to read it.

    `truth` (N,) is 0 or 1 with `probabilities` (N,) of the positive, or the class's number with probabilities (N, C).
    `if_calibrated` is the ECE that these probabilities have on average when they are all true: with few images it is
    far from 0. `reliability` has a row for each bin of equal width that is not empty.
    """
    labels, table = _checked(truth, probabilities)
    confidence, right = top_label(labels, table)
    if len(patients) != len(labels):
        raise ValueError(f"{len(patients)} patients for {len(labels)} images; name each image's")
    drawing: dict[str, int] = {"resamples": resamples, "seed": seed}
    wide, mass = bin_numbers(confidence, bins), bin_numbers(confidence, bins, equal_mass=True)
    return {
        "asks": "whether stated probabilities come true",
        "kind": "calibration of the positive's probability" if table.ndim == 1 else "calibration of the top class",
        "metric": "ECE",
        **ece_estimate(confidence, right, wide, patients, **drawing).to_dict(),
        "bins": bins,
        "if_calibrated": if_calibrated(confidence, wide, max(resamples, 1), seed),
        "ece_equal_mass": {
            **ece_estimate(confidence, right, mass, patients, **drawing).to_dict(),
            "if_calibrated": if_calibrated(confidence, mass, max(resamples, 1), seed),
        },
        "brier": estimate(share_metric(brier_terms(labels, table)), patients, **drawing).to_dict(),
        "reliability": reliability(confidence, right, wide, patients, bins, **drawing),
    }


def top_label(truth: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and whether it came true (N,) each: of the positive, or of the likeliest class."""
    if probabilities.ndim == 1:
        return probabilities, truth.astype(bool)
    return probabilities.max(1), probabilities.argmax(1) == truth


def bin_numbers(confidence: np.ndarray, bins: int, equal_mass: bool = False) -> np.ndarray:
    """(N,): each one's bin. Bins are open below and closed above; those of equal mass have quantiles as edges.

    Bins of equal mass are fixed before resampling, and ties share one.
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}; take one or more")
    inner = np.arange(1, bins) / bins
    edges = np.quantile(confidence, inner) if equal_mass else inner
    return np.searchsorted(edges, confidence)


def ece_metric(confidence: np.ndarray, right: np.ndarray, bin_of: np.ndarray) -> Metric:
    """The expected calibration error as a function of weights: the bins' gaps, each by its share of the images."""
    order = np.argsort(bin_of, kind="stable")
    first_of_bin = np.flatnonzero(np.r_[True, np.diff(bin_of[order]) > 0])
    gaps = (confidence - right)[order]

    def metric(weights: np.ndarray) -> np.ndarray:
        by_bin = np.add.reduceat(weights[:, order] * gaps, first_of_bin, axis=1)  # (R, B)
        totals = weights.sum(1)
        return np.divide(np.abs(by_bin).sum(1), totals, out=np.full(len(totals), np.nan), where=totals > 0)

    return metric


def ece_estimate(
    confidence: np.ndarray,
    right: np.ndarray,
    bin_of: np.ndarray,
    patients: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """The ECE with an interval that knows that an ECE is too high, and a resample's higher still.

    Resampling adds as much to the ECE as sampling did, so the resamples are mirrored at the value (basic bootstrap);
    and the interval begins at 0 where the value is within what true probabilities give 95 times in 100. Covers 89 to
    95 of 100 at 60 and 200 patients with two images each; percentiles, BCa too, covered 0 to 87.
    """
    metric = ece_metric(confidence, right, bin_of)
    found = estimate(metric, patients, 0)
    if resamples == 0 or found.patients < 2:
        return found
    few, many = np.quantile(metric(patient_weights(patients, resamples, seed)), [0.025, 0.975])
    low, high = max(0.0, 2 * found.value - float(many)), max(found.value, 2 * found.value - float(few))
    if found.value <= if_calibrated(confidence, bin_of, resamples, seed)["highest_of_95_percent"]:
        low = 0.0
    return replace(found, low=low, high=high, resamples=resamples)


def brier_terms(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(N,): each image's part of the Brier score; binary 0 to 1, of several classes their sum, 0 to 2."""
    if probabilities.ndim == 1:
        return (probabilities - truth) ** 2
    return ((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2).sum(1)


def if_calibrated(confidence: np.ndarray, bin_of: np.ndarray, draws: int, seed: int = 0) -> dict[str, float]:
    """Mean and 95th percentile of the ECE when every stated probability is true, images independent of each other.

    Consistency resampling (Broecker and Smith 2007, doi:10.1175/WAF993.1).
    """
    random = np.random.default_rng(seed)
    bins = np.zeros((len(confidence), bin_of.max() + 1))
    bins[np.arange(len(confidence)), bin_of] = 1
    drawn = random.random((draws, len(confidence))) < confidence
    values = np.abs((confidence - drawn) @ bins).sum(1) / len(confidence)
    return {"mean": float(values.mean()), "highest_of_95_percent": float(np.quantile(values, 0.95))}


def reliability(
    confidence: np.ndarray,
    right: np.ndarray,
    bin_of: np.ndarray,
    patients: Sequence[str],
    bins: int = BINS,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """A row a bin of equal width: its edges, its mean confidence, and the share that came true with its interval."""
    rows = []
    for number in np.unique(bin_of):
        places = np.flatnonzero(bin_of == number)
        own = [patients[place] for place in places.tolist()]
        found = estimate(share_metric(right[places]), own, resamples, seed)
        rows.append(
            {
                "from": float(number / bins),
                "to": float((number + 1) / bins),
                "confidence": float(confidence[places].mean()),
                **found.to_dict(),
            }
        )
    return rows


def _checked(truth: Sequence[int] | np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, table = np.asarray(truth), np.asarray(probabilities, dtype=np.float64)
    if table.ndim not in (1, 2) or labels.shape != table.shape[:1] or not len(labels):
        raise ValueError(
            f"truth is {labels.shape} and probabilities {table.shape}; give (N,) and (N,), or (N,) and (N, classes)"
        )
    if not np.isfinite(table).all() or table.min() < 0 or table.max() > 1:
        raise ValueError(
            f"{int((~((table >= 0) & (table <= 1))).sum())} probabilities are not between 0 and 1; take a softmax or "
            "a sigmoid of scores first"
        )
    classes = 2 if table.ndim == 1 else table.shape[1]
    if not np.isin(labels, np.arange(classes)).all():
        wrong = labels[~np.isin(labels, np.arange(classes))][0]
        raise ValueError(f"truth has {wrong}; with probabilities {table.shape} it is 0 to {classes - 1}")
    if table.ndim == 2 and np.abs(table.sum(1) - 1).max() > SUM_TOLERANCE:
        worst = int(np.abs(table.sum(1) - 1).argmax())
        raise ValueError(f"the probabilities of image {worst} sum to {table[worst].sum():.4f}, and should to 1")
    return labels.astype(int), table
