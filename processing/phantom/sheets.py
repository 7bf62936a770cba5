"""Contact sheets of the phantom, for people to look at: docs/phantom/*.png.

python -m pedclip.processing.phantom.sheets docs/phantom
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from .applicable import APPLICABLE
from .growth import draw_patient
from .parts import PARTS
from .records import FINDINGS, FRACTURE_KINDS, Exam, Finding, Report, Study
from .render import render
from .study import places_of

AGES = (1, 5, 10, 16)  # years
DOSES = (1.0, 0.25, 0.0625)
CELL, LABEL, GAP = 224, 14, 2
NO_REPORT = Report("", (), "a", 0)
MARK = (255, 150, 0)

Cell = tuple[np.ndarray, str]


def child(body_part: str, years: float, seed: int, findings: Sequence[Finding] = ()) -> Study:
    """A study of one exam, all its views, of a child of this age."""
    part = PARTS[body_part]
    patient = draw_patient("sheet", np.random.default_rng(seed), age_months=int(12 * years))
    exam = Exam(body_part, "right" if part.sided else None, tuple(view.name for view in part.views), tuple(findings))
    return Study("sheet", patient, (exam,), NO_REPORT, 1.0, seed)


def with_finding(study: Study, name: str, severity: float, seed: int, kind: str | None = None) -> Study | None:
    """The same child with a finding, where its anatomy has a place for one."""
    exam = study.exams[0]
    places = places_of(study.patient, exam, name, study.seed)
    if not places:
        return None
    found = Finding(name, severity, places[seed % len(places)], kind, seed)
    return replace(study, exams=(replace(exam, findings=(found,)),))


def film(study: Study, view: int = 0, outlined: bool = False, dose: float = 1.0) -> np.ndarray:
    """An RGB picture, with the outline of what was found where asked for."""
    shown = render(study, 0, study.exams[0].views[view], side=CELL, masks=outlined, dose=dose)
    picture = np.repeat((shown.pixels >> 4).astype(np.uint8)[..., None], 3, axis=2)
    for mask in shown.marks.values():
        inner = np.logical_and.reduce([np.roll(mask, step, axis) for axis in (0, 1) for step in (-1, 1)])
        picture[mask & ~inner] = MARK
    return picture


def sheet(rows: Sequence[Sequence[Cell]]) -> Image.Image:
    """Cells in rows with a line of text under each."""
    width, height = CELL + GAP, CELL + LABEL + GAP
    page = Image.new("RGB", (width * max(map(len, rows)), height * len(rows)), (24, 24, 24))
    draw = ImageDraw.Draw(page)
    for down, row in enumerate(rows):
        for across, (picture, text) in enumerate(row):
            page.paste(Image.fromarray(picture), (across * width, down * height))
            draw.text((across * width + 3, down * height + CELL + 1), text, fill=(235, 235, 235))
    return page


def by_part() -> Iterator[list[Cell]]:
    for name, part in PARTS.items():
        yield [
            (
                film(child(name, years, 11 + years), view),
                f"{name.replace('_', ' ')} {part.views[view].name}, {years} y",
            )
            for view in range(min(2, len(part.views)))
            for years in AGES
        ]


def by_finding() -> Iterator[list[Cell]]:
    """Normal twin, mild, marked, and the outline of the marked one, in two parts that can have it."""
    for name in FINDINGS:
        row: list[Cell] = []
        parts = [part for part in APPLICABLE if name in APPLICABLE[part]]
        preferred = [
            part
            for part in ("knee", "chest", "whole_spine", "hip", "elbow", "pelvis", "lumbar_spine")
            if part in parts
        ]
        for number, part in enumerate([*preferred, *parts][:2]):
            healthy = child(part, 9, 40 + number)
            kind = FRACTURE_KINDS[number] if name == "fracture" else None
            mild, marked = (with_finding(healthy, name, severity, 5, kind) for severity in (0.4, 0.9))
            if mild is None or marked is None:
                continue
            words = part.replace("_", " ")
            row += [
                (film(healthy), f"{words}: normal twin"),
                (film(mild), f"{name}, severity .4"),
                (film(marked), f"{name}, severity .9"),
                (film(marked, outlined=True), "its outline"),
            ]
        yield row


def by_dose() -> Iterator[list[Cell]]:
    for part in ("chest", "wrist", "knee"):
        yield [(film(child(part, 6, 3), dose=dose), f"{part}, dose {dose:g}") for dose in DOSES]


def strip() -> Iterator[list[Cell]]:
    """One row for the README: eight parts, four of them sick and outlined."""
    healthy = [("hand", 4), ("chest", 10), ("skull", 2), ("pelvis", 6)]
    sick = [
        ("wrist", 9, "fracture"),
        ("chest", 6, "pleural effusion"),
        ("knee", 8, "erosion"),
        ("elbow", 12, "joint effusion"),
    ]
    yield [(film(child(part, years, 21)), f"{part}, {years} y") for part, years in healthy] + [
        (film(found, outlined=True), f"{part}, {years} y: {name}")
        for part, years, name in sick
        if (found := with_finding(child(part, years, 22), name, 0.8, 3, "transverse" if name == "fracture" else None))
    ]


PAGES = {"strip": strip, "parts": by_part, "findings": by_finding, "doses": by_dose}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the sheets")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in PAGES.items():
        page = sheet([row for row in rows() if row])
        page.quantize(48).save(out / f"{name}.png", optimize=True)
        print(f"{out}/{name}.png")


if __name__ == "__main__":
    main()
