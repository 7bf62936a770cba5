"""Relevance maps for a run's page, of generated films alone: no patient's image is ever drawn here.

For a patient's film there is `pedclip explain --include-private`, whose files export, check and push refuse.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ...configuration.data import DataConfig
from ...processing.data.official.readers import official_reader
from ...processing.data.sample import Sample
from ...processing.phantom.official import is_phantom_tree
from ..embeddings import ModelUnderTest
from ..prompts import Question
from .zero_shot import askings

MAPS = "maps.json"  # in a run's folder


def maps_of(tested: ModelUnderTest, data_root: Path, data_sets: Sequence[str], prompts: Path) -> list[dict[str, Any]]:
    """{data_set, label, png}: for each data set that the phantom wrote, its first test film with the first label.

    The label's first words against those of its absence; of classes, against the last class, which is the healthy one.
    """
    from ..relevance import relevance  # captum and matplotlib take seconds to import
    from ..relevance_page import figure_of

    drawn = []
    for name in tqdm(data_sets, unit="map", desc="relevance", leave=False, disable=not data_sets):
        folder = data_root / name
        if name not in askings(prompts) or not is_phantom_tree(folder):
            continue
        samples = [one for one in official_reader(name).read(folder).samples if one.split == "test"]
        sample, question = _first(samples, askings(prompts)[name].questions)
        if sample is None or question is None:
            continue
        label, *_, absence = question.classes or {}
        words = DataConfig(path=str(folder)).body_part_words
        text, against = (question.prompts_of(one, words, body_part=sample.body_part)[0] for one in (label, absence))
        found = relevance(tested.model, tested.processor, str(sample.path), text, against=against)
        png = base64.b64encode(figure_of(found, private=False)).decode()
        drawn.append({"data_set": name, "label": label, "png": png})
    return drawn


def _first(samples: Sequence[Sample], questions: Sequence[Question]) -> tuple[Sample | None, Question | None]:
    """The first film that has the first class of a question, questions in their order."""
    for question in questions:
        selection = question.select(samples)
        label = next(iter(question.classes or {}))
        if label in selection.labels:
            return samples[selection.indices[selection.labels.index(label)]], question
    return None, None
