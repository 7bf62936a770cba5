"""Classification by prompts: an image belongs to the class whose sentences it is most similar to."""

# Shapes: N images, C classes, D embedding
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..configuration.data import DataConfig
from .classification import Classification, classify, log_odds, require_two_classes
from .embeddings import EmbeddedImages, ModelUnderTest
from .finite import require_finite
from .prompts import Question
from .statistics import RESAMPLES

ZERO_SHOT = "zero-shot"
SEEN = "prompt classification, seen classes"
UNKNOWN = "prompt classification, training labels unknown"


def prompt_classification(
    tested: ModelUnderTest,
    images: EmbeddedImages,
    question: Question,
    data: DataConfig,
    *,
    where: Mapping[str, Sequence[Any]] | None = None,
    min_images: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Classification:
    """Asks the question of the images that it is about; every prompt used stands in the result."""
    selection = question.select(images.samples, where)
    least = question.min_images if min_images is None else min_images
    require_two_classes(selection.labels, least)
    logits = logits_of(tested, images, question, selection.indices, selection.classes, data)
    scored = classify(
        selection.labels,
        selection.classes,
        logits if len(selection.classes) == 2 else log_odds(logits),
        [images.samples[index].patient_id for index in selection.indices],
        min_images=least,
        resamples=resamples,
        seed=seed,
    )
    seen = {name: _seen(question, name, tested.training_labels) for name in selection.classes}
    for row in scored.result["classes"]:
        prompts = question.prompts_of(row["class"], data.body_part_words)
        row |= {"seen_in_training": seen[row["class"]], "prompts": prompts}
    result = {
        "asks": question.asks,
        "kind": _kind(list(seen.values())),
        **scored.result,
        "left_out": selection.left_out,
        "rows": {**question.rows, **(where or {})},
    }
    return Classification(result, scored.metric, scored.predictions)


def logits_of(
    tested: ModelUnderTest,
    images: EmbeddedImages,
    question: Question,
    indices: Sequence[int],
    classes: Sequence[str],
    data: DataConfig,
) -> np.ndarray:
    """Similarity of the images of these numbers to each class's prompts over the temperature, (N, C) in float64."""
    logits = np.empty((len(indices), len(classes)))
    parts = [images.samples[index].body_part if question.names_body_part else None for index in indices]
    for part in dict.fromkeys(parts):
        prompts = [question.prompts_of(name, data.body_part_words, body_part=part) for name in classes]
        class_embeds = np.stack([_mean_direction(tested.embed_texts(sentences)) for sentences in prompts])
        of_part = [place for place, one in enumerate(parts) if one == part]
        embeds = images.embeds[[indices[place] for place in of_part]]
        logits[of_part] = tested.temperature_factor * (embeds @ class_embeds.T).astype(np.float64)
    return require_finite(logits, "similarities of images and prompts")


def _mean_direction(embeds: np.ndarray) -> np.ndarray:
    """The mean of normalised prompt embeddings, normalised again (D,)."""
    mean = embeds.mean(0)
    return mean / np.linalg.norm(mean)


def _seen(question: Question, label: str, training_labels: Mapping[str, Any] | None) -> bool | None:
    if training_labels is None:
        return None
    known = {str(name).casefold() for name in training_labels[question.column]}
    if any(name.casefold() in known for name in question.names_in_data(label)):
        return True
    # a class may be asked in the words of a label that training had, whatever the data set calls it
    asked = " | ".join(question.words_of(label)).casefold()
    if any(re.search(rf"\b{re.escape(name)}\b", asked) for name in known):
        return True
    # a report's text may have named it, whatever the label columns say
    return None if training_labels.get("captions_from_text") else False


def _kind(seen: Sequence[bool | None]) -> str:
    """Zero-shot is a claim, so one class that was seen in training takes it away."""
    if any(seen):
        return SEEN
    return UNKNOWN if None in seen else ZERO_SHOT
