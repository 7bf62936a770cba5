"""How an assignment compares with the truth, counted study by study; eval/curation.py makes shares with intervals.

The unit is the truth's sentence. An engine may split a report otherwise, so a sentence counts as standing under a part
if at least half of its letters and digits lie in sentences that the engine put there. A sentence that the engine cut
in two, both under the part, so counts once; two that it left together are judged one by one.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from .labelled import CONTEXT, LabelledStudy, TrueSentence
from .schema import Assignment, Sentence

NO_EXPERT = "none of the 23"


@dataclass
class StudyCounts:
    """Of one study. A pair is a sentence and a filmed part; parts are counted under their expert."""

    study_id: str
    patient_id: str
    right: Counter[str] = field(default_factory=Counter)  # expert: pairs of the truth that the engine has too
    extra: Counter[str] = field(default_factory=Counter)  # pairs of the engine alone, headings included
    missed: Counter[str] = field(default_factory=Counter)  # pairs of the truth alone
    context: Counter[str] = field(default_factory=Counter)  # kind: sentences of history, comparison ... in the truth
    leaked: Counter[str] = field(default_factory=Counter)  # those of them that the engine has under some part
    sentences: int = 0  # of the truth, headings left out
    speaking: int = 0  # of these: speak of a filmed part
    omitted: int = 0  # of these: under no part
    duplicated: int = 0  # of the speaking: under a part that they do not speak of
    unassigned: int = 0  # sentences that the engine dropped as `unassigned`
    same_ends: int = 0  # sentences that the engine split off with the very same letters
    kept: int = 0  # sentences of the engine under some part
    ungrounded: int = 0  # pieces of free text that the report does not have
    unlabelled: int = 0  # sentences of the engine, headings left out, of which most stands in no label
    unlabelled_kept: int = 0  # of these: under some part
    answers: int = 0  # of a model
    invalid: int = 0  # of these: broke the schema
    fallback: bool = False  # the rules answered in the engine's place


def compare(
    labelled: LabelledStudy, sentences: Sequence[Sentence], assignment: Assignment, fallback: bool = False
) -> StudyCounts:
    """Counts what the engine said about `sentences`, its own splitting of the report, against the truth."""
    study, spent = labelled.study, assignment.spent
    counts = StudyCounts(study.study_id, study.patient_id, fallback=fallback)
    counts.answers, counts.invalid, counts.ungrounded = spent.answers, spent.invalid, spent.ungrounded
    kept = {number for chosen in assignment.of_part.values() for number in chosen}
    counts.kept = len(kept)
    letters = _letters_before(study.report)
    spans = {one.number: (letters[one.start], letters[one.end]) for one in sentences}
    labels = [(letters[one.start], letters[one.end]) for one in labelled.sentences]
    for number in (one.number for one in sentences if not one.heading):
        length = spans[number][1] - spans[number][0]
        if 2 * sum(_shared(spans[number], label) for label in labels) < length:
            counts.unlabelled += 1
            counts.unlabelled_kept += number in kept
    for one in labelled.sentences:
        span = letters[one.start], letters[one.end]
        if span[0] == span[1]:
            continue
        said = {
            part
            for part, numbers in assignment.of_part.items()
            if 2 * sum(_shared(span, spans[number]) for number in numbers) >= span[1] - span[0]
        }
        for part in study.parts:
            expert = part.expert or NO_EXPERT
            true, engines = part.name in one.parts, part.name in said
            counts.right[expert] += true and engines
            counts.extra[expert] += engines and not true
            counts.missed[expert] += true and not engines
        if one.kind != "heading":
            _count_sentence(counts, one, said)
            counts.same_ends += span in spans.values()
            closest = max(spans, key=lambda number: _shared(span, spans[number]), default=None)
            counts.unassigned += not said and closest is not None and assignment.dropped.get(closest) == "unassigned"
    return counts


def _count_sentence(counts: StudyCounts, one: TrueSentence, said: set[str]) -> None:
    counts.sentences += 1
    if one.kind in CONTEXT:
        counts.context[one.kind] += 1
        counts.leaked[one.kind] += bool(said)
    if one.parts:
        counts.speaking += 1
        counts.omitted += not said
        counts.duplicated += bool(said - one.parts)


def _letters_before(report: str) -> list[int]:
    """For every place, and the end, the letters and digits before it."""
    counts = [0]
    for character in report:
        counts.append(counts[-1] + character.isalnum())
    return counts


def _shared(one: tuple[int, int], other: tuple[int, int]) -> int:
    return max(0, min(one[1], other[1]) - max(one[0], other[0]))
