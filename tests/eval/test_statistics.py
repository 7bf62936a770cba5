"""Numbers equal scikit-learn's and hand-worked ones, and intervals cover what they claim."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap, norm, t
from sklearn.metrics import accuracy_score, brier_score_loss, mean_absolute_error, r2_score, roc_auc_score

from pedclip.eval.calibration import brier_terms
from pedclip.eval.classification import classify, log_odds
from pedclip.eval.intervals import t_quantile
from pedclip.eval.retrieval import chance_of_hit, ranks_of_first_hit
from pedclip.eval.statistics import (
    among,
    auc_metric,
    below_chance,
    dice_metric,
    estimate,
    mae_metric,
    mean_of,
    paired_difference,
    patient_weights,
    r2_metric,
    share_metric,
)


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


def test_intervals_equal_bca_written_out_patient_by_patient():
    random = np.random.default_rng(1)
    patients = [f"p{n // 3}" for n in range(60)]
    labels, scores = random.random(60) < 0.5, random.normal(size=60)
    got = estimate(auc_metric(labels, scores), patients, resamples=200, seed=5)
    values = np.array(
        [
            roc_auc_score(np.repeat(labels, times), np.repeat(scores, times))
            for times in patient_weights(patients, 200, seed=5).astype(int)
        ]
    )
    value = roc_auc_score(labels, scores)
    without = []
    for patient in sorted(set(patients)):
        kept = np.array([one != patient for one in patients])
        without.append(roc_auc_score(labels[kept], scores[kept]))
    pull = np.mean(without) - np.array(without)
    acceleration = (pull**3).sum() / (6 * (pull**2).sum() ** 1.5)
    tied = np.abs(values - value) < 1e-12
    bias = norm.ppf(np.mean((values < value) & ~tied) + np.mean(tied) / 2)
    wide = t.ppf(0.975, 19) * np.sqrt(20 / 19)
    ends = [norm.cdf(bias + (bias + side) / (1 - acceleration * (bias + side))) for side in (-wide, wide)]
    np.testing.assert_allclose([got.low, got.high], np.quantile(values, ends), atol=2e-4)


def test_the_interval_is_scipys_bca_where_patients_are_many():
    values = np.random.default_rng(6).exponential(size=400)
    theirs = bootstrap((values,), np.mean, n_resamples=9999, method="BCa", rng=0).confidence_interval
    ours = estimate(mae_metric(np.zeros(400), values), [str(n) for n in range(400)], resamples=9999)
    np.testing.assert_allclose([ours.low, ours.high], theirs, atol=0.006)


def test_leaving_out_groups_of_many_patients_gives_nearly_the_same_interval(monkeypatch):
    values = np.random.default_rng(7).exponential(size=600) ** 2
    metric, patients = mae_metric(np.zeros(600), values), [str(n) for n in range(600)]
    alone = estimate(metric, patients)
    monkeypatch.setattr("pedclip.eval.statistics.JACKKNIFE_GROUPS", 200)
    grouped = estimate(metric, patients)
    assert grouped != alone
    np.testing.assert_allclose([grouped.low, grouped.high], [alone.low, alone.high], rtol=0.02)


@pytest.mark.parametrize("freedom", [3, 5, 10, 30, 1000])
def test_the_t_quantile_is_scipys(freedom):
    assert t_quantile(0.975, freedom) == pytest.approx(t.ppf(0.975, freedom), rel=0.01)


def test_all_right_is_not_certain():
    patients = [str(n // 2) for n in range(60)]
    found = estimate(share_metric(np.ones(60)), patients)
    assert found.high == 1.0
    # the exact bound of Clopper and Pearson for 30 of 30
    assert found.low == pytest.approx(binomtest(30, 30).proportion_ci(method="exact").low)
    assert estimate(share_metric(np.zeros(60)), patients).high == pytest.approx(1 - found.low)
    apart = np.arange(60) < 10  # five patients: what the smaller class knows
    assert estimate(auc_metric(apart, apart), patients).low == pytest.approx(0.025 ** (1 / 5))
    both = mean_of([auc_metric(apart, apart), auc_metric(~apart, ~apart)])
    assert estimate(both, patients).low == pytest.approx(0.025 ** (1 / 5))
    assert estimate(among(share_metric(np.ones(20)), range(20)), patients).low == pytest.approx(0.025 ** (1 / 10))


def test_aucs_below_chance_are_flagged_also_where_the_whole_interval_is():
    patients = [str(n) for n in range(80)]
    labels = np.arange(80) % 2
    turned = estimate(auc_metric(labels, -labels + np.random.default_rng(0).normal(size=80) / 2), patients)
    assert below_chance(turned) == {"below_chance": True, "interval_below_chance": True}
    # a third of the pairs the wrong way round in eight images: below, and nobody knows
    few = estimate(auc_metric([1, 0, 1, 0, 1, 0, 1, 0], [1, 2, 3, 4, 4, 3, 1, 2]), list("abcdefgh"))
    assert few.value < 0.5
    assert below_chance(few) == {"below_chance": True, "interval_below_chance": False}
    scored = classify(["a", "b"] * 40, ["a", "b"], np.stack([labels, -labels], 1), patients, resamples=50).result
    assert scored["value"] == 0.0 and scored["below_chance"] and scored["interval_below_chance"]
    assert all(row["below_chance"] for row in scored["classes"])


numbers = st.integers(-4, 4)  # few values: many ties
rows_of_three = st.lists(st.tuples(numbers, numbers, st.integers(0, 3)), min_size=2, max_size=40)


@settings(max_examples=150, deadline=None)
@given(rows_of_three)
def test_every_metric_equals_scikit_learns_whatever_the_weights(rows):
    truth, said, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    assume(weights.sum() > 0)

    def got(metric) -> float:
        return float(metric(weights[None])[0])

    assert got(mae_metric(truth, said)) == pytest.approx(mean_absolute_error(truth, said, sample_weight=weights))
    hits = truth == said
    assert got(share_metric(hits)) == pytest.approx(accuracy_score(truth, said, sample_weight=weights))
    labels, probabilities = truth > 0, (said + 4) / 8
    brier = brier_score_loss(labels, probabilities, sample_weight=weights, labels=[False, True], pos_label=True)
    assert got(share_metric(brier_terms(labels, probabilities))) == pytest.approx(brier)
    kept = weights > 0
    if labels[kept].any() and not labels[kept].all():
        assert got(auc_metric(labels, said)) == pytest.approx(roc_auc_score(labels, said, sample_weight=weights))
    else:
        assert np.isnan(got(auc_metric(labels, said)))
    if len(set(truth[kept])) > 1:
        assert got(r2_metric(truth, said)) == pytest.approx(r2_score(truth, said, sample_weight=weights))
    else:
        assert np.isnan(got(r2_metric(truth, said)))


def test_r2_keeps_its_digits_far_from_nought():
    random = np.random.default_rng(0)
    truth = 1e6 + random.normal(size=50)
    said = truth + 0.3 * random.normal(size=50)
    assert plain(r2_metric(truth, said), 50) == pytest.approx(r2_score(truth, said), rel=1e-9)


def test_dice_is_the_mean_over_classes_of_the_images_that_have_each():
    scores = np.array([[0.5, np.nan], [0.7, 1.0], [np.nan, np.nan]])
    assert plain(dice_metric(scores), 3) == pytest.approx((0.6 + 1.0) / 2)
    assert dice_metric(scores)(np.array([[1.0, 3.0, 5.0]]))[0] == pytest.approx(((0.5 + 2.1) / 4 + 1.0) / 2)
    assert dice_metric(scores)(np.array([[1.0, 0.0, 1.0]]))[0] == pytest.approx(0.5)
    with pytest.raises(ValueError, match="none of the 1 images has any class"):
        dice_metric(np.array([[np.nan]]))


def test_pairs_with_gaps_or_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="1 of 2 pairs have a value that is not finite"):
        mae_metric([1, np.nan], [1, 2])
    with pytest.raises(ValueError, match=r"truth is \(2,\) and what was said \(3,\)"):
        r2_metric([1, 2], [1, 2, 3])


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
    alike = paired_difference(good, good, patients).to_dict()
    assert alike["value"] == 0 and alike["high"] is None and alike["no_interval"] == "the resamples do not differ"


def test_an_interval_without_spread_is_none_but_for_the_exact_bound_at_0_and_1():
    patients = [str(n // 2) for n in range(40)]
    half = estimate(share_metric(np.arange(40) % 2), patients)  # every patient has one right and one wrong
    assert (half.value, half.low, half.high) == (0.5, None, None)
    assert half.no_interval == "the resamples do not differ"
    assert estimate(mae_metric(np.zeros(40), np.full(40, 3.0)), patients).low is None
    right = estimate(share_metric(np.ones(40)), patients)
    assert right.high == 1 and right.low == pytest.approx(0.025 ** (1 / 20)) and right.no_interval is None
    few = np.repeat([True, False], [3, 30])
    perfect = estimate(auc_metric(few, few + 0.0), [str(n) for n in range(33)])
    assert perfect.low == pytest.approx(0.025 ** (1 / 3))  # exact, however few


def test_few_patients_in_all_have_no_interval_and_a_macro_names_its_rare_labels():
    found = estimate(share_metric([0.2, 0.4, 0.5, 0.1] * 2), [str(n) for n in range(8)])
    assert found.low is None and found.no_interval == "8 patients"
    random = np.random.default_rng(0)
    labels = ["a"] * 30 + ["b"] * 30 + ["c"] * 6
    scored = classify(labels, ["a", "b", "c"], random.normal(size=(66, 3)), [str(n) for n in range(66)], resamples=99)
    assert scored.result["few_patients"] == ["c"] and scored.result["low"] is not None
    rows = {row["class"]: row for row in scored.result["classes"]}
    assert rows["c"]["low"] is None and rows["c"]["no_interval"] == "6 patients on one side" and "value" in rows["c"]
    assert rows["a"]["low"] is not None and (rows["c"]["patients"], rows["c"]["patients_without"]) == (6, 60)
    two = classify(["a"] * 6 + ["b"] * 12, ["a", "b"], random.normal(size=(18, 2)), list("abcdefghijklmnopqr"))
    assert two.result["low"] is None  # the headline is about one label


def test_a_difference_of_two_scores_of_a_rare_label_has_no_interval():
    labels = np.arange(50) < 5
    metrics = [auc_metric(labels, np.random.default_rng(seed).normal(size=50)) for seed in (0, 1)]
    found = paired_difference(*metrics, [str(n) for n in range(50)], 99)
    assert found.low is None and found.no_interval == "5 patients on one side"
    assert estimate(mean_of(metrics), [str(n) for n in range(50)], 99).low is None  # draws of the same label


def test_a_negative_number_of_resamples_is_named():
    with pytest.raises(ValueError, match="resamples is -5; 0 makes no interval"):
        estimate(share_metric([0.0, 1.0]), ["a", "b"], -5)


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
