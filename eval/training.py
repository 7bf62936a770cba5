"""The scores that a training run looks at after each epoch: every question its held-out images can answer."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..configuration.data import DataConfig
from ..processing.data.dataset import PairDataset
from .classification import enough
from .embeddings import ModelUnderTest
from .gate import gate_accuracy
from .prompt_classification import prompt_classification
from .prompts import PROMPTS, questions
from .retrieval import retrieval

MIN_IMAGES = 2  # of a class, fewer than `pedclip eval` asks for, so that small held-out sets can be followed


def evaluate(
    model: Any,
    processor: Any,
    held_out: PairDataset,
    data: DataConfig,
    training_labels: Mapping[str, Any],
    asked: Path = PROMPTS,
) -> dict[str, float]:
    """{body_part_auc, ..., gate_accuracy, retrieval_r1, ...} without intervals; a question too small is left out."""
    tested = ModelUnderTest(model, processor, dict(training_labels))
    images = tested.embed_dataset(held_out, data)
    scores: dict[str, float] = {}
    for name, question in questions(asked).items():
        if enough(question.select(held_out.samples).labels, MIN_IMAGES):
            answer = prompt_classification(tested, images, question, data, min_images=MIN_IMAGES, resamples=0)
            scores[f"{name.replace('-', '_')}_auc"] = answer.result["value"]
    if images.gates and Counter(images.experts).keys() != {-100}:
        scores["gate_accuracy"] = gate_accuracy(images, tested.body_parts, resamples=0)["value"]
    found = retrieval(tested, images, data, resamples=0)
    for k in (1, 5, 10):
        scores[f"retrieval_r{k}"] = found["image_to_text"][f"R@{k}"]["value"]
    return scores
