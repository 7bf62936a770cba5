"""Recall at k with its 95 % interval over patients: for `evaluate.load`, computed in pedclip."""

from typing import Any

import evaluate
from datasets import Features, List, Value

from pedclip.eval.metrics.answers import recall_answer

DESCRIPTION = "Recall at k with its 95 % interval over patients."
INPUTS = """
    predictions: scores of every gallery item, a row a query.
    references: the place of the right item.
    patients: whose each image is; without it each image counts as a patient of its own.
    k: how many of the best count (1).
    resamples, seed: of the bootstrap (1000, 0).
"""


class RecallAtKCi(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=Features({"predictions": List(Value("float64")), "references": Value("int64")}),
        )

    def _compute(self, predictions: Any, references: Any, **settings: Any) -> dict[str, Any]:
        return recall_answer(predictions, references, **settings)
