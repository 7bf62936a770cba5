"""Linear probes: a logistic regression a label on frozen embeddings, with all labels or a small share of them.

The paper gives neither the regularisation nor the splits nor how few labels it tried, so all of that is ours.
"""

# Shapes: N images, D embedding, C labels
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from tqdm.auto import tqdm

from .asked import Answer, Asked
from .label_auc import label_answer, macro_auc, mixed
from .questions import ProbeTask, labels_of

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # C of scikit-learn: the higher, the freer
MOST_STEPS = 1000


@dataclass(frozen=True)
class Probes:
    """One linear probe a label, its standardisation folded in; NaN where a label could not be learned."""

    weights: np.ndarray  # (C, D)
    bias: np.ndarray  # (C,)
    strength: float
    quality: float  # macro AUC on validation

    @property
    def learned(self) -> np.ndarray:
        return np.isfinite(self.bias)

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Log-odds (N, C) of features (N, D)."""
        return features.astype(np.float64) @ self.weights.T + self.bias


def linear_probe(
    asked: Asked, task: ProbeTask, share: float = 1.0, *, strengths: Sequence[float] = STRENGTHS
) -> Answer:
    """AUC of linear probes on the frozen embeddings: by label, and their mean; classes count one against the rest.

    With a `share` below 1 that many of the training patients are drawn, 3 times from a tenth on, 5 times below, and
    the value is the mean over the draws; `training_draws` has each, and the interval is over test patients alone.
    Features are standardised by what was drawn. One C for all labels is chosen by macro AUC on validation, where all
    labels are used, whatever the share. The test labels are not looked at before the scores are there.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; it is a part of the training patients, above 0 and at most 1")
    train, validation, test = (asked.splits[name] for name in ("train", "validation", "test"))
    truth, of_validation = (labels_of(task, images.samples)[0] for images in (train, validation))
    draws = 1 if share == 1 else 3 if share >= 0.1 else 5
    found, drawn = [], []
    with tqdm(total=draws * len(strengths) * len(task.labels), unit="fit", desc="probes", leave=False) as bar:
        for draw in range(draws):
            rows = draw_share(train.patients, truth, share, (asked.seed, draw))
            drawn.append(rows)
            found.append(fit_probes(train.embeds[rows], truth[rows], validation.embeds, of_validation, strengths, bar))
    scores = [probes.scores(test.embeds) for probes in found]
    learned = np.all([probes.learned for probes in found], axis=0)  # else the draws were means of different labels
    about = {
        "kind": "linear probe on frozen embeddings",
        "share": share,
        "strengths": list(strengths),
        "strength": [probes.strength for probes in found],
        "chosen_on": f"{len(validation.samples)} validation images, by macro AUC",
    }
    answer = label_answer(asked, task, scores, learned, about)
    counted = [place for place, row in enumerate(answer.result["classes"]) if row["in_mean"]]
    of_test = labels_of(task, test.samples)[0][:, counted]
    values = [macro_auc(of_test, of_draw[:, counted]) for of_draw in scores]
    answer.result["training_draws"] = {
        "values": values,
        "lowest": min(values),
        "highest": max(values),
        "standard_deviation": float(np.std(values, ddof=1)) if draws > 1 else None,
        "images": [len(rows) for rows in drawn],
        "patients": [len({train.patients[row] for row in rows}) for rows in drawn],
    }
    return answer


def fit_probes(
    train: np.ndarray,
    train_truth: np.ndarray,
    validation: np.ndarray,
    validation_truth: np.ndarray,
    strengths: Sequence[float] = STRENGTHS,
    bar: tqdm | None = None,
) -> Probes:
    """Probes on features (N, D) for labels (N, C), all with the strength that is best on validation.

    A label that all or none of the training images have is not learned. Raises ValueError where validation cannot tell
    any learned label.
    """
    scaler = StandardScaler().fit(train.astype(np.float64))
    scaled = scaler.transform(train)
    learnable = mixed(train_truth)
    best: Probes | None = None
    for strength in sorted(strengths):
        weights, bias = np.full((len(learnable), train.shape[1]), np.nan), np.full(len(learnable), np.nan)
        for place, learn in enumerate(learnable):
            if learn:
                with threadpool_limits(1):  # threads cost more than such small products give
                    fitted = LogisticRegression(C=strength, max_iter=MOST_STEPS).fit(scaled, train_truth[:, place])
                weights[place] = fitted.coef_[0] / scaler.scale_
                bias[place] = fitted.intercept_[0] - weights[place] @ scaler.mean_
            if bar is not None:
                bar.update()
        probes = Probes(weights, bias, strength, quality=0.0)
        quality = macro_auc(validation_truth, probes.scores(validation))
        if np.isnan(quality):
            raise ValueError(
                f"the strength of a probe is chosen by AUC on {len(validation)} validation images, and there is no "
                f"label that some of them have and some have not, and some of the {len(train)} training images too; "
                "take more images, or a larger share"
            )
        if best is None or quality > best.quality:
            best = Probes(weights, bias, strength, quality)
    if best is None:
        raise ValueError("strengths is empty; give at least one C to choose from")
    return best


def draw_share(patients: Sequence[str], truth: np.ndarray, share: float, seed: Sequence[int]) -> np.ndarray:
    """The numbers of all images of a share of the patients, drawn so that the labels keep their shares.

    A patient counts under the rarest label of any of his images, or under none. Every such group gives its part, at
    least one patient if there are as many to draw as groups; so with very few patients rare labels come more often.
    Two patients are the least.
    """
    names, of_image = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    if share == 1:
        return np.arange(len(of_image))
    has = np.zeros((len(names), truth.shape[1]), dtype=bool)
    np.logical_or.at(has, of_image, truth)
    rarity = np.where(has, has.sum(0), len(names) + 1)
    group = np.where(has.any(1), rarity.argmin(1), truth.shape[1])
    groups, sizes = np.unique(group, return_counts=True)
    wanted = min(max(round(share * len(names)), 2), len(names))
    taken = np.ones(len(groups), dtype=int) if wanted >= len(groups) else np.zeros(len(groups), dtype=int)
    for _ in range(wanted - taken.sum()):
        taken[np.argmax(np.where(taken < sizes, sizes * wanted / len(names) - taken, -np.inf))] += 1
    random = np.random.default_rng(list(seed))
    chosen = [
        random.choice(np.flatnonzero(group == one), count, replace=False)
        for one, count in zip(groups, taken, strict=True)
    ]
    return np.flatnonzero(np.isin(of_image, np.concatenate(chosen)))
