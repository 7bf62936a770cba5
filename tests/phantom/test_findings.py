"""Findings against their normal twins: where they say they are, and that nothing cheap gives them away."""

from dataclasses import replace

import numpy as np
import pytest

from pedclip.processing.phantom.applicable import APPLICABLE
from pedclip.processing.phantom.parts import PARTS
from pedclip.processing.phantom.records import FINDINGS, FRACTURE_KINDS, GROSS_SHAPES, Exam, Finding
from pedclip.processing.phantom.render import build_anatomy, project_film
from pedclip.processing.phantom.sheets import child, with_finding

SIDE = 128
# Shapes move what is around them. A collapsed lung is denser outside the air, and a bone end that is lengthened is
# drawn anew along the whole bone.
LEAST_INSIDE = {"pneumothorax": 0.3, "joint space narrowing": 0.6}
WIDER = 3  # pixels that an outline may be off by


def depths(body_part: str, name: str, severity: float, seed: int, kind: str | None = None, view: int = 0):
    """Optical depth with and without the finding, and their outlines, in one view."""
    healthy = child(body_part, 9, seed)
    sick = with_finding(healthy, name, severity, seed, kind)
    if sick is None:
        return None
    exam = healthy.exams[0]
    found = []
    for study in (sick, healthy):
        anatomy = build_anatomy(study.patient, study.exams[0], study.seed)
        drawn, _ = project_film(study, study.exams[0], exam.views[view], anatomy, SIDE, masks=True)
        found.append(drawn)
    return found[0].depth, found[1].depth, found[0].marks, found[1].marks


def widened(mask: np.ndarray, by: int) -> np.ndarray:
    for _ in range(by):
        mask = np.logical_or.reduce([mask, *(np.roll(mask, step, axis) for axis in (0, 1) for step in (-1, 1))])
    return mask


WHERE = [(part, name) for part, names in APPLICABLE.items() for name in names]


@pytest.mark.parametrize(("body_part", "name"), WHERE, ids=[f"{part}-{name}" for part, name in WHERE])
def test_a_finding_lies_inside_its_outline_and_is_stronger_when_severe(body_part, name):
    """Shapes (heart, spine, hip) move what is around them; everything else changes its outline's inside alone."""
    strengths = []
    for severity in (0.35, 0.95):
        found = depths(body_part, name, severity, seed=4, kind="transverse" if name == "fracture" else None)
        assert found is not None, f"a child of 9 years has no place for {name} in the {body_part}"
        sick, healthy, marks, none = found
        assert set(marks) == {name} and not none
        change = np.abs(sick - healthy)
        strengths.append(float(change.sum()))
        inside = change[widened(marks[name], WIDER)].sum() / change.sum()
        least = LEAST_INSIDE.get(name, 0.3 if name in GROSS_SHAPES else 0.85)
        assert inside > least, f"{inside:.2f} of the change lies inside the outline"
    assert strengths[1] > strengths[0] > 0.5


@pytest.mark.parametrize("body_part", ["skull", "wrist", "knee", "femur"])
def test_a_fracture_lies_inside_its_outline_from_the_side_too(body_part):
    sick, healthy, marks, _ = depths(body_part, "fracture", 0.8, seed=4, kind="oblique", view=1)
    change = np.abs(sick - healthy)
    assert change[widened(marks["fracture"], WIDER)].sum() > 0.85 * change.sum()


@pytest.mark.parametrize("kind", FRACTURE_KINDS)
def test_every_kind_of_fracture_changes_the_bone_it_names(kind):
    sick, healthy, marks, _ = depths("wrist", "fracture", 0.8, seed=2, kind=kind)
    change = np.abs(sick - healthy)
    assert change.max() > 0.05
    assert change[widened(marks["fracture"], WIDER)].sum() > 0.85 * change.sum()


def test_the_same_child_lies_in_the_same_pose_whatever_is_found():
    healthy = child("knee", 9, 3)
    sick = with_finding(healthy, "erosion", 0.9, 3)
    films = []
    for study in (healthy, sick):
        exam = study.exams[0]
        films.append(project_film(study, exam, "AP", build_anatomy(study.patient, exam, 3), SIDE)[1])
    assert films[0] == films[1]


def test_a_finding_that_its_part_cannot_have_has_no_place():
    assert with_finding(child("abdomen", 9, 1), "erosion", 0.5, 1) is None
    newborn = child("knee", 0, 1)
    places = with_finding(replace(newborn, patient=replace(newborn.patient, bone_age_months=0.0)), "erosion", 0.5, 1)
    assert places is None or places.exams[0].findings[0].place == "knee joint"


def test_every_part_has_the_places_that_its_table_names_at_any_age():
    for name, part in PARTS.items():
        for years in (0, 1, 4, 9, 17):
            study = child(name, years, years)
            anatomy = build_anatomy(study.patient, study.exams[0], 5)
            assert set(part.joints) <= set(anatomy.joints), f"{name} at {years}"
            assert set(part.fractures) <= set(anatomy.sites), f"{name} at {years}"


def test_every_finding_belongs_to_some_part():
    assert {name for names in APPLICABLE.values() for name in names} == set(FINDINGS)
    assert set(APPLICABLE) == set(PARTS)


def test_a_finding_does_not_change_the_random_numbers_of_the_anatomy():
    for part, name in (("chest", "cardiomegaly"), ("whole_spine", "scoliosis"), ("hip", "hip dysplasia")):
        study = child(part, 8, 6)
        exam: Exam = study.exams[0]
        place = {"chest": "heart", "hip": "hip joint"}.get(part, "spine")
        sick = replace(exam, findings=(Finding(name, 1e-6, place, None, 1),))
        views = [
            project_film(study, one, exam.views[0], build_anatomy(study.patient, one, 6), SIDE)[0].depth
            for one in (exam, sick)
        ]
        assert np.abs(views[0] - views[1]).mean() < 0.02, part
