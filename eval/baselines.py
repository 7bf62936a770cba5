"""What trivial methods reach on the same images: without them a number says little.

Each is trained on the train split for the question at hand and scored on the evaluated split; its one strength is
chosen on the validation split. scikit-learn and scikit-image come with the `eval` extra.
"""

# Shapes: N images, F features, C classes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from skimage.feature import hog
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ..processing.data.sample import Sample

HOG_SIDE = 128
THUMBNAIL_SIDE = 16


@dataclass(frozen=True)
class Baseline:
    """A row: features of one grey image, and a linear classifier whose strength is one of `strengths`."""

    name: str
    features: (
        Callable[[Image.Image, bool], np.ndarray] | None
    )  # (image, keep_aspect_ratio) -> (F,); None: a model's own
    classifier: Callable[[float], Any]
    strengths: Sequence[float]
    settings: str  # for the report
    depends_on_fitting: bool = True  # padded and stretched images give other features


def thumbnail(image: Image.Image, keep_aspect_ratio: bool) -> np.ndarray:
    return np.asarray(_fitted(image, THUMBNAIL_SIDE, keep_aspect_ratio), dtype=np.float32).ravel() / 255


def gradients(image: Image.Image, keep_aspect_ratio: bool) -> np.ndarray:
    pixels = np.asarray(_fitted(image, HOG_SIDE, keep_aspect_ratio))
    return hog(pixels, orientations=9, pixels_per_cell=(16, 16), cells_per_block=(2, 2), feature_vector=True)


def shape(image: Image.Image, keep_aspect_ratio: bool) -> np.ndarray:
    pixels = np.asarray(image, dtype=np.float32)
    return np.array([image.width / image.height, pixels.mean(), pixels.std()])


def shape_and_size(image: Image.Image, keep_aspect_ratio: bool) -> np.ndarray:
    return np.array([*shape(image, keep_aspect_ratio), image.width, image.height])


def _logistic(strength: float) -> Any:
    return LogisticRegression(C=strength, max_iter=1000)


def _ridge(strength: float) -> Any:
    return RidgeClassifier(alpha=strength)


BASELINES = {
    baseline.name: baseline
    for baseline in (
        Baseline(
            "16 x 16 thumbnail, ridge",
            thumbnail,
            _ridge,
            (1.0, 10.0, 100.0, 1000.0),
            "256 grey values, standardised, ridge classifier, alpha 1 to 1000",
        ),
        Baseline(
            "HOG, logistic regression",
            gradients,
            _logistic,
            (0.001, 0.01, 0.1),
            "128 x 128, 9 directions, 16 x 16 cells, 2 x 2 blocks: 1764 numbers, standardised, C 0.001 to 0.1",
        ),
        Baseline(
            "aspect, mean, std",
            shape,
            _logistic,
            (0.1, 1.0, 10.0),
            "three numbers of the file's image, standardised, logistic regression, C 0.1 to 10",
            depends_on_fitting=False,
        ),
        Baseline(
            "aspect, mean, std, width, height",
            shape_and_size,
            _logistic,
            (0.1, 1.0, 10.0),
            "five numbers of the file's image, standardised, logistic regression, C 0.1 to 10",
            depends_on_fitting=False,
        ),
    )
}

# The model's own embeddings with a classifier that is learned on them: by the same rule, and no trivial method
PROBE = Baseline(
    "PedCLIP, linear probe",
    None,
    _logistic,
    (0.001, 0.01, 0.1, 1.0, 10.0),
    "logistic regression on the frozen image embeddings, standardised, C 0.001 to 10",
)


def extract(samples: Sequence[Sample], keep_aspect_ratio: bool) -> dict[str, np.ndarray]:
    """Every baseline's features (N, F); each file is read once."""
    rows: dict[str, list[np.ndarray]] = {name: [] for name in BASELINES}
    for sample in samples:
        with Image.open(sample.path) as file:
            image = file.convert("L")
        for name, baseline in BASELINES.items():
            assert baseline.features is not None
            rows[name].append(baseline.features(image, keep_aspect_ratio))
    return {name: np.stack(features) for name, features in rows.items()}


def fit_and_score(
    baseline: Baseline,
    classes: Sequence[str],
    train: tuple[np.ndarray, Sequence[str]],
    validation: tuple[np.ndarray, Sequence[str]],
    test: np.ndarray,
) -> tuple[np.ndarray, float]:
    """Scores (N, C) of the test images and the strength used: the one with the best macro AUC on validation.

    A class that training lacks scores alike everywhere. The test labels are not seen here.
    """
    best: tuple[float, float, Pipeline] | None = None
    for strength in baseline.strengths:
        with threadpool_limits(1):  # products this small take 20 times longer when threads have to wait for each other
            fitted = make_pipeline(StandardScaler(), baseline.classifier(strength)).fit(train[0], np.asarray(train[1]))
        quality = _macro_auc(_scores(fitted, validation[0], classes), validation[1], classes)
        if best is None or quality > best[0]:
            best = (quality, strength, fitted)
    assert best is not None  # every baseline has strengths
    return _scores(best[2], test, classes), best[1]


def _scores(fitted: Pipeline, features: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Decision values by class (N, C); with two classes scikit-learn gives one column, of the second."""
    decision = fitted.decision_function(features)
    known = list(fitted.classes_)
    if decision.ndim == 1:
        decision = np.stack([-decision, decision], axis=1)
    elif isinstance(fitted[-1], LogisticRegression):
        decision = np.log(fitted.predict_proba(features) + 1e-30)  # the softmax orders one against the rest better
    columns = [decision[:, known.index(name)] if name in known else np.zeros(len(features)) for name in classes]
    return np.stack(columns, axis=1)


def _macro_auc(scores: np.ndarray, labels: Sequence[str], classes: Sequence[str]) -> float:
    positive = [np.asarray(labels) == name for name in classes]
    values = [
        roc_auc_score(here, scores[:, place]) for place, here in enumerate(positive) if 0 < here.sum() < len(labels)
    ]
    return float(np.mean(values)) if values else 0.0


def _fitted(image: Image.Image, side: int, keep_aspect_ratio: bool) -> Image.Image:
    """Stretched to a square, or fitted in and padded with black, as the model's processor does it."""
    if not keep_aspect_ratio:
        return image.resize((side, side), Image.Resampling.BILINEAR)
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    square = Image.new("L", (side, side))
    square.paste(image.resize(size, Image.Resampling.BILINEAR), ((side - size[0]) // 2, (side - size[1]) // 2))
    return square
