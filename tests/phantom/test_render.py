"""Films of studies: the same seed gives the same bytes, every part is drawn, and bone age can be read back."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from pedclip.processing.phantom.growth import draw_patient, ossification
from pedclip.processing.phantom.parts import PARTS
from pedclip.processing.phantom.records import Exam
from pedclip.processing.phantom.render import build_anatomy, project_film, render
from pedclip.processing.phantom.rows import films_of
from pedclip.processing.phantom.sheets import child
from pedclip.processing.phantom.study import Clinic, normal_twin, studies_of

DIGEST = """
import hashlib
from pedclip.processing.phantom.rows import films_of
from pedclip.processing.phantom.study import studies_of
total = hashlib.sha256()
for number in range(4):
    for study in studies_of(5, number):
        for row, film in films_of(study, masks=True):
            total.update(film.pixels.tobytes() + repr(sorted(row.items())).encode() + study.report.text.encode())
            for masks in (film.bones, film.marks):
                for name in masks:
                    total.update(name.encode() + masks[name].tobytes())
print(total.hexdigest())
"""


def test_the_same_seed_gives_the_same_bytes_in_any_process():
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_a_patient_is_the_same_whoever_else_is_drawn():
    alone = list(studies_of(3, 7))
    assert alone == [study for number in range(9) for study in studies_of(3, number) if number == 7]
    assert alone != list(studies_of(4, 7))


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_drawn_in_every_view_at_every_age(name):
    for years in (0, 1, 5, 10, 17.9):
        study = child(name, years, 8)
        for view in PARTS[name].views:
            film = render(study, 0, view.name, side=64, masks=True)
            assert film.pixels.dtype == np.uint16 and film.pixels.max() <= 4095
            assert np.ptp(film.pixels) > 500, f"{name} {view.name} at {years} years shows nothing"
            assert any(mask.any() for mask in film.bones.values())


def test_most_parts_have_two_views_as_in_the_clinic():
    single = {name for name, part in PARTS.items() if len(part.views) < 2}
    assert single <= {"abdomen", "pelvis"}


def test_a_left_side_is_the_mirror_image_of_a_right_one():
    study = child("hand", 7, 2)
    exam = study.exams[0]
    depths = []
    for side in ("right", "left"):
        sided = replace(exam, laterality=side)
        anatomy = build_anatomy(study.patient, exam, 2)
        # the pose of the right hand, seen in a mirror
        from pedclip.processing.phantom.projection import Pose, draw

        depths.append(draw(anatomy, Pose(mirrored=sided.laterality == "left"), 96).depth)
    np.testing.assert_allclose(depths[0], depths[1][:, ::-1], atol=2e-2)


def test_bone_age_shows_in_the_growth_centres():
    """More bone age, more bone in the same hand; the centre's size gives the bone age back."""
    patient = draw_patient("p", np.random.default_rng(0), age_months=96)
    ages = [30, 60, 90, 120, 150]
    read = []
    for months in ages:
        one = replace(patient, bone_age_months=float(months))
        share = ossification(one, 1, 17.5)  # the distal radius
        sooner = 6 / 7 if one.sex == "female" else 1
        read.append((share * 16.5 + 1) * sooner * 12)
    assert read == pytest.approx(ages)
    areas = []
    for months in (30, 90, 170):
        study = child("wrist", 8, 1)
        study = replace(study, patient=replace(study.patient, bone_age_months=float(months)))
        exam: Exam = study.exams[0]
        drawn, _ = project_film(study, exam, exam.views[0], build_anatomy(study.patient, exam, 1), 128, masks=True)
        carpals = ("scaphoid", "lunate", "triquetrum", "trapezium", "trapezoid", "capitate", "hamate", "pisiform")
        areas.append(sum(int(drawn.masks[name].sum()) for name in carpals if name in drawn.masks))
    assert areas[0] < areas[1] < areas[2]


def test_a_dose_changes_the_noise_and_nothing_else():
    study = child("knee", 7, 3)
    usual, again, low = (render(study, 0, "AP", dose=dose).pixels.astype(float) for dose in (1.0, 1.0, 1 / 16))
    assert (usual == again).all()
    smooth = [np.cumsum(np.cumsum(one, 0), 1) for one in (usual, low)]
    blocks = [(s[16:, 16:] - s[:-16, 16:] - s[16:, :-16] + s[:-16, :-16]) / 256 for s in smooth]
    assert np.abs(blocks[0] - blocks[1]).mean() < 150
    assert np.abs(np.diff(low[40:80, 40:80])).mean() > 2 * np.abs(np.diff(usual[40:80, 40:80])).mean()


def test_a_normal_twin_has_the_same_pose_and_no_finding():
    clinic = Clinic(parts={"knee": 1.0}, findings=(0.0, 1.0, 0.0))
    study = next(iter(studies_of(2, 3, clinic)))
    twin = normal_twin(study)
    assert twin is not None and all(not exam.findings for exam in twin.exams)
    rows = [[row for row, _ in films_of(one, side=32)] for one in (study, twin)]
    assert [row["pair_id"] for row in rows[0]] == [row["pair_id"] for row in rows[1]]
    assert all(row["findings"] for row in rows[0]) and not any(row["findings"] for row in rows[1])
    healthy = Clinic(parts={"abdomen": 1.0})
    assert normal_twin(next(iter(studies_of(2, 3, healthy)))) is None


@pytest.mark.parametrize(("side", "message"), [(8, "32 to 2048"), (100_000, "32 to 2048")])
def test_an_impossible_size_is_refused(side, message):
    with pytest.raises(ValueError, match=message):
        render(child("knee", 5, 1), 0, "AP", side=side)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parts": {"wing": 1.0}}, "wing"),
        ({"severity": (0.0, 1.0)}, "above 0"),
        ({"doses": (0.0,)}, "above 0"),
    ],
)
def test_a_clinic_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Clinic(**settings)


def test_hashes_differ_between_children():
    films = {hashlib.sha256(render(child("knee", 9, seed), 0, "AP").pixels.tobytes()).digest() for seed in range(5)}
    assert len(films) == 5
