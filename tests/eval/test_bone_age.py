"""The bone age that was planted is found to its noise, with the sex where the sex matters."""

import json
from dataclasses import replace

import numpy as np
import pytest
from planted import SPLITS, asked_of, dealt, phantom_tree, sample, stripes, with_samples
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pedclip.eval.bench.bone_age import STRENGTHS, bone_age, chance_error, fit_ridge, tuned_bone_age
from pedclip.eval.bench.tuning import Tuning

NOISE = 5.0  # months, standard deviation


def hands(sizes=(600, 200, 500), by_sex=0.0, slope=30.0, seed=0):
    """Bone age = 100 + slope x + by_sex for males, and noise; x is the first number of the embedding."""
    random = np.random.default_rng(seed)
    embeds, samples = {}, {}
    for split, size in zip(SPLITS, sizes, strict=True):
        embeds[split] = random.standard_normal((size, 6))
        male = random.random(size) < 0.6
        months = 100 + slope * embeds[split][:, 0] + by_sex * male + random.normal(0, NOISE, size)
        samples[split] = [
            sample(number, split, body_part="hand", sex="male" if here else "female", bone_age_months=max(age, 1.0))
            for number, (here, age) in enumerate(zip(male, months.tolist(), strict=True))
        ]
    return asked_of(embeds, samples)


def months_of(asked, split):
    return np.array([one.bone_age_months for one in asked.splits[split].samples])


def test_a_planted_age_is_found_to_its_noise():
    result = bone_age(hands()).result
    left = NOISE * np.sqrt(2 / np.pi)  # the mean absolute value of the noise
    assert result["value"] == pytest.approx(left, rel=0.1)
    assert result["low"] < result["value"] < result["high"] < result["chance"]


def test_the_sex_helps_where_the_age_depends_on_it_and_both_ways_are_told():
    asked = hands(by_sex=24)
    answer, without = bone_age(asked), bone_age(asked, use_sex=False)
    both = answer.result["with_sex"], answer.result["without_sex"]
    assert both[0]["value"] == answer.result["value"] < both[1]["value"] - 3
    assert without.result["value"] == both[1]["value"]
    assert (without.result["with_sex"], without.result["without_sex"]) == both
    assert both[0]["chance"] < both[1]["chance"] == without.result["chance"]
    assert answer.metric(np.ones((1, 500)))[0] == pytest.approx(answer.result["value"])


def test_the_error_is_that_of_scikit_learn_and_the_strength_the_best_on_validation():
    asked = hands(sizes=(12, 80, 90))
    embeds, errors = {split: asked.splits[split].embeds for split in SPLITS}, {}
    for strength in STRENGTHS:
        pipeline = make_pipeline(StandardScaler(), Ridge(alpha=strength))
        pipeline.fit(embeds["train"], months_of(asked, "train"))
        errors[strength] = (
            mean_absolute_error(months_of(asked, "validation"), pipeline.predict(embeds["validation"])),
            mean_absolute_error(months_of(asked, "test"), pipeline.predict(embeds["test"])),
        )
    best = min(errors, key=lambda strength: errors[strength][0])
    assert best not in (STRENGTHS[0], STRENGTHS[-1])
    result = bone_age(asked, use_sex=False).result
    assert result["without_sex"]["strength"] == best
    assert result["value"] == pytest.approx(errors[best][1])


def test_chance_is_the_error_of_the_training_median_of_the_same_sex_where_it_is_used():
    asked = hands(by_sex=40)
    train, test = (asked.splits[split].samples for split in ("train", "test"))
    plain = np.median([one.bone_age_months for one in train])
    of_sex = {sex: np.median([one.bone_age_months for one in train if one.sex == sex]) for sex in ("female", "male")}
    assert chance_error(asked, False) == pytest.approx(np.mean([abs(one.bone_age_months - plain) for one in test]))
    assert chance_error(asked, True) == pytest.approx(
        np.mean([abs(one.bone_age_months - of_sex[one.sex]) for one in test])
    )


def test_rows_by_sex_and_age_add_up_and_are_each_their_own_mean():
    answer = bone_age(hands(by_sex=24))
    rows = {row["class"]: row for row in answer.result["classes"]}
    bands = [row for name, row in rows.items() if name.startswith("bone age")]
    assert sum(row["n"] for row in bands) == rows["female"]["n"] + rows["male"]["n"] == answer.result["n"] == 500
    sex, months, said = (np.array(answer.predictions[name]) for name in ("sex", "months", "predicted_months"))
    assert rows["male"]["value"] == pytest.approx(np.abs(said - months)[sex == "male"].mean(), abs=1e-3)
    assert rows["female"]["mean_error"] == pytest.approx((said - months)[sex == "female"].mean(), abs=1e-3)
    band = (months >= 36) & (months < 84)
    assert rows["bone age 3 to 7 years"]["value"] == pytest.approx(np.abs(said - months)[band].mean(), abs=1e-3)


def test_an_empty_group_has_a_row_without_a_number():
    asked = hands(sizes=(60, 30, 30))
    test = [replace(one, sex="male", bone_age_months=100.0) for one in asked.splits["test"].samples]
    rows = {row["class"]: row for row in bone_age(with_samples(asked, "test", test)).result["classes"]}
    assert rows["female"] == {"class": "female", "n": 0} and rows["male"]["n"] == 30


def test_the_test_ages_are_not_learned_from():
    asked = hands()
    truth, moved = bone_age(asked), bone_age(dealt(asked, "test"), use_sex=False)
    plain = bone_age(asked, use_sex=False)
    assert plain.predictions["predicted_months"] == moved.predictions["predicted_months"]
    assert moved.result["value"] > 3 * truth.result["value"]


def test_ages_dealt_out_anew_are_said_no_better_than_by_the_median():
    asked = hands()
    for split in SPLITS:
        asked = dealt(asked, split)
    result = bone_age(asked).result
    assert result["value"] == pytest.approx(result["chance"], rel=0.05)


def test_what_is_not_known_is_said_with_the_way_out():
    asked = hands(sizes=(20, 20, 20))
    nameless = [replace(one, sex=None) for one in asked.splits["test"].samples[:3]] + asked.splits["test"].samples[3:]
    without_sex = with_samples(asked, "test", nameless)
    for method in (bone_age, tuned_bone_age):
        with pytest.raises(ValueError, match=r"3 of 20 test images have no sex .* ask with use_sex=False"):
            method(without_sex)
    assert bone_age(without_sex, use_sex=False).result["with_sex"] is None
    train = [replace(one, bone_age_months=None) for one in asked.splits["train"].samples]
    with pytest.raises(ValueError, match="20 of 20 train images have no bone_age_months"):
        bone_age(with_samples(asked, "train", train))
    with pytest.raises(ValueError, match="strengths is empty"):
        bone_age(asked, strengths=())


def test_of_equal_strengths_the_stiffest_is_taken():
    flat = np.zeros((10, 3))
    assert fit_ridge(flat, np.arange(10.0), flat, np.arange(10.0)).strength == max(STRENGTHS)


@pytest.mark.parametrize("use_sex", [True, False])
def test_tuning_starts_at_the_regression(tmp_path, tested, use_sex):
    asked = stripes(tmp_path, tested)
    still = tuned_bone_age(asked, use_sex, Tuning(epochs=1, learning_rate=0.0, head_learning_rate=0.0))
    ridge = bone_age(asked, use_sex)
    said, expected = (np.array(one.predictions["predicted_months"]) for one in (still, ridge))
    np.testing.assert_allclose(said, expected, atol=0.05)
    assert np.ptp(expected) > 1
    assert still.result["validation_by_epoch"][0] < 0  # errors, the higher the better


def test_tuning_learns_a_contrast(tmp_path, tested):
    asked = stripes(tmp_path, tested)
    settings = Tuning(epochs=8, patience=8, batch_size=16, learning_rate=3e-4, head_learning_rate=3e-4)
    tuned = tuned_bone_age(asked, settings=settings).result
    assert tuned["best_epoch"] > 0
    assert tuned["value"] < bone_age(asked).result["value"]
    assert tuned["metric"] == "MAE, months"


def test_a_tree_in_the_official_layout_goes_through(tmp_path, tested):
    asked = phantom_tree("rsna-boneage", tmp_path, tested, patients=60)
    answer = bone_age(asked)
    json.dumps([answer.result, answer.predictions], allow_nan=False)
    assert answer.result["n"] == len(asked.splits["test"].samples) == 10
