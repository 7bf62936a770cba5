"""What a model said of every test image, in columns of equal length: patients numbered, nothing named."""

# Shapes: N images, E experts
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .detector import known_scores
from .embeddings import EmbeddedImages
from .retrieval import Matching

DIGITS = 5


def numbered(patients: Sequence[str]) -> list[int]:
    """Which images are one patient's, without saying whose (N,)."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(patient, len(numbers)) for patient in patients]


def of_classes(
    labels: Sequence[str], classes: Sequence[str], scores: np.ndarray, patients: Sequence[str]
) -> dict[str, list[Any]]:
    """{label, score: CLASS, patient}; scores are (N, C)."""
    columns = {f"score: {name}": _rounded(scores[:, place]) for place, name in enumerate(classes)}
    return {"label": list(labels), **columns, "patient": numbered(patients)}


def of_gate(images: EmbeddedImages, body_parts: Sequence[str]) -> dict[str, list[Any]]:
    """{label, chosen, probability of the chosen, patient}; the label is None where a part has no expert."""
    gate = np.mean(images.gates, axis=0)
    return {
        "label": [body_parts[expert] if expert >= 0 else None for expert in images.experts],
        "chosen": [body_parts[expert] for expert in gate.argmax(1)],
        "probability": _rounded(gate.max(1)),
        "patient": numbered(images.patients),
    }


def of_detector(known: EmbeddedImages, unknown: Mapping[str, EmbeddedImages]) -> dict[str, list[Any]]:
    """{kind, score: NAME, patient} of the known images, then of the unknown ones; pictures have no patient."""
    groups = {"known": known, **{kind: images for kind, images in unknown.items() if len(images.samples)}}
    scores = [known_scores(images) for images in groups.values()]
    columns = {f"score: {name}": _rounded(np.concatenate([one[name] for one in scores])) for name in scores[0]}
    return {
        "kind": [kind for kind, images in groups.items() for _ in images.samples],
        **columns,
        "patient": numbered([patient for images in groups.values() for patient in images.patients]),
    }


def of_matching(found: Matching, images: EmbeddedImages) -> dict[str, list[Any]]:
    """{caption_group, image_to_text_rank, text_to_image_rank, patient} of the images that have a caption."""
    groups = np.unique(found.texts, return_inverse=True)[1]
    ranks = {f"{direction}_rank": values.tolist() for direction, values in found.ranks.items()}
    patients = numbered([images.samples[index].patient_id for index in found.indices])
    return {"caption_group": groups.tolist(), **ranks, "patient": patients}


def _rounded(values: np.ndarray) -> list[float]:
    return np.round(np.asarray(values, dtype=np.float64), DIGITS).tolist()
