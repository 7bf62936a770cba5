"""What a method of the benchmark is given, and what it gives back."""

# Shapes: N images, M statements, C classes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...configuration.data import DataConfig
from ..embeddings import EmbeddedImages, ModelUnderTest
from ..statistics import RESAMPLES, Metric


@dataclass(frozen=True)
class Asked:
    """One data set as one model sees it. A method learns on train, chooses on validation and is measured on test."""

    tested: ModelUnderTest
    splits: Mapping[str, EmbeddedImages]  # train, validation, test; samples in the order of their embeddings
    data: DataConfig
    resamples: int = RESAMPLES
    seed: int = 0
    shuffled: bool = False  # the control: every image has another one's labels


@dataclass(frozen=True)
class Stated:
    """Probabilities that a method stands by, and what was true: M statements, label after label."""

    truth: np.ndarray  # (M,) 0 or 1, or the class's number
    probabilities: np.ndarray  # (M,) of the positive, or (M, C)
    patients: Sequence[str] = field(repr=False)  # (M,)


@dataclass(frozen=True)
class Answer:
    """A number with everything that is needed to doubt it.

    `result` holds at least {asks, kind, metric, value, low, high, n, patients, chance}: the headline, and how it was
    made. `predictions` holds for every test image what it was taken for and what it is, in the samples' order and
    without a name: columns of equal length. `metric` is the headline as a function of the images' weights, and
    `patients` those of its images: with them two models are compared on the same patients. Where not every test image
    is asked about, `rows` has the numbers of those that are. `stated` is there where scores are probabilities.
    """

    result: dict[str, Any]
    predictions: dict[str, Sequence[Any]]
    metric: Metric
    patients: Sequence[str] = field(repr=False)
    rows: Sequence[int] | None = field(default=None, repr=False)
    stated: Stated | None = field(default=None, repr=False)
