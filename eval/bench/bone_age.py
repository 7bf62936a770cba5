"""Bone age of a hand in months: a ridge regression on frozen embeddings, or a tuned tower, with and without the sex.

The paper gives the error and not how it was reached; regression, inputs and age bands are ours.
"""

# Shapes: N images, D embedding
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import nn

from ..embeddings import EmbeddedImages
from ..statistics import estimate, share_metric
from .asked import Answer, Asked
from .tuning import Tuning, tune

STRENGTHS = tuple(10.0**power for power in range(-2, 6))  # alpha of scikit-learn: the higher, the stiffer
BANDS = ((0, 3), (3, 7), (7, 12), (12, 25))  # years of bone age, from and below
METRIC = "MAE, months"
ASKS = "the bone age of a hand"
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Regression:
    """Months = features @ weights + bias, the standardisation folded in."""

    weights: np.ndarray  # (D,) or, with the sex, (D + 1,)
    bias: float
    strength: float

    def months(self, features: np.ndarray) -> np.ndarray:
        return features @ self.weights + self.bias


def bone_age(asked: Asked, use_sex: bool = True, *, strengths: Sequence[float] = STRENGTHS) -> Answer:
    """The mean absolute error of a ridge regression on the frozen embeddings; alpha is chosen by it on validation.

    The sex is one more input, 1 for male. The headline is with or without it, as asked; `with_sex` and `without_sex`
    hold both. Chance is the error of saying the median of the training images, with the sex that of the same sex.
    """
    months = {split: _months(asked.splits[split], split) for split in SPLITS}
    known = all(sample.sex in ("female", "male") for split in SPLITS for sample in asked.splits[split].samples)
    if use_sex:
        _require_sex(asked)
    found, results = {}, {}
    for with_sex in (True, False) if known else (False,):
        features = {split: _features(asked.splits[split], with_sex) for split in SPLITS}
        fitted = fit_ridge(features["train"], months["train"], features["validation"], months["validation"], strengths)
        found[with_sex] = fitted.months(features["test"])
        results[with_sex] = _scored(asked, found[with_sex], with_sex) | {"strength": fitted.strength}
    both = {"with_sex": results.get(True), "without_sex": results[False], "strengths": list(strengths)}
    return _answer(asked, "ridge regression on frozen embeddings", found[use_sex], use_sex, both)


def tuned_bone_age(asked: Asked, use_sex: bool = True, settings: Tuning | None = None) -> Answer:
    """The same with a copy of the tower tuned on pixels by the absolute error, from the ridge regression on."""
    settings = settings or Tuning()
    if use_sex:
        _require_sex(asked)
    months = {split: _months(asked.splits[split], split) for split in SPLITS}
    features = {split: _features(asked.splits[split], use_sex) for split in SPLITS}
    fitted = fit_ridge(features["train"], months["train"], features["validation"], months["validation"])
    # in standard deviations, so that the gradient has the size that it has for a classifier
    mean, spread = float(months["train"].mean()), float(months["train"].std()) or 1.0
    tuned = tune(
        asked,
        (fitted.weights[None] / spread, np.array([fitted.bias - mean]) / spread),
        (months["train"][:, None] - mean) / spread,
        nn.functional.l1_loss,
        lambda outputs: -mean_absolute_error(months["validation"], outputs[:, 0] * spread + mean),
        settings,
        {split: _sexes(asked.splits[split])[:, None] for split in SPLITS} if use_sex else None,
    )
    kind = "fine-tuning of the image tower with a linear head, absolute error"
    return _answer(asked, kind, tuned.outputs[:, 0] * spread + mean, use_sex, tuned.about(settings))


def fit_ridge(
    train: np.ndarray,
    train_months: np.ndarray,
    validation: np.ndarray,
    validation_months: np.ndarray,
    strengths: Sequence[float] = STRENGTHS,
) -> Regression:
    """The regression with the least absolute error on validation; of equals the stiffest."""
    scaler = StandardScaler().fit(train)
    scaled = scaler.transform(train)
    best: tuple[float, Regression] | None = None
    for strength in sorted(strengths, reverse=True):
        with threadpool_limits(1):  # threads cost more than such small products give
            ridge = Ridge(alpha=strength).fit(scaled, train_months)
        weights = ridge.coef_ / scaler.scale_
        fitted = Regression(weights, float(ridge.intercept_ - weights @ scaler.mean_), strength)
        error = mean_absolute_error(validation_months, fitted.months(validation))
        if best is None or error < best[0]:
            best = error, fitted
    if best is None:
        raise ValueError("strengths is empty; give at least one alpha to choose from")
    return best[1]


def chance_error(asked: Asked, use_sex: bool) -> float:
    """The error in months of always saying the training median, of the same sex where it is used."""
    train, test = asked.splits["train"], asked.splits["test"]
    of_train, of_test = _months(train, "train"), _months(test, "test")
    said = np.full(len(of_test), np.median(of_train))
    if use_sex:
        sexes, sexes_of_test = _sexes(train), _sexes(test)
        for sex in np.unique(sexes):
            said[sexes_of_test == sex] = np.median(of_train[sexes == sex])
    return float(np.abs(of_test - said).mean())


def _answer(asked: Asked, kind: str, said: np.ndarray, use_sex: bool, more: dict[str, Any]) -> Answer:
    test = asked.splits["test"]
    months = _months(test, "test")
    errors = np.abs(said - months)
    metric = share_metric(errors)  # a mean by weights
    years = months / 12
    groups = {f"bone age {low} to {high} years": (low <= years) & (years < high) for low, high in BANDS}
    for sex in ("female", "male"):
        groups[sex] = np.array([sample.sex == sex for sample in test.samples])
    rows: list[dict[str, Any]] = []
    for name, here in groups.items():
        row: dict[str, Any] = {"class": name, "n": int(here.sum())}
        if here.any():
            chosen = np.flatnonzero(here)
            own = [test.patients[number] for number in chosen]
            of_group = estimate(share_metric(errors[chosen]), own, asked.resamples, asked.seed)
            bias = float((said - months)[chosen].mean())
            row |= {**of_group.interval(), "patients": of_group.patients, "mean_error": bias}
        rows.append(row)
    result = {
        "asks": ASKS,
        "kind": f"{kind}, {'with' if use_sex else 'without'} the sex",
        **_scored(asked, said, use_sex),
        "metric": METRIC,
        "classes": rows,
        **more,
    }
    predictions = {
        "months": months.tolist(),
        "predicted_months": np.round(said, 3).tolist(),
        "sex": [sample.sex for sample in test.samples],
    }
    return Answer(result, predictions, metric, test.patients)


def _scored(asked: Asked, said: np.ndarray, use_sex: bool) -> dict[str, Any]:
    test = asked.splits["test"]
    metric = share_metric(np.abs(said - _months(test, "test")))
    found = estimate(metric, test.patients, asked.resamples, asked.seed)
    return {**found.to_dict(), "chance": chance_error(asked, use_sex)}


def _months(images: EmbeddedImages, split: str) -> np.ndarray:
    known = [sample.bone_age_months for sample in images.samples if sample.bone_age_months is not None]
    if len(known) < len(images.samples):
        raise ValueError(
            f"{len(images.samples) - len(known)} of {len(images.samples)} {split} images have no bone_age_months; "
            "leave them out"
        )
    return np.array(known, dtype=np.float64)


def _features(images: EmbeddedImages, with_sex: bool) -> np.ndarray:
    embeds = images.embeds.astype(np.float64)
    return np.hstack([embeds, _sexes(images)[:, None]]) if with_sex else embeds


def _sexes(images: EmbeddedImages) -> np.ndarray:
    """1 for male, 0 for female (N,)."""
    return np.array([float(sample.sex == "male") for sample in images.samples])


def _require_sex(asked: Asked) -> None:
    for split in SPLITS:
        samples = asked.splits[split].samples
        unknown = sum(sample.sex not in ("female", "male") for sample in samples)
        if unknown:
            raise ValueError(
                f"{unknown} of {len(samples)} {split} images have no sex (female or male); ask with use_sex=False"
            )
