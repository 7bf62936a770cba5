"""Studies with a label for every sentence: as `pedclip phantom` writes them (studies.jsonl) and the review page too.

One JSON object a line: `study_id`, `patient_id`, `report`; `exams`, each with `body_part` (one of the 23, or null),
`laterality` and, where the source has one of its own, `name`; `sentences` in the report's order, each with `text`,
`exams` (the numbers of the exams that it speaks of) and `kind`. `start` and `end` may say where the text stands.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.body_parts import UnknownBodyPartError, body_part_of
from ..data.plain_names import named
from .schema import FilmedPart, Study

# Kinds of sentences that must stand under no part. Any other kind is a statement about the films.
CONTEXT = ("history", "comparison", "technique", "irrelevant")
NO_PART = (*CONTEXT, "heading", "unassigned")


@dataclass(frozen=True)
class TrueSentence:
    """`report[start:end]`, and what it speaks of."""

    start: int
    end: int
    parts: frozenset[str]  # names of filmed parts; empty for every kind in NO_PART
    kind: str


@dataclass(frozen=True)
class LabelledStudy:
    study: Study
    sentences: tuple[TrueSentence, ...]


def read_labelled(path: Path) -> Iterator[LabelledStudy]:
    """The studies of a JSONL file, one after the other; an error names the line and never its text."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield labelled_study(json.loads(line))
            except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
                raise ValueError(
                    f"{path}, line {number}: {type(error).__name__}; each line is a study with study_id, patient_id, "
                    "report, exams and sentences, as `pedclip phantom` writes studies.jsonl"
                ) from None
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None


def labelled_study(row: Mapping[str, Any]) -> LabelledStudy:
    """A study from its row. A sentence that the report does not have, or an unknown exam, is an error."""
    report = row["report"]
    if not isinstance(report, str):
        raise ValueError(f"report is a {type(report).__name__}; each line is a study, whose report is text")
    parts = tuple(_part(exam) for exam in row["exams"])
    names = [part.name for part in parts]
    if len(set(names)) < len(names):
        raise ValueError("two exams have the same name; give each a `name` of its own")
    study = Study(str(row["study_id"]), str(row["patient_id"]), report, parts)
    sentences: list[TrueSentence] = []
    after = 0
    for number, one in enumerate(row["sentences"]):
        start = one["start"] if "start" in one else report.find(one["text"], after)
        end = one["end"] if "end" in one else start + len(one["text"])
        if start < after or report[start:end] != one["text"] or not one["text"].strip():
            raise ValueError(f"sentence {number} does not stand in the report after the one before it")
        if any(not 0 <= exam < len(parts) for exam in one["exams"]):
            raise ValueError(f"sentence {number} names an exam that the study does not have; it has {len(parts)}")
        spoken = frozenset(names[exam] for exam in one["exams"])
        if bool(spoken) == (one["kind"] in NO_PART):
            raise ValueError(
                f"sentence {number} is of the kind {_named(one['kind'])} and speaks of {len(spoken)} exams"
            )
        sentences.append(TrueSentence(start, end, spoken, one["kind"]))
        after = end
    return LabelledStudy(study, tuple(sentences))


def _named(value: Any) -> str:
    return named([value], "look at that line")


def _part(exam: Mapping[str, Any]) -> FilmedPart:
    expert, laterality = exam["body_part"], exam["laterality"]
    try:
        known = expert is None or body_part_of(expert) == expert
    except UnknownBodyPartError:
        known = False
    if not known:
        raise ValueError(
            f"body_part is {_named(expert)}; it is one of the 23 or null, and `name` is what the source says"
        )
    plain = " ".join(filter(None, (laterality, (expert or "").replace("_", " "))))
    name = exam.get("name") or plain
    if not name:
        raise ValueError("an exam has neither body_part nor name")
    return FilmedPart(name, expert, laterality, tuple(exam.get("images", ())))
