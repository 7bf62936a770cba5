"""Does the gate know the body part? Its most involved expert against the labelled one."""

# Shapes: N images, E experts
from typing import Any

import numpy as np

from .embeddings import EmbeddedImages
from .finite import require_finite
from .statistics import RESAMPLES, estimate, share_metric


def gate_accuracy(
    images: EmbeddedImages, body_parts: list[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Accuracy over the images that have an expert, by the mean of the MoBE layers' gates, and by layer.

    The label is the expert that the table gives (foot_ankle is foot), not a finer truth.
    """
    if not images.gates:
        raise ValueError("the model has no MoBE layer (vision_config.mobe_layers is empty), so it has no gate")
    labelled = [index for index, expert in enumerate(images.experts) if expert >= 0]
    if not labelled:
        raise ValueError("no image has a body part with an expert; see data.columns.body_part")
    truth = np.array(images.experts)[labelled]
    gates = np.stack([require_finite(layer[labelled], "gate weights") for layer in images.gates])  # (layers, N, E)
    chosen = gates.mean(0).argmax(1)
    patients = [images.samples[index].patient_id for index in labelled]
    shown = sorted(set(truth.tolist()) | set(chosen.tolist()))
    return {
        "asks": "whether the gate involves the labelled body part's expert most",
        "kind": "gate accuracy, against the labelled body parts",
        "metric": "accuracy",
        **estimate(share_metric(chosen == truth), patients, resamples, seed).to_dict(),
        "chance": float(np.bincount(truth).max() / len(truth)),  # always the commonest part
        "by_layer": [float((layer.argmax(1) == truth).mean()) for layer in gates],
        "without_expert": len(images.samples) - len(labelled),
        "classes": [
            {
                "class": body_parts[expert],
                "n": int((truth == expert).sum()),
                "value": float((chosen[truth == expert] == expert).mean()),
            }
            for expert in sorted(set(truth.tolist()))
        ],
        "confusion": {
            "names": [body_parts[expert] for expert in shown],
            "counts": [[int(((truth == row) & (chosen == column)).sum()) for column in shown] for row in shown],
        },
    }
