"""Calibration error, Brier score and reliability with intervals: for `evaluate.load`, computed in pedclip."""

from typing import Any

import evaluate
from datasets import Features, List, Value

from pedclip.eval.metrics.answers import ece_answer

DESCRIPTION = "Expected calibration error, Brier score and reliability, with intervals over patients."
INPUTS = """
    predictions: the positive's probabilities, or a row of classes' an image.
    references: 0 or 1, or the number of the class.
    patients: whose each image is; without it each image counts as a patient of its own.
    bins: how many (15).
    resamples, seed: of the bootstrap (1000, 0).
"""


class Ece(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=[
                Features({"predictions": Value("float64"), "references": Value("int64")}),
                Features({"predictions": List(Value("float64")), "references": Value("int64")}),
            ],
        )

    def _compute(self, predictions: Any, references: Any, **settings: Any) -> dict[str, Any]:
        return ece_answer(predictions, references, **settings)
