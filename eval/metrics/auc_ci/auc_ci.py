"""AUC with its 95 % interval over patients: for `evaluate.load`, computed in pedclip."""

from typing import Any

import evaluate
from datasets import Features, Value

from pedclip.eval.metrics.answers import auc_answer

DESCRIPTION = "AUC with its 95 % interval over patients."
INPUTS = """
    predictions: scores, higher for likelier.
    references: 0 or 1.
    patients: whose each image is; without it each image counts as a patient of its own.
    resamples, seed: of the bootstrap (1000, 0).
"""


class AucCi(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=Features({"predictions": Value("float64"), "references": Value("int64")}),
        )

    def _compute(self, predictions: Any, references: Any, **settings: Any) -> dict[str, Any]:
        return auc_answer(predictions, references, **settings)
