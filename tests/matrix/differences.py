"""What an opened model folder answers, compared with what the objects that were saved answered."""

from collections import defaultdict
from typing import Any

import numpy as np

EXACT = ("weights", "pixels", "tokens")  # copied, or computed one element at a time: nothing may move
# Of the largest number of an output. The same weights at another place in memory may be summed in another order, and
# so may a release that writes the same sum differently; float32 keeps 1.2e-7 of a number, and over the tiny models
# here that becomes a few times as much. A wrong weight, mask or normalization moves far more.
TOLERANCE = 1e-6


def compare(saved: dict[str, np.ndarray], opened: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """A row for each folder; both sides are named FOLDER/KIND/NAME. `wrong` lists what may not differ and does."""
    if not saved:
        return [{"folder": "all", "compared": 0, "difference": 0.0, "wrong": ["no folder was saved"]}]
    found: dict[str, dict[str, Any]] = defaultdict(lambda: {"compared": 0, "difference": 0.0, "wrong": []})
    for name in sorted(saved.keys() | opened.keys()):
        folder, kind, _ = name.split("/", 2)
        row = found[folder]
        row["compared"] += 1
        if name not in saved or name not in opened:
            row["wrong"].append(f"{name} was {'saved' if name in saved else 'opened'} only")
            continue
        then, now = saved[name], opened[name]
        if (then.shape, then.dtype) != (now.shape, now.dtype):
            row["wrong"].append(f"{name} is {now.dtype} {now.shape}, was {then.dtype} {then.shape}")
        elif kind in EXACT:
            if then.tobytes() != now.tobytes():
                row["wrong"].append(f"{name} differs in {np.count_nonzero(then != now)} of {then.size} elements")
        else:
            difference = relative_difference(then, now)
            row["difference"] = max(row["difference"], difference)
            if not difference <= TOLERANCE:
                row["wrong"].append(f"{name} differs by {difference:.2g} of its largest number")
    return [{"folder": folder, **row} for folder, row in found.items()]


def relative_difference(then: np.ndarray, now: np.ndarray) -> float:
    """The largest difference over the largest number; infinite where either side is not finite."""
    if not (np.isfinite(then).all() and np.isfinite(now).all()):
        return float("inf")
    then, now = then.astype(np.float64), now.astype(np.float64)
    largest = np.abs(then).max()
    moved = np.abs(now - then).max()
    return float(moved / largest) if largest else float("inf" if moved else 0.0)
