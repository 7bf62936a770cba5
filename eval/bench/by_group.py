"""An answer by subgroup: age band, sex, body part, device, as far as the data set tells them of its test images."""

# Shapes: N images
from collections.abc import Sequence
from typing import Any

from ...processing.data.sample import Sample
from ..subgroups import groups_by, implausible_ages, subgroups
from .asked import Answer

# what is asked -> the columns that may tell it, the first one that is there
COLUMNS = {
    "age": ("age",),
    "sex": ("sex",),
    "body part": ("body_part",),
    "device": ("device", "device_manufacturer"),
}
NOTE = (
    "A mean over labels is, in a subgroup, the mean over those labels that some of its images have and some have not, "
    "so subgroups may be means of different labels. Nothing is corrected for the number of subgroups."
)


def by_group(
    answer: Answer, samples: Sequence[Sample], lower_is_better: bool, resamples: int, seed: int
) -> dict[str, Any]:
    """{"age": {"groups", "gap", "unknown", ...}, ...}: only what tells at least two groups of test images apart."""
    chosen = list(samples) if answer.rows is None else [samples[row] for row in answer.rows]
    found: dict[str, Any] = {}
    for asked, columns in COLUMNS.items():
        groups = _groups(chosen, columns)
        if len({group for group in groups if group is not None}) > 1:
            found[asked] = subgroups(
                answer.metric,
                groups,
                answer.patients,
                lower_is_better=lower_is_better,
                chance=0.5 if "AUC" in answer.result.get("metric", "") else None,
                resamples=resamples,
                seed=seed,
            )
            if asked == "age":
                found[asked]["implausible"] = implausible_ages(chosen)
    return found


def _groups(samples: Sequence[Sample], columns: Sequence[str]) -> list[str | None]:
    known = {name for sample in samples for name in sample.row} | {"age", "sex", "body_part"}
    return next((groups_by(samples, column) for column in columns if column in known), [None] * len(samples))
