"""Growth: stature by age and sex, and growth centres whose state tells the bone age."""

from dataclasses import replace

import numpy as np
import pytest

from pedclip.processing.phantom.anatomy.knee import build_knee
from pedclip.processing.phantom.anatomy.solids import Shape
from pedclip.processing.phantom.growth import (
    GIRLS_AHEAD,
    OLDEST_MONTHS,
    draw_patient,
    flesh_scale,
    length_scale,
    mineral,
    ossification,
)
from pedclip.processing.phantom.records import Patient


def child(months: int = 96, sex: str = "male", bone_age: float | None = None, **measures) -> Patient:
    bone_age = float(months) if bone_age is None else bone_age
    return Patient("p", months, sex, bone_age, **{"build": 0.0, "stature": 0.0} | measures)


@pytest.mark.parametrize("sex", ["female", "male"])
def test_a_child_grows_taller_and_its_bones_denser_every_month(sex):
    children = [child(months, sex) for months in range(OLDEST_MONTHS + 1)]
    assert (np.diff([length_scale(one) for one in children]) > 0).all()
    assert (np.diff([mineral(one) for one in children]) > 0).all()


@pytest.mark.parametrize(
    ("months", "sex", "centimetres"),
    [(0, "male", 50), (24, "female", 86), (60, "male", 109), (120, "female", 138), (168, "male", 164)],
)
def test_a_median_child_is_as_tall_as_the_growth_chart_says(months, sex, centimetres):
    assert length_scale(child(months, sex)) * 176 == pytest.approx(centimetres, abs=1.0)


def test_boys_pass_girls_in_the_teens():
    assert length_scale(child(144, "female")) > length_scale(child(144, "male"))
    assert length_scale(child(192, "female")) < length_scale(child(192, "male"))


def test_an_infant_is_plump_for_its_length_and_build_adds_flesh_but_no_length():
    def plumpness(one):
        return flesh_scale(one) / length_scale(one)

    assert plumpness(child(6)) > plumpness(child(48)) > plumpness(child(120)) == pytest.approx(1)
    heavy = child(120, build=2.0)
    assert flesh_scale(heavy) > flesh_scale(child(120)) and length_scale(heavy) == length_scale(child(120))


@pytest.mark.parametrize("sex", ["female", "male"])
def test_a_centre_is_absent_before_it_appears_and_done_once_fused(sex):
    sooner = GIRLS_AHEAD if sex == "female" else 1.0
    for appears, fuses in ((0.5, 15), (4, 16), (10, 14)):
        before = child(sex=sex, bone_age=12 * appears * sooner - 0.5)
        after = child(sex=sex, bone_age=12 * fuses * sooner + 0.5)
        assert ossification(before, appears, fuses) == 0.0
        assert ossification(after, appears, fuses) == 1.0


def test_a_girls_centre_is_never_behind_a_boys_of_the_same_bone_age():
    ages = np.arange(0, 216, 3.0)
    girls, boys = ([ossification(child(sex=sex, bone_age=age), 3, 15) for age in ages] for sex in ("female", "male"))
    assert (np.array(girls) >= boys).all() and (np.array(girls) > boys).sum() > 40


@pytest.mark.parametrize("sex", ["female", "male"])
def test_bone_age_can_be_read_back_from_a_centre_that_is_under_way(sex):
    sooner = GIRLS_AHEAD if sex == "female" else 1.0
    for bone_age in (50.0, 77.3, 101.0, 140.0):
        done = ossification(child(sex=sex, bone_age=bone_age), 3, 15)
        assert 0 < done < 1
        assert 12 * sooner * (3 + done * (15 - 3)) == pytest.approx(bone_age)


def test_what_ossifies_follows_bone_age_and_what_is_long_follows_age():
    late, early = child(96, bone_age=60.0), child(96, bone_age=130.0)
    assert length_scale(late) == length_scale(early)
    assert ossification(late, 3, 15) < ossification(early, 3, 15)


def test_bone_age_deviates_as_in_healthy_children():
    for months, expected in ((60, 5.6), (144, 10.6)):
        ages = [draw_patient("p", np.random.default_rng(seed), months).bone_age_months for seed in range(1500)]
        assert np.mean(ages) == pytest.approx(months, abs=1.0)
        assert np.std(ages) == pytest.approx(expected, rel=0.08)


def test_patients_are_of_every_age_and_both_sexes_and_a_given_age_changes_nothing_else():
    patients = [draw_patient("p", np.random.default_rng(seed)) for seed in range(1500)]
    ages = np.array([one.age_months for one in patients])
    assert ages.min() >= 0 and ages.max() <= OLDEST_MONTHS
    assert (np.histogram(ages, 6, (0, OLDEST_MONTHS + 1))[0] > 200).all()
    assert 0.45 < np.mean([one.sex == "female" for one in patients]) < 0.55
    given = draw_patient("p", np.random.default_rng(3), 50)
    assert (
        replace(given, age_months=patients[3].age_months, bone_age_months=patients[3].bone_age_months) == patients[3]
    )


def test_a_knee_gains_bones_as_it_ossifies():
    def bones(bone_age):
        anatomy = build_knee(Shape(child(96, bone_age=bone_age), np.random.default_rng(1)))
        return [solid.bone for solid in anatomy.solids]

    infant, schoolchild = bones(6.0), bones(110.0)
    assert "patella" not in infant and "patella" in schoolchild
    assert infant.count("fibula") == 1 and schoolchild.count("fibula") == 2
    assert {"femur", "tibia", "fibula"} <= set(infant)
