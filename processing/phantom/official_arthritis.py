"""Phantom joints in a layout of our own for the paper's arthritis set, which is private: its form is unknown."""

from dataclasses import replace
from pathlib import Path

from .applicable import APPLICABLE
from .official_tree import drawn, save_8_bit, write_table
from .records import ARTHRITIS_CONCEPTS
from .rows import films_of
from .study import Clinic

COLUMNS = ("image_path", "patient_id", "body_part", "label", *ARTHRITIS_CONCEPTS)
JOINTS = tuple(part for part, findings in APPLICABLE.items() if set(ARTHRITIS_CONCEPTS) <= set(findings))
CLINIC = Clinic(parts=dict.fromkeys(JOINTS, 1.0))


def write_arthritis(new: Path, patients: int, seed: int, side: int, clinic: Clinic = CLINIC) -> int:
    """images/ and arthritis.csv. `label` is 1 where any of the six concepts is there."""
    rows = []
    for _, study in drawn(patients, seed, clinic):
        exams = tuple(
            replace(exam, findings=tuple(one for one in exam.findings if one.name in ARTHRITIS_CONCEPTS))
            for exam in study.exams
        )  # a fracture would be neither arthritis nor healthy
        for row, film in films_of(replace(study, exams=exams), side=side):
            save_8_bit(film, new / row["file_name"])
            concepts = [int(name in row["concepts"]) for name in ARTHRITIS_CONCEPTS]
            rows.append([row["file_name"], row["patient_id"], row["body_part"], int(any(concepts)), *concepts])
    write_table(new / "arthritis.csv", COLUMNS, rows)
    return len(rows)
