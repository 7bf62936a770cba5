"""Assignments as rows, and rows as Parquet: pure functions over batches of studies, whoever runs them, and where."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow

from .deidentify import check, mask
from .rules import RuleEngine, assign_by_rules
from .schema import Assignment, Engine, EngineError, Provenance, Sentence, Spent, Study, text_of
from .splitting import split

TRIPLETS = pyarrow.schema(
    [
        ("study_id", pyarrow.string()),
        ("patient_id", pyarrow.string()),
        ("file_name", pyarrow.string()),  # from the table's folder
        ("text", pyarrow.string()),
        ("body_part", pyarrow.string()),  # as the source names it
        ("expert", pyarrow.string()),  # one of the 23, or null
        ("laterality", pyarrow.string()),
        ("sentences", pyarrow.list_(pyarrow.int32())),  # numbers in the report, as `splitting.split` counts
        ("engine", pyarrow.string()),
        ("model", pyarrow.string()),  # null: the rules
        ("model_licence", pyarrow.string()),
        ("prompt_version", pyarrow.string()),
        ("confidence", pyarrow.float32()),
        ("fallback", pyarrow.bool_()),  # the rules answered for the engine that was asked
        ("ungrounded", pyarrow.int32()),  # pieces of free text for this part that the report does not have
    ]
)
ASSIGNMENTS = pyarrow.schema(
    [
        ("study_id", pyarrow.string()),
        ("parts", pyarrow.list_(pyarrow.struct([("name", pyarrow.string()), ("sentences", TRIPLETS.field(7).type)]))),
        (
            "dropped",
            pyarrow.list_(pyarrow.struct([("sentence", pyarrow.int32()), ("reason", pyarrow.string())])),
        ),
        ("engine", pyarrow.string()),
        ("model", pyarrow.string()),
        ("prompt_version", pyarrow.string()),
        ("fallback", pyarrow.bool_()),
        ("ungrounded", pyarrow.int32()),  # of all parts, and of what was said to be relevant
    ]
)
Identifiers = Literal["mask", "leave-out", "keep"]  # what becomes of a text in which a name, date or number stands


class Answered(NamedTuple):
    """A study with its sentences and what they speak of."""

    study: Study
    sentences: Sequence[Sentence]
    assignment: Assignment
    provenance: Provenance
    failure: str | None = None  # why the rules had to answer; it holds nothing of the report


@dataclass
class Batch:
    """The rows of some studies, and what was counted on the way."""

    triplets: list[dict[str, Any]] = field(default_factory=list)
    assignments: list[dict[str, Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def tables(self) -> tuple[pyarrow.Table, pyarrow.Table]:
        return (
            pyarrow.Table.from_pylist(self.triplets, schema=TRIPLETS),
            pyarrow.Table.from_pylist(self.assignments, schema=ASSIGNMENTS),
        )


async def answered(study: Study, engine: Engine) -> Answered:
    """A study through an engine; where that gives up, through the rules, and marked so."""
    sentences = split(study.report)
    try:
        return Answered(study, sentences, await engine.assign(study, sentences), engine.provenance)
    except EngineError as error:
        return _by_rules(study, sentences, failure=str(error), spent=error.spent)


def answered_by_rules(studies: Iterable[Study]) -> list[Answered]:
    """Studies through the rules alone."""
    return [_by_rules(study, split(study.report)) for study in studies]


def rows_of(studies: Iterable[Answered], folder: Path, identifiers: Identifiers) -> Batch:
    """The rows of some studies, in their order. `folder` is where the table will lie: file names count from there."""
    batch = Batch()
    for one in studies:
        study, assignment = one.study, one.assignment
        batch.counts["studies"] += 1
        batch.counts["sentences"] += len(one.sentences)
        batch.counts.update(f"dropped_{reason}" for reason in assignment.dropped.values())
        batch.counts.update({name: value for name, value in asdict(assignment.spent).items() if value})
        if one.failure is not None:
            batch.counts["fallbacks"] += 1
            batch.failures[one.failure] += 1
        batch.assignments.append(_assignment_row(one))
        for part in study.parts:
            numbers = assignment.of_part[part.name]
            if not numbers:
                batch.counts["parts_without_text"] += 1
                continue
            if not part.images:
                batch.counts["parts_without_image"] += 1
            text = _safe(text_of(study, one.sentences, numbers), identifiers, batch.counts)
            if text is None:
                continue
            for image in part.images:
                batch.triplets.append(
                    {
                        "study_id": study.study_id,
                        "patient_id": study.patient_id,
                        "file_name": Path(os.path.relpath(image, folder)).as_posix(),
                        "text": text,
                        "body_part": part.name,
                        "expert": part.expert,
                        "laterality": part.laterality,
                        "sentences": list(numbers),
                        **_said_by(one.provenance),
                        "model_licence": one.provenance.model_licence,
                        "confidence": assignment.confidence.get(part.name),
                        "ungrounded": assignment.ungrounded.get(part.name, 0),
                    }
                )
                batch.counts["triplets"] += 1
                batch.counts[f"expert_{part.expert or 'none'}"] += 1
    return batch


def _by_rules(
    study: Study, sentences: Sequence[Sentence], failure: str | None = None, spent: Spent | None = None
) -> Answered:
    found = assign_by_rules(study, sentences)
    if spent is not None:
        found = Assignment(found.of_part, found.dropped, found.confidence, spent)
    own = RuleEngine().provenance
    provenance = Provenance(own.engine, own.model, own.model_licence, own.prompt_version, failure is not None)
    return Answered(study, sentences, found, provenance, failure)


def _safe(text: str, identifiers: Identifiers, counts: Counter[str]) -> str | None:
    """The text as it may be written, or None for not at all; what looks like an identifier is counted by its kind."""
    found = check(text)
    if not found:
        return text
    counts.update(f"identifier_{one.kind}" for one in found)
    counts["texts_with_identifiers"] += 1
    return text if identifiers == "keep" else mask(text) if identifiers == "mask" else None


def _said_by(provenance: Provenance) -> Mapping[str, Any]:
    return {
        "engine": provenance.engine,
        "model": provenance.model,
        "prompt_version": provenance.prompt_version,
        "fallback": provenance.fallback,
    }


def _assignment_row(one: Answered) -> dict[str, Any]:
    return {
        "study_id": one.study.study_id,
        "parts": [
            {"name": part.name, "sentences": list(one.assignment.of_part[part.name])} for part in one.study.parts
        ],
        "dropped": [{"sentence": number, "reason": why} for number, why in sorted(one.assignment.dropped.items())],
        **_said_by(one.provenance),
        "ungrounded": one.assignment.spent.ungrounded,
    }
