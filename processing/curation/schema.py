"""What curation reads and writes. An answer is made of sentence numbers, so a triplet's text is the report's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal, Protocol, get_args

# Why a sentence belongs to no part. `unassigned` speaks of the films and of no part that was filmed, or of none that
# is known; it is a reason to look, the others are not.
Reason = Literal["history", "comparison", "technique", "irrelevant", "heading", "unassigned"]
REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True)
class FilmedPart:
    """A body part of a study as its source names it, with the films that show it."""

    name: str  # "L KNEE", "left knee", "Xray Hip"; unique in its study
    expert: str | None  # one of the 23, or None: the name means none of them
    laterality: str | None  # left, right, bilateral, None
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """One visit: some films, one report."""

    study_id: str
    patient_id: str
    report: str
    parts: tuple[FilmedPart, ...]


@dataclass(frozen=True)
class Sentence:
    """A piece of a report; `report[start:end]` is its text, word for word."""

    number: int  # from 0, in the report's order
    start: int
    end: int
    text: str
    section: str | None = (
        None  # history, comparison, technique, findings, impression, or None where no heading says it
    )
    heading: bool = False


@dataclass(frozen=True)
class Spent:
    """What the answers about a study have cost. An answer out of the cache counts as it did when it was given."""

    answers: int = 0  # of the model
    invalid: int = 0  # of these: no JSON, or JSON of another form
    prompt_tokens: int = 0
    completion_tokens: int = 0
    ungrounded: int = 0  # sentences of free text that the report does not have; they were dropped

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


NOTHING = Spent()


@dataclass(frozen=True)
class Assignment:
    """Which sentences speak of which filmed part. A sentence may stand under several parts, or be dropped."""

    of_part: Mapping[str, tuple[int, ...]]  # FilmedPart.name -> sentence numbers, ascending; a key for every part
    dropped: Mapping[int, Reason]  # every sentence that stands under no part
    confidence: Mapping[str, float] = field(default_factory=dict)  # by part, 0 to 1; the engine's own, uncalibrated
    spent: Spent = NOTHING
    ungrounded: Mapping[str, int] = field(default_factory=dict)  # by part: pieces of free text that no report has


@dataclass(frozen=True)
class Provenance:
    """Where an assignment comes from; it travels with every triplet."""

    engine: str  # rules, local, server
    model: str | None  # None for the rules
    model_licence: str | None  # as the Hub spells it; "llama3.1" asks for a name and a notice on what is trained
    prompt_version: str  # a folder of prompts, or the version of the rules' lexicon
    fallback: bool = False  # the rules answered, because the engine that was asked could not


class Engine(Protocol):
    """Says which sentences speak of which part. It may raise EngineError; the run then falls back on the rules."""

    provenance: Provenance

    async def assign(self, study: Study, sentences: Sequence[Sentence]) -> Assignment: ...


class EngineError(RuntimeError):
    """An engine gave no usable answer, after all its retries; the message holds nothing of the report."""

    def __init__(self, message: str, spent: Spent = NOTHING):
        super().__init__(message)
        self.spent = spent


class RefusedError(EngineError):
    """The question itself was refused, and would be again. `for_its_length`: because it is too long."""

    def __init__(self, message: str, for_its_length: bool = False):
        super().__init__(message)
        self.for_its_length = for_its_length


class AssignmentError(ValueError):
    """An answer does not fit the study; the message names the rule and holds nothing of the report."""


def checked(assignment: Assignment, study: Study, sentences: Sequence[Sentence]) -> Assignment:
    """The same assignment, or AssignmentError: unknown part, number out of range, a sentence both kept and dropped."""
    numbers = {sentence.number for sentence in sentences}
    names = {part.name for part in study.parts}
    if assignment.of_part.keys() != names:
        raise AssignmentError(f"the answer has {len(assignment.of_part)} parts and the study {len(names)} others")
    kept = {number for chosen in assignment.of_part.values() for number in chosen}
    strange = (kept | assignment.dropped.keys()) - numbers
    if strange:
        raise AssignmentError(f"sentence {min(strange)} is none of the report's {len(numbers)}")
    if kept & assignment.dropped.keys():
        raise AssignmentError(f"sentence {min(kept & assignment.dropped.keys())} is both kept and dropped")
    if kept | assignment.dropped.keys() != numbers:
        raise AssignmentError("some sentences are neither kept nor dropped")
    if any(list(chosen) != sorted(set(chosen)) for chosen in assignment.of_part.values()):
        raise AssignmentError("sentence numbers are not in ascending order, each once")
    if set(assignment.dropped.values()) - set(REASONS):
        raise AssignmentError(f"a reason is none of {', '.join(REASONS)}")
    return assignment


def text_of(study: Study, sentences: Sequence[Sentence], numbers: Sequence[int]) -> str:
    """The text of a triplet: the report's own sentences, joined by blanks."""
    by_number = {sentence.number: sentence for sentence in sentences}
    return " ".join(study.report[by_number[number].start : by_number[number].end] for number in numbers)
