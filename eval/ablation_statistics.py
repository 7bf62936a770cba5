"""The numbers of both ablation figures: means over seeds, with intervals over the patients that all arms share."""

# Shapes: R resamples, N test films
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .ablation_design import ROLES, TARGET, Design
from .statistics import RESAMPLES, Metric, among, auc_metric, estimate, mean_of, paired_difference

MEAN = "mean"  # of all parts, each counting the same
MLP, MLP_TARGET, MOBE = "MLP", "MLP-target", "MoBE"  # as in the paper's Fig. 5


def part_metric(predictions: Mapping[str, Mapping[str, Any]]) -> Metric:
    """The mean AUC over a part's findings, as a function of the weights of all test films."""
    return mean_of(
        [
            among(auc_metric(np.array(one["positive"]) == 1, one["scores"]), one["films"])
            for one in predictions.values()
        ]
    )


def metrics_of(result: Mapping[str, Any], parts: Sequence[str]) -> dict[str, Metric]:
    """A run's metric by part, and the mean of all parts where it was asked about all."""
    found = {part: part_metric(result["predictions"][part]) for part in parts if part in result["predictions"]}
    return {MEAN: mean_of(list(found.values())), **found} if len(found) == len(parts) else found


def summary(
    design: Design, results: Sequence[Mapping[str, Any]], patients: Sequence[str], resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Both figures' numbers from the results of all runs; `patients` (N,) are those of the test films.

    Intervals are over patients, with the models as they are: how another seed would differ is shown by the `seeds`,
    one value each, and is not in the interval.
    """
    metrics: dict[tuple[str, str | None, int], dict[str, Metric]] = {}
    for one in results:
        metrics[one["arm"], one["part"], one["seed"]] = metrics_of(one, design.parts)

    def of_arm(arm: str, shown: str, part: str | None = None) -> list[Metric]:
        return [metrics[arm, part, seed][shown] for seed in design.seeds]

    def value(ours: list[Metric]) -> dict[str, Any]:
        found = estimate(mean_of(ours), patients, resamples).to_dict()
        return found | {"seeds": [_plain(one, len(patients)) for one in ours]}

    def difference(ours: list[Metric], theirs: list[Metric]) -> dict[str, Any]:
        found = paired_difference(mean_of(ours), mean_of(theirs), patients, resamples).to_dict()
        pairs = zip(ours, theirs, strict=True)
        return found | {"seeds": [_plain(one, len(patients)) - _plain(other, len(patients)) for one, other in pairs]}

    shown_parts = [MEAN, *design.parts]
    layer = {shown: {role: value(of_arm(role, shown)) for role in ROLES} for shown in shown_parts}
    against_none = {
        shown: {role: difference(of_arm(role, shown), of_arm("none", shown)) for role in ROLES if role != "none"}
        for shown in shown_parts
    }
    interference, against_target = {}, {}
    for part in design.parts:
        methods = {MLP: of_arm("none", part), MLP_TARGET: of_arm(TARGET, part, part), MOBE: of_arm("last", part)}
        interference[part] = {name: value(ours) for name, ours in methods.items()}
        against_target[part] = {name: difference(methods[name], methods[MLP_TARGET]) for name in (MLP, MOBE)}
    return {
        "layer": layer,
        "layer_difference_to_none": against_none,
        "interference": interference,
        "difference_to_target": against_target,
        "findings": {
            part: {name: _films(one) for name, one in results[0]["predictions"][part].items()} for part in design.parts
        },
    }


def _plain(metric: Metric, films: int) -> float:
    return float(metric(np.ones((1, films)))[0])


def _films(one: Mapping[str, Any]) -> dict[str, int]:
    return {"films": len(one["films"]), "with": sum(one["positive"])}
