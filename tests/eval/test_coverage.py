"""95 % intervals cover the truth about 95 times in 100, with several images a patient and with few patients.

400 simulated data sets a case. With 400 the share that covers is known to about 2 %: 90 to 97 % is asked for where
there are 30 patients or more. What percentile intervals would have covered is counted beside it.
"""

import numpy as np
import pytest
from scipy.stats import norm

from pedclip.eval.statistics import auc_metric, estimate, mae_metric, patient_weights, share_metric

DATA_SETS = 400
RESAMPLES = {20: 500, 30: 500, 80: 200}  # by patients: the tails of few are long


def clusters(random, patients):
    """Whose each image is: one to three images a patient."""
    return np.repeat(np.arange(patients), random.integers(1, 4, patients))


def alike(random, of_image):
    """Standard normals with a correlation of a half within a patient."""
    effect = random.normal(size=of_image.max() + 1)[of_image]
    return np.sqrt(0.5) * effect + np.sqrt(0.5) * random.normal(size=len(of_image))


def aucs(apart, prevalence=0.5):
    def draw(random, of_image):
        labels = (random.random(of_image.max() + 1) < prevalence)[of_image]
        return auc_metric(labels, apart * labels + alike(random, of_image)) if len(set(labels)) == 2 else None

    return draw, norm.cdf(apart / np.sqrt(2))


def shares(share):
    return lambda random, of_image: share_metric(alike(random, of_image) < norm.ppf(share)), share


def maes():
    def draw(random, of_image):
        scale = np.exp(0.5 * random.normal(size=of_image.max() + 1))[of_image]  # some patients are hard
        return mae_metric(np.zeros(len(of_image)), 8 * scale * alike(random, of_image))

    return draw, 8 * np.exp(0.125) * np.sqrt(2 / np.pi)


def coverage(case, patients, percentile=False):
    draw, truth = case
    random, covered, measured = np.random.default_rng(patients), 0, 0
    for seed in range(DATA_SETS):
        of_image = clusters(random, patients)
        metric = draw(random, of_image)
        if metric is None:
            continue
        measured += 1
        names = [str(number) for number in of_image]
        if percentile:
            low, high = np.nanquantile(metric(patient_weights(names, RESAMPLES[patients], seed)), [0.025, 0.975])
        else:
            found = estimate(metric, names, RESAMPLES[patients], seed)
            if found.low is None:  # too few patients on a side, by chance of the draw
                measured -= 1
                continue
            low, high = found.low, found.high
        covered += low - 1e-12 <= truth <= high + 1e-12
    return covered / measured


CASES = {
    "AUC .76": aucs(1.0),
    "AUC .94": aucs(2.2),
    "share .6": shares(0.6),
    "share .9": shares(0.9),
    "MAE": maes(),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("patients", [30, 80])
def test_intervals_cover(name, patients):
    assert 0.90 <= coverage(CASES[name], patients) <= 0.975


def test_a_class_of_sixteen_patients_is_covered():
    assert 0.90 <= coverage(aucs(1.0, 0.2), 80) <= 0.975


@pytest.mark.parametrize(("positives", "images"), [(1, 5), (3, 2), (9, 1)])
def test_a_label_of_few_patients_has_a_value_and_no_interval(positives, images):
    """One positive patient of five images would be covered 35 times in 100, three of two images 79 times."""
    patients = [f"p{n // images}" for n in range(positives * images)] + [f"n{n}" for n in range(60)]
    labels = np.array([name.startswith("p") for name in patients])
    metric = auc_metric(labels, labels + np.random.default_rng(0).normal(size=len(labels)))
    found = estimate(metric, patients, 200)
    assert 0 < found.value < 1 and found.low is None and found.high is None
    assert found.to_dict()["no_interval"] == f"{positives} patient{'s' if positives > 1 else ''} on one side"


def test_a_share_that_is_often_all_right_errs_on_the_safe_side():
    assert coverage(shares(0.96), 20) >= 0.93
    assert coverage(shares(0.96), 20, percentile=True) < 0.85


def test_percentile_intervals_would_cover_too_seldom_for_good_scores_of_few_patients():
    assert coverage(aucs(2.2), 20, percentile=True) < 0.89
    assert coverage(aucs(2.2), 20) >= 0.90
