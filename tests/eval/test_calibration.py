"""Calibration equals hand-worked cases and scikit-learn, and its interval knows that an ECE is too high."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from pedclip.eval.calibration import bin_numbers, brier_terms, calibration, ece_estimate, ece_metric, if_calibrated


def plain(confidence, right, bin_of) -> float:
    return float(ece_metric(confidence, right, bin_of)(np.ones((1, len(confidence))))[0])


def test_the_ece_of_a_case_worked_by_hand():
    # two bins: .2 and .4 (mean .3, one of two true: .5), .8 and .9 and 1 (mean .9, two of three: 2/3)
    confidence, right = np.array([0.2, 0.4, 0.8, 0.9, 1.0]), np.array([0, 1, 1, 1, 0])
    expected = 2 / 5 * abs(0.3 - 0.5) + 3 / 5 * abs(0.9 - 2 / 3)
    assert plain(confidence, right, bin_numbers(confidence, 2)) == pytest.approx(expected)


def test_a_value_on_an_edge_belongs_to_the_bin_below():
    assert bin_numbers(np.array([0.0, 0.5, 0.500001, 1.0]), 2).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("equal_mass", "strategy"), [(False, "uniform"), (True, "quantile")])
def test_bins_are_scikit_learns(equal_mass, strategy):
    random = np.random.default_rng(0)
    confidence = np.round(random.beta(0.5, 0.4, 500), 2)  # rounded: ties, and values on edges
    right = random.random(500) < confidence**2
    shares, means = calibration_curve(right, confidence, n_bins=15, strategy=strategy)
    bin_of = bin_numbers(confidence, 15, equal_mass)
    numbers, counts = np.unique(bin_of, return_counts=True)
    ours = [(right[bin_of == number].mean(), confidence[bin_of == number].mean()) for number in numbers]
    np.testing.assert_allclose(ours, np.stack([shares, means], 1))
    expected = (np.abs(shares - means) * counts).sum() / 500
    assert plain(confidence, right, bin_of) == pytest.approx(expected)


def test_weights_are_repeated_images():
    random = np.random.default_rng(1)
    confidence, right, times = random.random(60), random.random(60) < 0.5, random.integers(0, 4, 60)
    bin_of = bin_numbers(confidence, 15)
    repeated = plain(*(np.repeat(column, times) for column in (confidence, right, bin_of)))
    assert ece_metric(confidence, right, bin_of)(times[None].astype(float))[0] == pytest.approx(repeated)


def test_several_classes_are_judged_by_the_top_one():
    random = np.random.default_rng(2)
    table = random.dirichlet([1, 1, 1], 200)
    truth = np.array([random.choice(3, p=row) for row in table])
    found = calibration(truth, table, [str(n) for n in range(200)], resamples=100)
    as_binary = calibration(table.argmax(1) == truth, table.max(1), [str(n) for n in range(200)], resamples=100)
    assert found["value"] == as_binary["value"]
    assert found["brier"]["value"] == pytest.approx(brier_score_loss(truth, table, scale_by_half=False))
    assert sum(row["n"] for row in found["reliability"]) == 200
    assert found["low"] == 0.0  # drawn from the probabilities: calibrated
    assert found["value"] <= found["if_calibrated"]["highest_of_95_percent"]


def test_the_brier_score_of_a_positive_is_scikit_learns():
    random = np.random.default_rng(3)
    truth, said = random.integers(0, 2, 100), random.random(100)
    assert brier_terms(truth, said).mean() == pytest.approx(brier_score_loss(truth, said))


def test_overconfidence_is_seen_and_its_interval_excludes_calibration():
    random = np.random.default_rng(4)
    truth = random.random(600) < 0.6
    found = calibration(truth, np.where(random.random(600) < 0.99, 0.97, 0.9), [str(n // 2) for n in range(600)])
    assert found["value"] == pytest.approx(0.37, abs=0.05)
    assert 0.25 < found["low"] < found["value"] < found["high"] < 0.5
    assert found["ece_equal_mass"]["value"] == pytest.approx(0.37, abs=0.05)


def test_a_perfectly_calibrated_model_has_an_ece_far_from_nought_in_few_images():
    said = np.random.default_rng(5).random(60)
    assert if_calibrated(said, bin_numbers(said, 15), 500)["mean"] > 0.1


@pytest.mark.parametrize("slope", [1.0, 2.5])
def test_intervals_of_the_ece_cover_where_percentiles_do_not(slope):
    random = np.random.default_rng(6)

    def draw(images):
        logits = random.normal(size=images)
        return 1 / (1 + np.exp(-slope * logits)), 1 / (1 + np.exp(-logits))

    said, true = draw(400_000)
    bin_of = bin_numbers(said, 15)
    truth = np.abs(np.bincount(bin_of, said - true)).sum() / len(said)
    covered = 0
    for seed in range(200):
        confidence, chance = draw(200)
        right, patients = random.random(200) < chance, [str(n) for n in range(200)]
        found = ece_estimate(confidence, right, bin_numbers(confidence, 15), patients, resamples=200, seed=seed)
        covered += found.low - 1e-3 <= truth <= found.high
    assert 0.86 <= covered / 200 <= 0.99


def test_wrong_input_is_one_error_that_says_what_is_wrong():
    patients = ["a", "b"]
    with pytest.raises(ValueError, match="1 probabilities are not between 0 and 1; take a softmax"):
        calibration([0, 1], np.array([0.5, 1.2]), patients)
    with pytest.raises(ValueError, match="not between 0 and 1"):
        calibration([0, 1], np.array([0.5, np.nan]), patients)
    with pytest.raises(ValueError, match=r"image 1 sum to 0\.9000"):
        calibration([0, 1], np.array([[0.5, 0.5], [0.5, 0.4]]), patients)
    with pytest.raises(ValueError, match=r"truth has 2; with probabilities \(2, 2\) it is 0 to 1"):
        calibration([0, 2], np.array([[0.5, 0.5], [0.5, 0.5]]), patients)
    with pytest.raises(ValueError, match=r"truth is \(3,\) and probabilities \(2,\)"):
        calibration([0, 1, 1], np.array([0.5, 0.5]), patients)
    with pytest.raises(ValueError, match="1 patients for 2 images"):
        calibration([0, 1], np.array([0.5, 0.5]), ["a"])
