"""What trivial methods retrieve: captions of the training images that look most alike, and the commonest caption.

No text is understood here: a caption of the test split is known only where a training image has the very same one.
"""

# Shapes: N test images that have a caption (and as many captions), M training images, F features
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ..configuration.data import DataConfig
from ..processing.data.sample import Sample
from .baselines import BASELINES
from .retrieval import KS, Matching, captioned, matched
from .statistics import RESAMPLES, estimate, paired_difference, share_metric

COMMONEST = "commonest training captions first"


def retrieval_baselines(
    own: Matching,
    samples: Mapping[str, Sequence[Sample]],
    features: Mapping[str, Mapping[str, np.ndarray]],
    data: DataConfig,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """R@k of each trivial method, and how far `own`, the model's matching of the test images, is above it.

    `features` are those of baselines.extract by split; the nearest training image is that of least Euclidean distance
    once they are standardised. To say the commonest captions first does not answer which image a caption belongs to,
    so that method has one direction only.
    """
    train_rows, train_texts = captioned(samples["train"], data)
    found = {}
    for name in BASELINES:
        train, test = features["train"][name][train_rows], features["test"][name][own.indices]
        closeness = closeness_to_captions(train, train_texts, test, own.texts)
        seen = name.removesuffix(", ridge").removesuffix(", logistic regression")
        found[f"nearest training image by {seen}"] = matched(own.indices, own.texts, closeness).ranks
    counts = Counter(train_texts)
    commonness = np.tile([float(counts[text]) for text in own.texts], (len(own.texts), 1))
    ranks = matched(own.indices, own.texts, commonness).ranks
    found[COMMONEST] = {"image_to_text": ranks["image_to_text"]}

    patients = [samples["test"][index].patient_id for index in own.indices]
    entries: list[dict[str, Any]] = []
    for method, by_direction in found.items():
        entries.append({"method": method})
        for direction, ranks_of in by_direction.items():
            entries[-1][direction] = {}
            for k in KS:
                hits, model_hits = share_metric(ranks_of < k), share_metric(own.ranks[direction] < k)
                entries[-1][direction][f"R@{k}"] = {
                    **estimate(hits, patients, resamples, seed).to_dict(),
                    "pedclip_minus_this": paired_difference(model_hits, hits, patients, resamples, seed).to_dict(),
                }
    return entries


def closeness_to_captions(
    train: np.ndarray, train_texts: Sequence[str], test: np.ndarray, texts: Sequence[str]
) -> np.ndarray:
    """(N, N): minus the distance of each test image to the nearest training image (M, F) that has the caption.

    Minus infinity where no training image has it.
    """
    scaler = StandardScaler().fit(train.astype(np.float64))
    one, other = scaler.transform(test), scaler.transform(train)
    with threadpool_limits(1):
        squared = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T  # (N, M)
    distances = np.sqrt(np.maximum(squared, 0))
    of_caption = np.asarray(train_texts)
    nearest = {
        text: distances[:, of_caption == text].min(1) if (of_caption == text).any() else np.full(len(test), np.inf)
        for text in dict.fromkeys(texts)
    }
    return -np.stack([nearest[text] for text in texts], axis=1)
