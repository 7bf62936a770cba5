"""Does an image find its caption among all captions, and a caption its image?"""

# Shapes: N images (and as many captions), K values of k
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from ..configuration.data import DataConfig
from ..processing.data.captions import Captions
from ..processing.data.sample import Sample
from .embeddings import EmbeddedImages, ModelUnderTest
from .finite import require_finite
from .statistics import RESAMPLES, estimate, share_metric

KS = (1, 5, 10)


@dataclass(frozen=True)
class Matching:
    """Where each query finds its first right answer."""

    indices: list[int]  # the images that have a caption
    texts: list[str]  # their captions
    ranks: dict[str, np.ndarray]  # image_to_text and text_to_image, (N,): wrong ones before the first right one
    same: np.ndarray  # (N, N): which captions are equal


def retrieval(
    tested: ModelUnderTest, images: EmbeddedImages, data: DataConfig, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """R@1, 5 and 10 in both directions over the images that have a caption (template 0 where it is made from labels).

    Captions made from labels repeat, so any item with the query's caption is a hit; chance is what a random order
    would reach by that rule. Queries are resampled by patient, the gallery stays.
    """
    return retrieval_result(matching(tested, images, data), images, data, resamples=resamples, seed=seed)


def matching(tested: ModelUnderTest, images: EmbeddedImages, data: DataConfig) -> Matching:
    """Every captioned image against every caption, both ways."""
    having, texts = captioned(images.samples, data)
    return matched(having, texts, images.embeds[having] @ tested.embed_texts(texts).T)


def captioned(samples: Sequence[Sample], data: DataConfig) -> tuple[list[int], list[str]]:
    """The numbers of the images that have a caption, and their captions; two are the least."""
    captions = [Captions(data).caption(sample) for sample in samples]
    having = [index for index, caption in enumerate(captions) if caption]
    texts = [caption for caption in captions if caption]
    if len(texts) < 2:
        raise ValueError(f"{len(texts)} of {len(captions)} images have a caption; retrieval needs two (data.captions)")
    return having, texts


def matched(having: list[int], texts: list[str], similarity: np.ndarray) -> Matching:
    """What a similarity (N, N), images down and captions across, finds first in both directions."""
    ids = np.unique(texts, return_inverse=True)[1]
    same = ids[:, None] == ids[None, :]
    both = {"image_to_text": similarity, "text_to_image": similarity.T}
    ranks = {direction: ranks_of_first_hit(scores, same) for direction, scores in both.items()}
    return Matching(having, texts, ranks, same)


def retrieval_result(
    found: Matching, images: EmbeddedImages, data: DataConfig, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """R@k of a matching with intervals and chance; the headline is image to text R@1."""
    patients = [images.samples[index].patient_id for index in found.indices]
    result: dict[str, Any] = {"captions": "text column" if data.captions.source == "text" else data.captions.source}
    for direction, ranks in found.ranks.items():
        result[direction] = {
            f"R@{k}": {
                **estimate(share_metric(ranks < k), patients, resamples, seed).to_dict(),
                "chance": chance_of_hit(found.same.sum(1), k),
            }
            for k in KS
        }
    headline = result["image_to_text"]["R@1"]
    return {
        "asks": "whether an image finds its caption, and a caption its image",
        "kind": "retrieval, any item with the same caption is a hit",
        "metric": "image to text R@1",
        **headline,
        "distinct_captions": len(set(found.texts)),
        "largest_caption_group": int(found.same.sum(1).max()),
        **result,
    }


def ranks_of_first_hit(scores: np.ndarray, same: np.ndarray) -> np.ndarray:
    """For each query (row) how many wrong items come before its best right one; a tie counts as wrong first.

    Scores may be infinite, where a method knows nothing of an item; NaN is a ValueError.
    """
    require_finite(scores, "similarities of queries and items", infinite=True)
    best = np.where(same, scores, -np.inf).max(1, keepdims=True)
    return ((scores >= best) & ~same).sum(1)


def chance_of_hit(right: np.ndarray, k: int) -> float:
    """R@k expected of a random order, exactly: one minus the chance that all k are among the wrong ones."""
    total = len(right)
    k = min(k, total)
    return float(np.mean([1 - comb(total - int(count), k) / comb(total, k) for count in right]))
