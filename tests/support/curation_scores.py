"""Scores an assignment against a report's truth by overlap of spans; headings count for nothing."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from pedclip.processing.curation.parts import filmed_parts
from pedclip.processing.curation.rules import assign_by_rules
from pedclip.processing.curation.schema import Study, checked
from pedclip.processing.curation.splitting import split

FOLDER = Path(__file__).parent.parent / "curation"
OWN, BY_OTHERS = FOLDER / "reports.yaml", FOLDER / "by_others"
OWN_NAMES = {"toes right foot": "foot"}
TAG = re.compile(r"\{([^}]*)\}")


@dataclass
class Counts:
    """Pairs of a true sentence and a part; and how many sentences of history reached a part."""

    right: int = 0
    wrong: int = 0
    missed: int = 0
    history: int = 0
    leaked: int = 0

    @property
    def f1(self) -> float:
        return 2 * self.right / (2 * self.right + self.wrong + self.missed)


@dataclass(frozen=True)
class Truth:
    start: int
    end: int
    parts: frozenset[int]
    kind: str  # part, h, c, t, i, u


def marked(report: str) -> tuple[str, list[Truth]]:
    """A report without its marks, and what they say; headings are left out."""
    pieces = TAG.split(report)
    text, truths = pieces[0], []
    for mark, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        start = len(text) + len(piece) - len(piece.lstrip())
        text += piece
        if mark != "x":
            parts = frozenset(int(one) - 1 for one in mark.split(",")) if mark[0].isdigit() else frozenset()
            truths.append(Truth(start, start + len(piece.strip()), parts, "part" if parts else mark))
    return text, truths


def marked_studies(half: str, file: Path = OWN) -> list[tuple[Study, list[Truth]]]:
    found = []
    for number, row in enumerate(yaml.safe_load(file.read_text(encoding="utf-8"))):
        if row["half"] == half:
            text, truths = marked(row["report"])
            parts = filmed_parts(row["parts"], body_part_experts=OWN_NAMES)
            found.append((Study(f"{file.stem}-{number}", "nobody", text, parts), truths))
    return found


def phantom_study(study) -> tuple[Study, list[Truth]]:
    """A phantom's study as curation reads it, and its truth."""
    parts = filmed_parts([exam.name for exam in study.exams])
    at, truths = 0, []
    for sentence in study.report.sentences:
        start = study.report.text.index(sentence.text, at)
        at = start + len(sentence.text)
        if sentence.kind != "heading":
            kind = "h" if sentence.kind == "history" else "part" if sentence.exams else "other"
            truths.append(Truth(start, at, frozenset(sentence.exams), kind))
    return Study(study.study_id, study.patient.patient_id, study.report.text, parts), truths


def score(study: Study, truths: list[Truth], counts: Counts) -> list[tuple[str, frozenset[int], frozenset[int]]]:
    """Adds a study to the counts; what was wrong, as (text, truth, answer)."""
    sentences = split(study.report)
    answer = checked(assign_by_rules(study, sentences), study, sentences)
    errors = []
    for truth in truths:
        over = {s.number for s in sentences if s.start < truth.end and s.end > truth.start and not s.heading}
        given = frozenset(n for n, part in enumerate(study.parts) if over & set(answer.of_part[part.name]))
        counts.right += len(given & truth.parts)
        counts.wrong += len(given - truth.parts)
        counts.missed += len(truth.parts - given)
        counts.history += truth.kind == "h"
        counts.leaked += truth.kind == "h" and bool(given)
        if given != truth.parts:
            errors.append((study.report[truth.start : truth.end], truth.parts, given))
    return errors
