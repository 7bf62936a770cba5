"""The gate as a detector: are its probabilities true, and does it know what it does not know?

Scores of how known an image looks, each higher for better known: the largest probability (Hendrycks and Gimpel 2017,
arXiv:1610.02136), the negative entropy, and the negative energy, the log-sum-exp of the router's logits (Liu et al.
2020, arXiv:2010.03759). Which is the headline was fixed beforehand. All of this is ours; the paper has none of it.
"""

# Shapes: N images, E experts, L MoBE layers, R resamples
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..configuration.data import DataConfig
from ..processing.data.sample import Sample
from .calibration import calibration
from .embeddings import EmbeddedImages, ModelUnderTest
from .finite import require_finite
from .no_xray import no_xray_pictures
from .statistics import RESAMPLES, BoundedMetric, auc_metric, below_chance, estimate, share_metric

HEADLINE = "largest probability"
KEPT = 0.95  # of the known images, where the share of rejected unknown ones is given
CURVE_POINTS = 101
PICTURES = 120  # that are no radiographs
UNKNOWN_PART, NO_XRAY = "unknown part", "no X-ray"


def gate_detector(
    known: EmbeddedImages,
    unknown: Mapping[str, EmbeddedImages],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """`value` is the AUC of known against all unknown images by the largest probability of the mean gate.

    `known` are images whose part has an expert that was trained; `unknown` has the other images by kind. With
    `abstention` (each kind by each score), `calibration` and `selective` (risk-coverage curve and AURC of the known).
    """
    if not known.gates:
        raise ValueError("the model has no MoBE layer (vision_config.mobe_layers is empty), so it has no gate")
    if not known.samples or min(known.experts) < 0:
        raise ValueError(
            f"{sum(expert < 0 for expert in known.experts)} of {len(known.samples)} known images have no expert; give "
            "at least one, and those without as unknown (split_by_training does it)"
        )
    kinds = {kind: images for kind, images in unknown.items() if len(images.samples)}
    if not kinds:
        raise ValueError("there is no unknown image; give images of other parts, or pictures that are no radiographs")
    drawing: dict[str, int] = {"resamples": resamples, "seed": seed}
    gate = mean_gate(known)
    truth = np.array(known.experts)
    of_known = known_scores(known)
    of_kind = {kind: known_scores(images) for kind, images in kinds.items()}
    tables: dict[str, dict[str, Any]] = {kind: {} for kind in (*kinds, "all")}
    for name, scores in of_known.items():
        for kind in tables:
            members = list(kinds) if kind == "all" else [kind]
            strange = np.concatenate([of_kind[member][name] for member in members])
            patients = [*known.patients, *(patient for member in members for patient in kinds[member].patients)]
            metric = auc_metric(np.arange(len(patients)) < len(scores), np.concatenate([scores, strange]))
            found = estimate(metric, patients, **drawing)
            threshold = np.quantile(scores, 1 - KEPT)
            tables[kind][name] = {
                **found.to_dict(),
                **below_chance(found),
                f"rejected_at_{KEPT:.0%}_kept": float((strange < threshold).mean()),
            }
    return {
        "asks": "whether the gate is surer of images that it was trained for than of others",
        "kind": "abstention by the gate, nothing is learned",
        "metric": f"AUC by the {HEADLINE}",
        **tables["all"][HEADLINE],
        "chance": 0.5,
        "known": len(known.samples),
        "unknown": {kind: len(images.samples) for kind, images in kinds.items()},
        "abstention": tables,
        "calibration": calibration(truth, gate, known.patients, **drawing),
        "selective": selective(of_known, gate.argmax(1) == truth, known.patients, **drawing),
    }


def mean_gate(images: EmbeddedImages) -> np.ndarray:
    """(N, E): the mean of the layers' gates, in float64, each row summing to 1."""
    layers = [require_finite(layer, "gate weights").astype(np.float64) for layer in images.gates]
    gate = np.mean(layers, axis=0)
    return gate / gate.sum(1, keepdims=True)


def known_scores(images: EmbeddedImages) -> dict[str, np.ndarray]:
    """How known each image looks (N,), by score; the energy only where the logits were kept."""
    gate = mean_gate(images)
    logs = np.log(gate, out=np.zeros_like(gate), where=gate > 0)
    scores = {HEADLINE: gate.max(1), "negative entropy": (gate * logs).sum(1)}
    if images.energies:
        scores["negative energy"] = np.mean([layer.astype(np.float64) for layer in images.energies], axis=0)
    return scores


def selective(
    scores: Mapping[str, np.ndarray],
    right: np.ndarray,
    patients: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """By score: AURC with its interval and the curve; beside them the AURC of a perfect order, and of a random one.

    The random one's is the error rate, and a perfect one has all errors last (Geifman, Uziel and El-Yaniv 2019,
    arXiv:1805.08206).
    """
    perfect = float(aurc_metric(np.asarray(right, float), right)(np.ones((1, len(right))))[0])
    return {
        "error_rate": estimate(share_metric(~np.asarray(right, bool)), patients, resamples, seed).to_dict(),
        "aurc_of_a_perfect_order": perfect,
        "scores": {
            name: {
                "aurc": estimate(aurc_metric(values, right), patients, resamples, seed).to_dict(),
                "curve": risk_coverage(values, right),
            }
            for name, values in scores.items()
        },
    }


def aurc_metric(scores: np.ndarray, right: np.ndarray) -> BoundedMetric:
    """The area under the risk-coverage curve as a function of weights: the mean risk over all coverages.

    Images are kept from the highest score down. The risk of an image's coverage is the share of errors among the kept;
    of equal scores none is kept without the others.
    """
    order = np.argsort(-scores, kind="stable")
    wrong = ~np.asarray(right, bool)[order]
    first_of_tie = np.flatnonzero(np.r_[True, np.diff(scores[order]) < 0])

    def metric(weights: np.ndarray) -> np.ndarray:
        weights = weights[:, order]
        size = np.add.reduceat(weights, first_of_tie, axis=1)  # (R, ties)
        kept = np.cumsum(size, axis=1)
        errors = np.cumsum(np.add.reduceat(weights * wrong, first_of_tie, axis=1), axis=1)
        risk = np.divide(errors, kept, out=np.zeros_like(kept), where=kept > 0)
        totals = weights.sum(1)
        return np.divide((risk * size).sum(1), totals, out=np.full(len(totals), np.nan), where=totals > 0)

    return BoundedMetric(metric, (np.arange(len(scores)),))


def risk_coverage(scores: np.ndarray, right: np.ndarray, points: int = CURVE_POINTS) -> dict[str, list[float]]:
    """{"coverage", "risk"}: at most `points` of the curve, the last one with every image kept."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.r_[np.diff(scores[order]) < 0, True])  # the last of every tie
    risk = np.cumsum(~np.asarray(right, bool)[order])[ends] / (ends + 1)
    chosen = np.unique(np.linspace(0, len(ends) - 1, min(points, len(ends))).round().astype(int))
    return {"coverage": ((ends + 1) / len(scores))[chosen].tolist(), "risk": risk[chosen].tolist()}


def split_by_training(
    images: EmbeddedImages, trained_parts: Sequence[str] | None
) -> tuple[EmbeddedImages, EmbeddedImages]:
    """The images whose part has an expert and was in training, and the others; None takes every part as trained.

    Images without any body part in their row are in neither: nobody knows what they show.
    """
    trained = None if trained_parts is None else set(trained_parts)
    named = [place for place, sample in enumerate(images.samples) if sample.body_part is not None]
    known = [
        place
        for place in named
        if images.experts[place] >= 0 and (trained is None or images.samples[place].body_part in trained)
    ]
    return some_images(images, known), some_images(images, sorted(set(named) - set(known)))


def some_images(images: EmbeddedImages, places: Sequence[int]) -> EmbeddedImages:
    """Those at some places."""
    rows = list(places)
    return replace(
        images,
        samples=[images.samples[place] for place in rows],
        embeds=images.embeds[rows],
        gates=[layer[rows] for layer in images.gates],
        experts=[images.experts[place] for place in rows],
        energies=[layer[rows] for layer in images.energies],
    )


def embed_no_xray(tested: ModelUnderTest, data: DataConfig, count: int = PICTURES, seed: int = 0) -> EmbeddedImages:
    """Generated pictures that are no radiographs, as the model sees them; crops of one photograph are one patient."""
    with tempfile.TemporaryDirectory() as folder:
        samples = []
        for number, (name, pixels) in enumerate(no_xray_pictures(count, seed)):
            path = Path(folder, f"{number}.png")
            Image.fromarray(pixels).save(path)
            samples.append(Sample(path, path.name, None, f"{NO_XRAY}: {name}", None))
        return tested.embed_images(samples, data, labelled=False)
