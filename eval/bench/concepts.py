"""Concept alignment: how well the embedding of a joint knows the six signs of arthritis."""

from dataclasses import replace
from pathlib import Path

from .asked import Answer, Asked
from .probe import linear_probe
from .questions import QUESTIONS
from .zero_shot import PROMPTS, zero_shot

ENTRY = "arthritis-concepts"


def concept_alignment(asked: Asked) -> Answer:
    """The paper's: the macro AUC of a linear probe for each concept on the frozen embedding."""
    answer = linear_probe(asked, QUESTIONS[ENTRY])
    return replace(answer, result=answer.result | {"kind": "concept alignment: linear probe on frozen embeddings"})


def concept_directions(asked: Asked, prompts: Path = PROMPTS) -> Answer:
    """Ours: the macro AUC of the embedding along each concept's direction among texts; no label is learned from.

    The direction goes from the mean embedding of the concept's negative prompts to that of its positive ones, and the
    score is the difference of the two cosines.
    """
    answer = zero_shot(asked, ENTRY, prompts)
    kind = f"concept alignment without training (ours, not the paper's): {answer.result['kind']}"
    return replace(answer, result=answer.result | {"kind": kind})
