"""What the rule engine does with phantom studies: F1 of assignment, history leak, and reports a second on a core.

OMP_NUM_THREADS=1 python benchmarks/curation_rules.py --out benchmarks/results/curation_rules.json

Nobody looks at a report or an error of phrasing set B: its figures are counted and that is all.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from hardware import described

from pedclip.processing.curation.parts import filmed_parts
from pedclip.processing.curation.rules import assign_by_rules
from pedclip.processing.curation.schema import Assignment, Sentence, Study, checked
from pedclip.processing.curation.splitting import split
from pedclip.processing.phantom.records import Study as Phantom
from pedclip.processing.phantom.study import Clinic, studies_of

SEED = 2024


def phantoms(wording: str, count: int) -> list[Phantom]:
    found: list[Phantom] = []
    number = 0
    while len(found) < count:
        found += studies_of(SEED, number, Clinic(wording=wording))
        number += 1
    return found[:count]


def study_of(phantom: Phantom) -> Study:
    parts = filmed_parts([exam.name for exam in phantom.exams])
    return Study(phantom.study_id, phantom.patient.patient_id, phantom.report.text, parts)


def answered(study: Study) -> tuple[list[Sentence], Assignment]:
    sentences = split(study.report)
    return sentences, assign_by_rules(study, sentences)


def figures(found: list[Phantom]) -> dict[str, Any]:
    """A true sentence counts for a part where a kept sentence that overlaps it stands under the part."""
    right = wrong = missed = history = leaked = 0
    for phantom in found:
        study = study_of(phantom)
        sentences, answer = answered(study)
        checked(answer, study, sentences)
        at = 0
        for truth in phantom.report.sentences:
            start = study.report.index(truth.text, at)
            at = start + len(truth.text)
            if truth.kind == "heading":
                continue
            over = {s.number for s in sentences if s.start < at and s.end > start and not s.heading}
            given = {n for n, part in enumerate(study.parts) if over & set(answer.of_part[part.name])}
            right += len(given & set(truth.exams))
            wrong += len(given - set(truth.exams))
            missed += len(set(truth.exams) - given)
            if truth.kind == "history":
                history += 1
                leaked += bool(given)
    return {
        "studies": len(found),
        "precision": round(right / (right + wrong), 4),
        "recall": round(right / (right + missed), 4),
        "f1": round(2 * right / (2 * right + wrong + missed), 4),
        "history_sentences": history,
        "history_leak": round(leaked / history, 4),
    }


def speed(found: list[Phantom], repeats: int = 3) -> dict[str, float]:
    """Splitting and assigning on one core; the median of the repeats, after a first round that fills the tables."""
    studies = [study_of(phantom) for phantom in found]
    rates = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        for study in studies:
            answered(study)
        rates.append(len(studies) / (time.perf_counter() - began))
    letters = sum(len(study.report) for study in studies) / len(studies)
    return {"reports_a_second": round(sorted(rates[1:])[repeats // 2], 1), "characters_a_report": round(letters, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--wordings", nargs="+", default=["a", "b"])
    args = parser.parse_args()
    found = {wording: phantoms(wording, args.studies) for wording in args.wordings}
    result = {
        **{f"phrasing_{wording}": figures(studies) for wording, studies in found.items()},
        **speed(next(iter(found.values()))),
        **described(),
    }
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
