"""How well curation assigns sentences: shares with intervals over patients, from counts by study.

precision     of the pairs (sentence, part) that the engine has, the share that the truth has
recall        of the truth's pairs, the share that the engine has; f1 is their harmonic mean
history_leak  of the truth's sentences of history, comparison, technique and what is irrelevant, the share that the
              engine has under some part
omission      of the sentences that speak of a filmed part, the share that is under none
duplication   of the same, the share that is under a part that it does not speak of
unassigned    of all sentences but headings, the share that the engine left over as `unassigned`
same_ends     of the same, the share that the engine's splitting ends at the same letters
ungrounded    of the pieces of text that a free-text engine gave, the share that the report does not have; engines
              that answer by number have none, by construction
schema_failures  of the answers of a model, the share that broke the schema
fallback      of the studies, the share that the rules answered in the engine's place
"""

# Shapes: S studies, R resamples
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..processing.curation.labelled import CONTEXT
from ..processing.curation.measure import StudyCounts
from .statistics import RESAMPLES, BoundedMetric, estimate

MEASURES = (
    "precision",
    "recall",
    "f1",
    "history_leak",
    "omission",
    "duplication",
    "unassigned",
    "same_ends",
    "ungrounded",
    "schema_failures",
    "fallback",
)


def summarise(counts: Sequence[StudyCounts], resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """Every measure over all studies, precision, recall and f1 by part too; null where nothing was there to count."""
    if not counts:
        raise ValueError("there are no studies; give a file with at least one labelled study")
    patients = [one.patient_id for one in counts]
    right, extra, missed = (_sums(counts, name) for name in ("right", "extra", "missed"))
    columns = {
        **_columns(right, extra, missed),
        "history_leak": (_sums(counts, "leaked"), _sums(counts, "context")),
        "omission": (_column(counts, "omitted"), _column(counts, "speaking")),
        "duplication": (_column(counts, "duplicated"), _column(counts, "speaking")),
        "unassigned": (_column(counts, "unassigned"), _column(counts, "sentences")),
        "same_ends": (_column(counts, "same_ends"), _column(counts, "sentences")),
        "ungrounded": (_column(counts, "ungrounded"), _column(counts, "kept") + _column(counts, "ungrounded")),
        "schema_failures": (_column(counts, "invalid"), _column(counts, "answers")),
        "fallback": (_column(counts, "fallback"), np.ones(len(counts))),
    }
    experts = sorted({name for one in counts for name in (one.right | one.extra | one.missed)})
    return {
        "studies": len(counts),
        "patients": len(set(patients)),
        "sentences": int(_column(counts, "sentences").sum()),
        "unlabelled": {
            "sentences": int(_column(counts, "unlabelled").sum()),
            "under a part": int(_column(counts, "unlabelled_kept").sum()),
        },
        "measures": {name: _share(*columns[name], patients, resamples, seed) for name in MEASURES},
        "leak_by_kind": {
            kind: _share(_column(counts, "leaked", kind), _column(counts, "context", kind), patients, resamples, seed)
            for kind in CONTEXT
        },
        "by_part": {
            expert: {
                name: _share(*pair, patients, resamples, seed)
                for name, pair in _columns(
                    *(_column(counts, part, expert) for part in ("right", "extra", "missed"))
                ).items()
            }
            for expert in experts
        },
    }


def table(result: dict[str, Any]) -> str:
    """The summary as lines of text."""
    lines = [
        f"{result['studies']} studies, {result['patients']} patients, {result['sentences']} sentences; 95 % intervals "
        "over patients",
        "",
    ]
    lines += [f"{name.replace('_', ' '):<18}{shown(result['measures'][name])}" for name in MEASURES]
    if (without := result["unlabelled"])["sentences"]:
        lines += [
            "",
            f"{without['sentences']} sentences of the engine have no label, {without['under a part']} of them stand "
            "under a part: no measure counts them. Label whole reports",
        ]
    lines += ["", "history leak by kind"]
    lines += [f"  {kind:<16}{shown(found)}" for kind, found in result["leak_by_kind"].items()]
    lines += ["", f"{'body part':<18}{'f1':<26}{'precision':<26}{'recall':<26}"]
    for expert, found in result["by_part"].items():
        cells = "".join(f"{shown(found[name]):<26}" for name in ("f1", "precision", "recall"))
        lines.append(f"{expert.replace('_', ' '):<18}{cells}".rstrip())
    return "\n".join(lines)


def shown(found: dict[str, Any]) -> str:
    """0.981 (0.975 to 0.987)"""
    if found["value"] is None:
        return "none to count"
    interval = "" if found["low"] is None else f" ({found['low']:.3f} to {found['high']:.3f})"
    return f"{found['value']:.3f}{interval}"


def ratio_metric(above: np.ndarray, below: np.ndarray) -> BoundedMetric:
    """The sum of one column over the sum of another, (S,) each, as a function of weights; NaN over nothing."""

    def metric(weights: np.ndarray) -> np.ndarray:
        total = weights @ below
        return np.divide(weights @ above, total, out=np.full(len(total), np.nan), where=total > 0)

    return BoundedMetric(metric, (np.flatnonzero(below),))


def _columns(right: np.ndarray, extra: np.ndarray, missed: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        "precision": (right, right + extra),
        "recall": (right, right + missed),
        "f1": (2 * right, 2 * right + extra + missed),
    }


def _share(above: np.ndarray, below: np.ndarray, patients: Sequence[str], resamples: int, seed: int) -> dict[str, Any]:
    if not below.any():
        return {"value": None, "low": None, "high": None, "count": 0, "of": 0}
    found = estimate(ratio_metric(above, below), patients, resamples, seed)
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "count": int(above.sum()),
        "of": int(below.sum()),
    }


def _column(counts: Iterable[StudyCounts], name: str, key: str | None = None) -> np.ndarray:
    fields = (vars(one)[name] for one in counts)
    return np.array([float(value if key is None else value[key]) for value in fields])


def _sums(counts: Iterable[StudyCounts], name: str) -> np.ndarray:
    return np.array([float(vars(one)[name].total()) for one in counts])
