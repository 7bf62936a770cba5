"""A metric by subgroup (age, sex, body part, device, any column), and how far the worst lies from the best.

The gap is that between the two groups which these very images show as best and worst: with many small groups some gap
is there by chance, and its interval does not know how the pair was found.
"""

# Shapes: N images, n images of a subgroup, R resamples
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..processing.data.sample import Sample
from .statistics import RESAMPLES, BoundedMetric, Metric, below_chance, estimate

AGE_BANDS = ((0, 2), (2, 6), (6, 12), (12, 18), (18, 130))  # years, from and below; ours
FEWEST = 20  # patients below whom no number is given; ours: intervals cover too seldom below it
GAP_NOTE = "best and worst were chosen by these images; the interval does not account for that choice"


def subgroups(
    metric: Metric,
    groups: Sequence[str | None],
    patients: Sequence[str],
    *,
    labels: Sequence[Any] | None = None,
    fewest: int = FEWEST,
    lower_is_better: bool = False,
    chance: float | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """{"groups": a row a subgroup, "gap": best minus worst, "unknown": images without a group}.

    `metric` is over the N images; `groups` (N,) names each one's, None where it is not known. A subgroup with fewer
    than `fewest` patients, with images of one kind of `labels` only, or where the metric has no value, says "too few"
    and why; with `chance` a row says whether it is below it. The gap is
    positive for either direction, from the same resamples of patients for both.
    """
    for name, column in (("groups", groups), ("labels", labels)):
        if column is not None and len(column) != len(patients):
            raise ValueError(f"{len(column)} {name} for {len(patients)} images; give one each")
    if fewest < 2:
        raise ValueError(f"fewest is {fewest}; an interval needs at least 2 patients")
    kinds = np.array([str(group) for group in groups])
    rows: list[dict[str, Any]] = []
    places_of: dict[str, np.ndarray] = {}
    for name in sorted({group for group in groups if group is not None}):
        places = np.flatnonzero((kinds == name) & np.array([group is not None for group in groups]))
        own = [patients[place] for place in places.tolist()]
        row: dict[str, Any] = {"group": name, "n": len(places), "patients": len(set(own))}
        of_group = of_subgroup(metric, places, len(patients))
        why = _too_few(
            row["patients"], fewest, None if labels is None else [labels[place] for place in places.tolist()]
        )
        if why is None and np.isnan(of_group(np.ones((1, len(places))))[0]):
            why = "the metric has no value here; images of one kind only"
        if why is None:
            found = estimate(of_group, own, resamples, seed)
            row |= {key: value for key, value in found.to_dict().items() if key not in ("n", "patients")}
            row |= below_chance(found, chance) if chance is not None else {}
            places_of[name] = places
        else:
            row["too_few"] = f"too few: {why}"
        rows.append(row)
    return {
        "groups": rows,
        "gap": _gap(metric, rows, places_of, patients, lower_is_better, resamples, seed),
        "unknown": sum(group is None for group in groups),
        "fewest_patients": fewest,
    }


def groups_by(samples: Sequence[Sample], column: str) -> list[str | None]:
    """Each image's subgroup: `age` in bands of years, `sex`, `body_part`, or any column of the rows (N,)."""
    if column == "age":
        return [age_band(sample.age_months) for sample in samples]
    if column in ("sex", "body_part"):
        return [getattr(sample, column) for sample in samples]
    columns = sorted({name for sample in samples for name in sample.row})
    if column not in columns:
        raise ValueError(
            f"no row has a column {column!r}; group by age, sex, body_part or one of {', '.join(columns) or 'none'}"
        )
    values = [sample.row.get(column) for sample in samples]
    return [None if value is None or value != value or not str(value).strip() else str(value) for value in values]


def age_band(months: float | None) -> str | None:
    """As "06 to under 12 years", with a nought in front so that names sort as ages do; None for an implausible age."""
    if months is None:
        return None
    return next((f"{low:02} to under {high:02} years" for low, high in AGE_BANDS if low <= months / 12 < high), None)


def implausible_ages(samples: Sequence[Sample]) -> int:
    """How many images have an age that no band holds: it counts as unknown."""
    return sum(sample.age_months is not None and age_band(sample.age_months) is None for sample in samples)


def of_subgroup(metric: Metric, places: np.ndarray, total: int) -> Metric:
    """A metric over all N images as a function of the weights (R, n) of some, the others counting nothing."""

    def of_some(weights: np.ndarray) -> np.ndarray:
        spread = np.zeros((len(weights), total))
        spread[:, places] = weights
        return metric(spread)

    if not isinstance(metric, BoundedMetric):
        return of_some
    inside = [np.flatnonzero(np.isin(places, group)) for group in metric.groups]
    sides = tuple(np.flatnonzero(np.isin(places, side)) for side in metric.sides)
    return BoundedMetric(of_some, tuple(group for group in inside if len(group)), sides)


def _too_few(patients: int, fewest: int, labels: Sequence[Any] | None) -> str | None:
    if patients < fewest:
        return f"{patients} patients, fewer than {fewest}"
    if labels is not None and len(set(labels)) < 2:
        return "images of one class only"
    return None


def _gap(
    metric: Metric,
    rows: Sequence[dict[str, Any]],
    places_of: dict[str, np.ndarray],
    patients: Sequence[str],
    lower_is_better: bool,
    resamples: int,
    seed: int,
) -> dict[str, Any] | None:
    """Best minus worst on the same resamples of the patients of both; None with fewer than two subgroups measured."""
    measured = sorted(
        (row for row in rows if "value" in row), key=lambda row: row["value"], reverse=not lower_is_better
    )
    if len(measured) < 2:
        return None
    best, worst = measured[0]["group"], measured[-1]["group"]
    both = np.concatenate([places_of[best], places_of[worst]])
    first = len(places_of[best])
    sign = -1 if lower_is_better else 1
    of_best, of_worst = (of_subgroup(metric, places_of[name], len(patients)) for name in (best, worst))

    def difference(weights: np.ndarray) -> np.ndarray:
        return sign * (of_best(weights[:, :first]) - of_worst(weights[:, first:]))

    found = estimate(difference, [patients[place] for place in both], resamples, seed)
    return {"best": best, "worst": worst, **found.to_dict(), "note": GAP_NOTE}
