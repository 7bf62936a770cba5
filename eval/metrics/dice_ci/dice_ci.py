"""Mean Dice of label maps with its 95 % interval over patients: for `evaluate.load`, computed in pedclip."""

from typing import Any

import evaluate
from datasets import Features, List, Value

from pedclip.eval.metrics.answers import dice_answer

DESCRIPTION = "Mean Dice of label maps with its 95 % interval over patients."
INPUTS = """
    predictions: label maps (H, W), 0 for background.
    references: label maps of the same size.
    patients: whose each image is; without it each image counts as a patient of its own.
    resamples, seed: of the bootstrap (1000, 0).
"""


class DiceCi(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=Features({"predictions": List(List(Value("int64"))), "references": List(List(Value("int64")))}),
        )

    def _compute(self, predictions: Any, references: Any, **settings: Any) -> dict[str, Any]:
        return dice_answer(predictions, references, **settings)
