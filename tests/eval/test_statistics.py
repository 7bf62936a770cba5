"""Numbers equal scikit-learn's and hand-worked ones, and intervals cover what they claim."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pedclip.eval.classification import classify, log_odds
from pedclip.eval.retrieval import chance_of_hit, ranks_of_first_hit
from pedclip.eval.statistics import auc_metric, estimate, mean_of, paired_difference, patient_weights, share_metric


def plain(metric, n: int) -> float:
    return float(metric(np.ones((1, n)))[0])


def test_the_auc_of_a_case_worked_by_hand():
    # pairs (positive, negative): .9>.5, .9>.4, .4<.5, .4=.4: 1 + 1 + 0 + 1/2 of 4
    assert plain(auc_metric([1, 0, 1, 0], [0.9, 0.5, 0.4, 0.4]), 4) == 2.5 / 4


def test_aucs_equal_scikit_learns_with_ties_and_weights():
    random = np.random.default_rng(0)
    labels = random.random(200) < 0.3
    scores = np.round(random.normal(size=200) + labels, 1)  # rounded: many ties
    weights = random.integers(0, 4, (5, 200)).astype(float)
    expected = [roc_auc_score(labels, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(auc_metric(labels, scores)(weights), expected, rtol=1e-12)


def test_a_resample_that_lost_a_class_has_no_auc_and_a_mean_goes_on_without_it():
    one = auc_metric([1, 0, 0], [3, 2, 1])
    other = auc_metric([0, 1, 0], [3, 2, 1])
    lost = np.array([[0.0, 1.0, 1.0]])
    assert np.isnan(one(lost))
    assert mean_of([one, other])(lost) == other(lost) == 1.0


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="1 of 2 scores are not finite"):
        auc_metric([1, 0], [np.nan, 0.0])


def test_patients_are_drawn_whole():
    weights = patient_weights(["a", "b", "a", "c"], resamples=50)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 0] + weights[:, 1] + weights[:, 3] == 3).all()
    assert len(np.unique(weights, axis=0)) > 5


def test_intervals_are_the_same_for_the_same_seed_and_absent_for_one_patient():
    many = share_metric(np.random.default_rng(0).random(50))
    patients = [str(n) for n in range(50)]
    assert estimate(many, patients, seed=3) == estimate(many, patients, seed=3)
    assert estimate(many, patients, seed=3) != estimate(many, patients, seed=4)
    alone = estimate(share_metric([1, 0, 1, 1]), list("aaaa"))
    assert (alone.value, alone.low, alone.high, alone.n, alone.patients) == (0.75, None, None, 4, 1)


def test_intervals_equal_a_loop_over_resamples():
    random = np.random.default_rng(1)
    patients = [f"p{n // 3}" for n in range(60)]
    labels, scores = random.random(60) < 0.5, random.normal(size=60)
    got = estimate(auc_metric(labels, scores), patients, resamples=200, seed=5)
    values = [
        roc_auc_score(np.repeat(labels, times), np.repeat(scores, times))
        for times in patient_weights(patients, 200, seed=5).astype(int)
    ]
    np.testing.assert_allclose([got.low, got.high], np.percentile(values, [2.5, 97.5]))


def test_95_percent_intervals_cover_the_truth_about_95_times_in_100():
    random = np.random.default_rng(2)
    truth, covered = 0.7602, 0  # two normals one unit apart: Phi(1 / sqrt 2)
    for seed in range(200):
        patient_effect = np.repeat(random.normal(size=60), 2) * 0.5  # two images a patient, alike
        labels = np.repeat(random.random(60) < 0.5, 2)
        scores = labels + patient_effect + random.normal(size=120) * np.sqrt(0.75)
        interval = estimate(auc_metric(labels, scores), [str(n // 2) for n in range(120)], resamples=300, seed=seed)
        covered += interval.low <= truth <= interval.high
    assert 0.90 <= covered / 200 <= 0.98


def test_a_paired_difference_is_surer_than_two_intervals_suggest():
    random = np.random.default_rng(3)
    labels = random.random(200) < 0.5
    scores = labels + random.normal(size=200)
    worse = scores + random.normal(size=200) * 0.7
    patients = [str(n) for n in range(200)]
    good, bad = auc_metric(labels, scores), auc_metric(labels, worse)
    difference = paired_difference(good, bad, patients)
    apart = [estimate(metric, patients) for metric in (good, bad)]
    assert difference.value == pytest.approx(apart[0].value - apart[1].value)
    assert difference.low > 0
    assert difference.high - difference.low < (apart[0].high - apart[0].low) + (apart[1].high - apart[1].low)
    assert paired_difference(good, good, patients).to_dict()["high"] == 0.0


def test_the_macro_auc_is_the_mean_over_the_classes_with_enough_images():
    labels = ["a"] * 4 + ["b"] * 4 + ["c"]
    scores = np.random.default_rng(4).normal(size=(9, 3))
    scored = classify(labels, ["a", "b", "c"], scores, [str(n) for n in range(9)], min_images=2, resamples=0).result
    aucs = [roc_auc_score([label == name for label in labels], scores[:, place]) for place, name in enumerate("abc")]
    assert scored["value"] == pytest.approx(np.mean(aucs[:2]))
    assert [row["in_mean"] for row in scored["classes"]] == [True, True, False]
    assert [row["value"] for row in scored["classes"]] == pytest.approx(aucs)


def test_too_few_classes_are_an_error_that_gives_the_counts():
    with pytest.raises(ValueError, match=r"two classes with at least 2 images.*'a': 2, 'b': 1"):
        classify(["a", "a", "b"], ["a", "b"], np.zeros((3, 2)), list("xyz"), min_images=2)


def test_log_odds_order_as_probabilities_do_and_do_not_round_to_one():
    logits = np.array([[0.0, 1.0, 2.0], [0.0, 60.0, 120.0], [0.0, 60.0, 130.0]])
    odds = log_odds(logits)
    p = np.exp(2.0) / np.exp([0.0, 1.0, 2.0]).sum()
    assert odds[0, 2] == pytest.approx(np.log(p / (1 - p)))
    assert odds[1, 2] == pytest.approx(60) and odds[2, 2] == pytest.approx(70)


def test_any_item_with_the_same_caption_is_a_hit_and_ties_count_against_the_model():
    same = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=bool)
    scores = np.array([[0.1, 0.9, 0.5], [0.2, 0.1, 0.3], [0.4, 0.4, 0.4]])
    assert ranks_of_first_hit(scores, same).tolist() == [0, 1, 2]


def test_chance_of_retrieval_equals_drawing_at_random():
    right = np.array([1, 2, 2, 5, 5, 5, 5, 5, 1, 1])
    random = np.random.default_rng(5)
    drawn = np.argsort(random.random((20000, 10)), axis=1)[:, :3]
    simulated = np.mean([(drawn < count).any(1).mean() for count in right])
    assert chance_of_hit(right, 3) == pytest.approx(simulated, abs=0.01)
    assert chance_of_hit(right, 1) == pytest.approx((right / 10).mean())
    assert chance_of_hit(right, 99) == 1.0
