"""A subgroup's number is the metric of its images alone, with its own patients, or "too few"."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pedclip.eval.bench.asked import Answer
from pedclip.eval.bench.by_group import by_group
from pedclip.eval.statistics import auc_metric, estimate, mae_metric, share_metric
from pedclip.eval.subgroups import age_band, groups_by, implausible_ages, subgroups
from pedclip.eval.tasks import shown
from pedclip.processing.data.sample import Sample

FEW = {"resamples": 200}


def sample(number: int, **known) -> Sample:
    return Sample(Path("x.png"), "x.png", known.pop("body_part", None), f"p{number}", None, **known)


def test_a_subgroups_value_and_interval_are_those_of_its_images_alone():
    random = np.random.default_rng(0)
    labels, scores = random.integers(0, 2, 200), random.normal(size=200)
    groups, patients = ["girls" if n % 3 else "boys" for n in range(200)], [str(n // 2) for n in range(200)]
    found = subgroups(auc_metric(labels, scores), groups, patients, labels=labels, **FEW)
    for row in found["groups"]:
        inside = np.array([group == row["group"] for group in groups])
        assert row["value"] == pytest.approx(roc_auc_score(labels[inside], scores[inside]))
        own = [patient for patient, here in zip(patients, inside, strict=True) if here]
        alone = estimate(auc_metric(labels[inside], scores[inside]), own, 200)
        assert (row["low"], row["high"], row["n"], row["patients"]) == (
            alone.low,
            alone.high,
            inside.sum(),
            len(set(own)),
        )


def test_too_few_patients_and_one_class_say_so_instead_of_a_number():
    labels = np.array([0, 1] * 30 + [1] * 30 + [0, 1] * 5)
    groups = ["mixed"] * 60 + ["ill"] * 30 + ["small"] * 10
    scores = np.random.default_rng(1).normal(size=100)
    found = subgroups(auc_metric(labels, scores), groups, [str(n) for n in range(100)], labels=labels, **FEW)
    rows = {row["group"]: row for row in found["groups"]}
    assert rows["small"]["too_few"] == "too few: 10 patients, fewer than 20"
    assert rows["ill"]["too_few"] == "too few: images of one class only"
    assert "value" not in rows["small"] and "value" not in rows["ill"]
    assert rows["ill"]["n"] == rows["ill"]["patients"] == 30
    assert found["gap"] is None
    # without labels the metric itself says that it has no value
    found = subgroups(auc_metric(labels, scores), groups, [str(n) for n in range(100)], **FEW)
    assert "one kind only" in {row["group"]: row for row in found["groups"]}["ill"]["too_few"]


def test_many_images_of_few_patients_are_too_few():
    found = subgroups(share_metric(np.ones(100)), ["a"] * 100, [str(n % 5) for n in range(100)], **FEW)
    assert found["groups"][0]["too_few"] == "too few: 5 patients, fewer than 20"


@pytest.mark.parametrize("lower_is_better", [False, True])
def test_the_gap_is_best_minus_worst_and_positive(lower_is_better):
    errors = np.array([1.0, 2.0] * 30 + [4.0, 6.0] * 30 + [3.0, 3.1] * 30)
    groups = ["low"] * 60 + ["high"] * 60 + ["middle"] * 60
    metric = mae_metric(np.zeros(180), errors)
    patients = [str(n) for n in range(180)]
    gap = subgroups(metric, groups, patients, lower_is_better=lower_is_better, **FEW)["gap"]
    assert (gap["best"], gap["worst"]) == (("low", "high") if lower_is_better else ("high", "low"))
    assert gap["value"] == pytest.approx(3.5)
    assert 3 < gap["low"] < 3.5 < gap["high"] < 4
    assert (gap["n"], gap["patients"]) == (120, 120)


def test_a_patient_in_both_groups_is_drawn_once_for_both():
    """What a patient has in common cancels: each one's images differ by exactly one."""
    base = np.random.default_rng(2).normal(size=40) * 10
    metric = mae_metric(np.zeros(80), 100 + np.concatenate([base, base + 1 + np.linspace(-0.01, 0.01, 40)]))
    gap = subgroups(metric, ["before"] * 40 + ["after"] * 40, [str(n % 40) for n in range(80)], **FEW)["gap"]
    assert gap["value"] == pytest.approx(1) and 0 < gap["high"] - gap["low"] < 0.01


def test_images_without_a_group_are_counted_and_in_none():
    groups = ["a", None] * 40
    found = subgroups(share_metric(np.arange(80) % 4 < 2), groups, [str(n) for n in range(80)], **FEW)
    assert found["unknown"] == 40
    assert [row["n"] for row in found["groups"]] == [40]


def test_groups_come_from_age_sex_part_or_any_column():
    samples = [
        sample(0, age_months=30.0, sex="female", body_part="hand", row={"device": "A"}),
        sample(1, age_months=72.0, row={"device": float("nan")}),
        sample(2, row={"device": 7}),
    ]
    assert groups_by(samples, "age") == ["02 to under 06 years", "06 to under 12 years", None]
    assert groups_by(samples, "sex") == ["female", None, None]
    assert groups_by(samples, "body_part") == ["hand", None, None]
    assert groups_by(samples, "device") == ["A", None, "7"]
    with pytest.raises(ValueError, match=r"no row has a column 'devise'; group by age, sex, .* or one of device"):
        groups_by(samples, "devise")


def test_wrong_lengths_and_settings_are_errors():
    with pytest.raises(ValueError, match="1 groups for 2 images"):
        subgroups(share_metric([1, 0]), ["a"], ["x", "y"])
    with pytest.raises(ValueError, match="fewest is 1"):
        subgroups(share_metric([1, 0]), ["a", "b"], ["x", "y"], fewest=1)


def test_an_implausible_age_is_unknown_and_counted():
    samples = [
        Sample(Path("x"), "x", "wrist", f"p{number}", "test", age_months=months)
        for number, months in enumerate([30.0, 1560.0, -2.0, None, 100.0, *[50.0] * 25, *[100.0] * 25])
    ]
    assert [age_band(one.age_months) for one in samples[:3]] == ["02 to under 06 years", None, None]
    assert implausible_ages(samples) == 2
    metric = auc_metric(np.arange(55) % 2 == 0, np.random.default_rng(0).normal(size=55))
    answer = Answer({"metric": "AUC"}, {}, metric, [one.patient_id for one in samples])
    found = by_group(answer, samples, False, 100, 0)["age"]
    assert (found["unknown"], found["implausible"]) == (3, 2)


def test_a_group_below_chance_says_so():
    labels = np.arange(80) % 2 == 0
    scores = np.where(np.arange(80) < 40, labels, ~labels) + np.random.default_rng(1).normal(size=80)
    patients = [str(n) for n in range(80)]
    found = subgroups(auc_metric(labels, scores), ["a"] * 40 + ["b"] * 40, patients, chance=0.5, resamples=100)
    assert [row["below_chance"] for row in found["groups"]] == [False, True]
    assert shown(found["groups"][1]).endswith("below chance")
