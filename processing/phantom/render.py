"""One film of a study: anatomy, findings, pose and exposure, each from a stream of random numbers of its own.

So a film and its normal twin are the same child in the same pose under the same exposure, and nothing about pose or
exposure can tell whether there is a finding.
"""

# Shapes: S side in pixels
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from .anatomy.solids import Anatomy, Shape
from .film import Exposure, draw_exposure, expose
from .findings import add_findings
from .parts import PARTS
from .projection import Drawn, Pose, draw
from .records import Exam, Patient, Study

SIDE = 128
MIN_SIDE, MAX_SIDE = 32, 2048


@dataclass(frozen=True)
class Film:
    """A rendered view and its truth."""

    pixels: np.ndarray  # (S, S) uint16, 0 to 4095, bone white
    bones: dict[str, np.ndarray]  # bone -> (S, S) bool; empty unless asked for
    marks: dict[str, np.ndarray]  # finding -> (S, S) bool; empty unless asked for
    mm_per_pixel: float
    view: str
    dose: float


def build_anatomy(patient: Patient, exam: Exam, seed: int) -> Anatomy:
    """The exam's anatomy with its findings."""
    shape = Shape(patient, stream(seed, exam, "anatomy"), {finding.name: finding for finding in exam.findings})
    anatomy = PARTS[exam.body_part].build(shape)
    add_findings(anatomy, exam.findings)
    return anatomy


def draw_pose(exam: Exam, view: str, random: np.random.Generator) -> Pose:
    """The standard view, as well as a child keeps still."""
    standard = next(one for one in PARTS[exam.body_part].views if one.name == view)
    rotation, turn, zoom, x, y = np.clip(random.normal(size=5), -2.3, 2.3)
    return Pose(
        turn=standard.turn + 4.0 * float(turn),
        rotation=standard.rotation + 8.0 * float(rotation),
        zoom=float(np.exp(0.08 * zoom)),
        shift=(0.035 * float(x), 0.035 * float(y)),
        mirrored=exam.laterality == "left",
    )


def render(
    study: Study,
    exam_number: int,
    view: str,
    *,
    side: int = SIDE,
    dose: float | None = None,
    masks: bool = False,
    anatomy: Anatomy | None = None,
) -> Film:
    """One view of one exam of a study; `anatomy` saves building it again for the exam's second view.

    Another `dose` than the study's changes the quantum noise and nothing else.
    """
    if not MIN_SIDE <= side <= MAX_SIDE:
        raise ValueError(f"side is {side}; a film has {MIN_SIDE} to {MAX_SIDE} pixels a side")
    exam = study.exams[exam_number]
    if anatomy is None:
        anatomy = build_anatomy(study.patient, exam, study.seed)
    drawn, exposure = project_film(study, exam, view, anatomy, side, masks)
    if dose is not None:
        exposure = replace(exposure, dose=dose)
    pixels = expose(drawn.depth, drawn.soft_mm, exposure)
    return Film(pixels, drawn.masks, drawn.marks, drawn.mm_per_pixel, view, exposure.dose)


def project_film(
    study: Study, exam: Exam, view: str, anatomy: Anatomy, side: int, masks: bool = False
) -> tuple[Drawn, Exposure]:
    """What the beam meets and how it is exposed; no noise yet."""
    random = stream(study.seed, exam, view)
    pose = draw_pose(exam, view, random)
    letter = {"left": "L", "right": "R", None: "R"}[
        exam.laterality
    ]  # on the trunk the marker names the side it lies on
    exposure = draw_exposure(random, study.dose, letter)
    texture = np.random.Generator(np.random.SFC64(exposure.seed + 1))
    drawn = draw(anatomy, pose, side, masks, _trabeculae(side, texture))
    _add_clutter(drawn, side, texture)
    return drawn, exposure


def _trabeculae(side: int, random: np.random.Generator) -> np.ndarray:
    """(S, S) variation of trabecular bone, finer than a millimetre or two."""
    return 0.16 * random.standard_normal((side, side), dtype=np.float32) * (side / SIDE) ** 0.5


def _add_clutter(drawn: Drawn, side: int, random: np.random.Generator) -> None:
    """Uneven tissue, clothes and sheets: smooth shadows, as strong as a finding's, that mean nothing."""
    coarse = random.standard_normal((5, 5), dtype=np.float32)
    up = _enlarging(side)
    shadow = up @ coarse @ up.T
    drawn.depth *= 1 + 0.07 * shadow


@cache
def _enlarging(side: int, knots: int = 5) -> np.ndarray:
    """(S, 5): a smooth surface from 5 x 5 numbers."""
    at = np.linspace(-0.5, knots - 0.5, side, dtype=np.float32)[:, None]
    weights = np.exp(-0.5 * ((at - np.arange(knots, dtype=np.float32)) / 0.75) ** 2)
    return weights / np.sqrt((weights**2).sum(1, keepdims=True))


def stream(seed: int, exam: Exam, purpose: str) -> np.random.Generator:
    """Random numbers for one purpose of one exam; the findings have no part in it."""
    key = f"{exam.name}/{purpose}".encode()
    return np.random.Generator(np.random.SFC64([seed, int.from_bytes(key[:64], "little")]))
