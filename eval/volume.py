"""RadCLIP's tasks on single images (2-D) and on volumes (3-D): classification by images alone, and matching both ways.

And, because a pooling says how much each slice counts: whether it counts those in which the finding lies. What RadCLIP
was measured on is not public; what is measured here is of the same kind and ours.
"""

# Shapes: N test volumes, S slices
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..configuration.data import DataConfig
from ..processing.data.samples import read_samples
from .bench.asked import Asked
from .bench.probe import linear_probe
from .bench.questions import ProbeTask
from .bench.radclip_tasks import image_text_matching
from .embeddings import EmbeddedImages, ModelUnderTest
from .prompt_classification import logits_of
from .prompts import question_file, questions
from .retrieval import KS, chance_of_hit
from .statistics import RESAMPLES, Metric, among, auc_metric, estimate, mean_of, paired_difference, share_metric

SPLITS = ("train", "validation", "test")
DIRECTIONS = ("image_to_text", "text_to_image")
MEAN = "mean of the findings"
TOP, MASS, CHANCE = "top slice", "weight", "chance"
MIN_IMAGES = 5  # with a finding, and without it, in train and in test each; ours


def embed_splits(tested: ModelUnderTest, data: DataConfig) -> dict[str, EmbeddedImages]:
    """Images or volumes of all three splits, each through the image tower once."""
    return {
        split: tested.embed_images(read_samples(data, split=split, need_caption=False), data, batch_size=16)
        for split in SPLITS
    }


def answers(
    tested: ModelUnderTest,
    splits: Mapping[str, EmbeddedImages],
    data: DataConfig,
    findings: Sequence[str],
    min_images: int = MIN_IMAGES,
) -> dict[str, Any]:
    """What a model says of each test image or volume, as plain numbers that `metrics_of` measures.

    {"positive", "scores": {finding: (N,)}} from a linear probe on frozen embeddings, {"prompted": {finding: (N,)}}
    from sentences, {"ranks": {direction: (N,)}, "caption_group": (N,)} from matching, and of volumes {"slices": {...}}
    from `slices_found`.
    """
    task = ProbeTask("findings", "which findings an image or a volume has", tuple(findings), min_images=min_images)
    asked = Asked(tested, splits, data, resamples=0)
    probed, matched = linear_probe(asked, task).predictions, image_text_matching(asked).predictions
    found: dict[str, Any] = {
        "positive": {name: list(map(int, probed[f"label: {name}"])) for name in findings},
        "scores": {name: probed[f"score: {name}"] for name in findings},
        "prompted": prompted(tested, splits["test"], data, findings),
        "ranks": {direction: matched[f"{direction}_rank"] for direction in DIRECTIONS},
        "caption_group": matched["caption_group"],
    }
    if splits["test"].slice_weights:
        found["slices"] = slices_found(splits["test"])
    return found


def prompted(
    tested: ModelUnderTest, images: EmbeddedImages, data: DataConfig, findings: Sequence[str]
) -> dict[str, list[float | None]]:
    """By finding how much nearer each image is to its sentences than to those of "no finding", over the temperature.

    The sentences are the phantom's (phantom_prompts.yaml); a finding that they do not ask about is left out.
    """
    found = {}
    for question in questions(question_file("phantom_prompts")).values():
        asked = next(iter(question.classes)) if isinstance(question.classes, Mapping) else None
        if asked not in findings:
            continue
        selection = question.select(images.samples)
        logits = logits_of(tested, images, question, selection.indices, selection.classes, data)
        scores: list[float | None] = [None] * len(images.samples)
        for row, (ours, theirs) in zip(selection.indices, logits.tolist(), strict=True):
            scores[row] = ours - theirs
        found[str(asked)] = scores
    return found


def slices_found(images: EmbeddedImages) -> dict[str, list[float | None]]:
    """Of each volume with a finding: whether the slice that counts most shows it, the weight of all that show it, and
    their share of all slices, which is the chance of both. None where there is no finding.

    Which slices show which finding stands in the rows' `finding_slices`. Slices that count alike share first place.
    """
    found: dict[str, list[float | None]] = {TOP: [], MASS: [], CHANCE: []}
    for sample, weights in zip(images.samples, images.slice_weights, strict=True):
        shows = np.zeros(len(weights), bool)
        shows[sorted({place for places in sample.row["finding_slices"].values() for place in places})] = True
        first = np.isclose(weights, weights.max(), rtol=1e-6, atol=0)
        values = (shows[first].mean(), weights[shows].sum() / weights.sum(), shows.mean())
        for name, value in zip(found, values, strict=True):
            found[name].append(float(value) if shows.any() else None)
    return found


def metrics_of(answer: Mapping[str, Any]) -> dict[str, Metric]:
    """Every number of a model as a function of its test images' weights, by task: "classification: consolidation"."""
    auc = {
        name: auc_metric(np.array(answer["positive"][name]) == 1, scores) for name, scores in answer["scores"].items()
    }
    found = {f"classification: {MEAN}": mean_of(list(auc.values()))}
    found |= {f"classification: {name}": metric for name, metric in auc.items()}
    for name, scores in answer["prompted"].items():
        rows = [row for row, score in enumerate(scores) if score is not None]
        positive = np.array([answer["positive"][name][row] for row in rows]) == 1
        found[f"by prompts: {name}"] = among(auc_metric(positive, [scores[row] for row in rows]), rows)
    for direction in DIRECTIONS:
        rows = [row for row, rank in enumerate(answer["ranks"][direction]) if rank is not None]
        ranks = np.array([answer["ranks"][direction][row] for row in rows])
        for k in KS:
            found[f"matching: {direction.replace('_', ' ')} R@{k}"] = among(share_metric(ranks < k), rows)
    for name, values in answer.get("slices", {}).items():
        rows = [row for row, value in enumerate(values) if value is not None]
        found[f"slices: {name}"] = among(share_metric([values[row] for row in rows]), rows)
    return found


def chances(answer: Mapping[str, Any]) -> dict[str, float]:
    """What a random order or a coin would reach, by task."""
    groups = np.array([group for group in answer["caption_group"] if group is not None])
    right = (groups[:, None] == groups[None, :]).sum(1)
    found = {f"classification: {name}": 0.5 for name in (MEAN, *answer["scores"])}
    found |= {f"by prompts: {name}": 0.5 for name in answer["prompted"]}
    return found | {
        f"matching: {direction.replace('_', ' ')} R@{k}": chance_of_hit(right, k)
        for direction in DIRECTIONS
        for k in KS
    }


def compare(
    arms: Mapping[str, Sequence[Mapping[str, Any]]], patients: Sequence[str], resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Arms of several seeds on the same test volumes: {"values", "differences", "found"}.

    `arms` are each arm's answers, one a seed; `patients` (N,) those of the test volumes. Values are means over seeds
    with intervals over patients, and `seeds` holds each one's; differences are of the first arm to each other one,
    paired by patient. `found` is by how much an arm's weights find the finding's slices more often than chance.
    """
    metrics = {arm: [metrics_of(answer) for answer in answers_] for arm, answers_ in arms.items()}
    first, *others = metrics
    values = {
        arm: {task: _value([one[task] for one in seeds], patients, resamples) for task in seeds[0]}
        for arm, seeds in metrics.items()
    }
    differences = {
        other: {
            task: _difference(
                [one[task] for one in metrics[first]], [one[task] for one in metrics[other]], patients, resamples
            )
            for task in metrics[first][0]
            if task != f"slices: {CHANCE}"
        }
        for other in others
    }
    found = {
        arm: {
            name: _difference(
                [one[f"slices: {name}"] for one in seeds],
                [one[f"slices: {CHANCE}"] for one in seeds],
                patients,
                resamples,
            )
            for name in (TOP, MASS)
        }
        for arm, seeds in metrics.items()
        if f"slices: {TOP}" in seeds[0]
    }
    return {"values": values, "differences": differences, "found": found}


def _value(ours: Sequence[Metric], patients: Sequence[str], resamples: int) -> dict[str, Any]:
    found = estimate(mean_of(ours), patients, resamples).to_dict()
    return found | {"seeds": [_plain(one, len(patients)) for one in ours]}


def _difference(
    ours: Sequence[Metric], theirs: Sequence[Metric], patients: Sequence[str], resamples: int
) -> dict[str, Any]:
    found = paired_difference(mean_of(ours), mean_of(theirs), patients, resamples).to_dict()
    pairs = zip(ours, theirs, strict=True)
    return found | {"seeds": [_plain(one, len(patients)) - _plain(other, len(patients)) for one, other in pairs]}


def _plain(metric: Metric, images: int) -> float:
    return float(metric(np.ones((1, images)))[0])
