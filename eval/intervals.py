"""What interval a set of resampled values gives: bias-corrected and accelerated, widened for few patients.

A percentile interval is too narrow by a factor sqrt((P - 1) / P) and knows no t distribution, and it leans to the
wrong side where a score is near its bound. BCa (Efron 1987, J. Am. Stat. Assoc. 82:171) mends the second, wider levels
(Hesterberg 2015, Am. Stat. 69:371) the first.
"""

# Shapes: R resamples, P patients
from statistics import NormalDist

import numpy as np

NORMAL = NormalDist()
LEVEL = 0.95
NO_SPREAD = "the resamples do not differ"  # why there is no interval


def bca_interval(
    value: float, drawn: np.ndarray, without_each: np.ndarray, patients: int, level: float = LEVEL
) -> tuple[float, float] | None:
    """The interval of a value from its resamples (R,) and its values without each patient (P,), NaN left out of both.

    The share of resamples below the value gives the bias, half of the ties counting; the skewness of the jackknife the
    acceleration. None where the resamples do not differ, or both ends fall on one of them: that is no certainty.
    """
    drawn, without_each = drawn[~np.isnan(drawn)], without_each[~np.isnan(without_each)]
    if not len(drawn) or np.allclose(drawn, drawn[0], rtol=1e-10, atol=1e-12):
        return None
    tied = np.isclose(drawn, value, rtol=1e-10, atol=1e-12)  # the same fraction may differ in its last bit
    below = ((drawn[~tied] < value).sum() + 0.5 * tied.sum()) / len(drawn)
    bias = NORMAL.inv_cdf(float(np.clip(below, 0.5 / len(drawn), 1 - 0.5 / len(drawn))))
    pull = without_each.mean() - without_each if len(without_each) else np.zeros(1)
    squares = float((pull**2).sum())
    acceleration = float((pull**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0
    wide = t_quantile((1 + level) / 2, patients - 1) * (patients / (patients - 1)) ** 0.5
    ends = []
    for side in (-wide, wide):
        reached = bias + side
        rest = 1 - acceleration * reached
        # beyond the pole the transformation turns round: take the outermost resample
        ends.append(NORMAL.cdf(bias + reached / rest) if rest > 0 else float(side > 0))
    low, high = np.quantile(drawn, ends)
    return (float(low), float(high)) if low < high else None


def bound_without_spread(value: float, patients: int, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a share that is 0, or 1, for every one of independent patients (Clopper and Pearson 1934).

    With 30 patients all right it is 0.884 to 1.
    """
    far = ((1 - level) / 2) ** (1 / patients)
    return (far, 1.0) if value == 1 else (0.0, 1 - far)


def t_quantile(share: float, freedom: int) -> float:
    """Student's t, by the expansion in 1 / freedom (Abramowitz and Stegun 26.7.5), within 1 % from 3 degrees on."""
    z = NORMAL.inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))
