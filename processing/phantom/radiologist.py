"""The twelve radiologists of the phantom reports: their habits, and how they pick words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .phrases import capital, fill
from .records import Finding, Sentence

HEDGED = {"mild": 0.45, "moderate": 0.18, "marked": 0.05}  # how often, times the radiologist's habit


@dataclass(frozen=True)
class Style:
    """A radiologist's habits."""

    headings: str = ""  # "", "Title" or "UPPER"
    part_headings: bool = False  # where there are several exams
    terse: float = 0.1  # share of sentences without a verb
    order: str = "history technique comparison findings impression"
    positives_first: bool = True
    by_exam: bool = True  # else every positive of the study, then the rest
    impression: bool = False
    numbered: bool = False
    sentences: tuple[int, int] = (2, 4)  # an exam, the impression's included; findings may ask for more
    normals: int = 2  # at most, an exam
    hedging: float = 1.0
    follow_on: bool = False  # names a part once and goes on without
    merging: float = 0.4  # how often one sentence serves several exams


_COMPARISON_EARLY = "history comparison technique findings impression"
_COMPARISON_LAST = "technique history findings impression comparison"
_IMPRESSION_FIRST = "impression history technique comparison findings"
STYLES = (
    Style("UPPER", part_headings=True, impression=True, numbered=True, sentences=(3, 5)),
    Style(positives_first=False, hedging=1.5),
    Style("Title", impression=True, terse=0.9, merging=0.7),
    Style(terse=0.95, sentences=(2, 3), normals=1, hedging=0.4),
    Style("Title", part_headings=True, order=_COMPARISON_EARLY, positives_first=False, sentences=(3, 5), normals=4),
    Style(follow_on=True, order=_COMPARISON_LAST, sentences=(3, 5), normals=3),
    Style("UPPER", by_exam=False, numbered=True, merging=0.8, hedging=0.6),
    Style(follow_on=True, terse=0.5, impression=True, hedging=2.0),
    Style("UPPER", part_headings=True, terse=0.9, order=_COMPARISON_EARLY, sentences=(2, 4), normals=3),
    Style(by_exam=False, positives_first=False, order=_COMPARISON_EARLY, sentences=(2, 5), normals=4, merging=0.6),
    Style("Title", order=_IMPRESSION_FIRST, impression=True, follow_on=True, normals=1, hedging=0.3),
    Style("Title", terse=0.3, order=_COMPARISON_LAST, by_exam=False, sentences=(3, 4), merging=0.2, hedging=1.2),
)


class Words:
    """Picks phrasings for one radiologist and turns them into sentences."""

    def __init__(self, phrases: dict[str, Any], style: Style, random: np.random.Generator):
        self.phrases = phrases
        self.style = style
        self.random = random

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def pick(self, options: Sequence[Any]) -> Any:
        return options[int(self.random.random() * len(options))]

    def take(self, options: Sequence[Any], count: int) -> list[Any]:
        """Some of the options in a new order."""
        rest = list(options)
        return [rest.pop(int(self.random.random() * len(rest))) for _ in range(min(count, len(rest)))]

    def heading(self, text: str) -> Sentence:
        return Sentence((text.upper() if self.style.headings == "UPPER" else capital(text)) + ":", (), "heading")

    def severity(self, finding: Finding) -> tuple[str, str, str]:
        """mild, and a word for it as an adjective and as an adverb"""
        level = "mild" if finding.severity < 0.4 else "marked" if finding.severity > 0.7 else "moderate"
        own = self.phrases["findings"][finding.name].get("severity", self.phrases["severity"])
        return level, self.pick(own[level]), self.pick(self.phrases["severely"][level])


def make_sentence(
    template: str, kind: str, exams: tuple[int, ...] = (), findings: tuple[str, ...] = (), **values: str
) -> Sentence:
    text = capital(fill(template, **values))
    return Sentence(text if text.endswith("?") else f"{text}.", exams, kind, findings)
