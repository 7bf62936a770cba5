"""The rule engine: says by words alone which sentences of a report speak of which filmed part. It needs no model.

A sentence under a heading of history, comparison or technique is dropped, and so is one whose words say the same
(cues.py). Of the others, the anatomy it names decides (lexicon.yaml), with its side; one that names none goes on with
what was spoken of last, or speaks of all parts where nothing was yet. A part's heading rules what stands below it.
"""

from collections.abc import Sequence

from .cues import reason_of
from .filmed import SURE
from .lexicon import lexicon
from .schema import Assignment, Provenance, Reason, Sentence, Study
from .walk import Walk

# The engine's own confidence by how a sentence found its part, from what errs more and what less; never calibrated.
# A part's confidence is the mean over its sentences, 0 where it has none.
CONFIDENCE = {**SURE, "heading": 0.95, "carried": 0.75, "remembered": 0.7, "all": 0.6, "only": 0.95}


class RuleEngine:
    """The Engine that needs no model; it never fails."""

    provenance = Provenance("rules", None, None, lexicon().version)

    async def assign(self, study: Study, sentences: Sequence[Sentence]) -> Assignment:
        return assign_by_rules(study, sentences)


def assign_by_rules(study: Study, sentences: Sequence[Sentence]) -> Assignment:
    """Which sentences of a study's report speak of which of its parts."""
    if not study.parts:
        return Assignment({}, {s.number: "heading" if s.heading else _reason(s) for s in sentences})
    answer = Walk(study, sentences).answer()
    of_part: dict[str, list[int]] = {part.name: [] for part in study.parts}
    sure: dict[str, list[float]] = {part.name: [] for part in study.parts}
    for number in sorted(answer.parts):
        numbers, how = answer.parts[number]
        for part in sorted(numbers):
            of_part[study.parts[part].name].append(number)
            sure[study.parts[part].name].append(CONFIDENCE[how])
    return Assignment(
        {name: tuple(chosen) for name, chosen in of_part.items()},
        dict(sorted(answer.dropped.items())),
        {name: round(sum(values) / len(values), 3) if values else 0.0 for name, values in sure.items()},
    )


def _reason(sentence: Sentence) -> Reason:
    """Why a sentence is dropped where no part was filmed."""
    if sentence.section in ("history", "comparison", "technique"):
        return sentence.section  # type: ignore[return-value]
    return reason_of(sentence.text, headed=sentence.section is not None, seen=False) or "unassigned"
