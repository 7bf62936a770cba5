"""Mean absolute error with its 95 % interval over patients: for `evaluate.load`, computed in pedclip."""

from typing import Any

import evaluate
from datasets import Features, Value

from pedclip.eval.metrics.answers import mae_answer

DESCRIPTION = "Mean absolute error with its 95 % interval over patients."
INPUTS = """
    predictions: numbers.
    references: numbers of the same unit.
    patients: whose each image is; without it each image counts as a patient of its own.
    resamples, seed: of the bootstrap (1000, 0).
"""


class MaeCi(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=Features({"predictions": Value("float64"), "references": Value("float64")}),
        )

    def _compute(self, predictions: Any, references: Any, **settings: Any) -> dict[str, Any]:
        return mae_answer(predictions, references, **settings)
