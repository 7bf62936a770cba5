"""The figure of docs/speed: every ratio of results/{mobe,train_step,onnx_latency}.json, its quartiles and its goal.

python benchmarks/speed_plot.py docs/speed/ratios.svg
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")  # no window, no display

from matplotlib import pyplot as plt

RESULTS = Path(__file__).parent / "results"


def rows() -> list[tuple[str, dict[str, Any]]]:
    """(name, {ratio, quartiles, goal}) of every file that is there."""
    found: list[tuple[str, dict[str, Any]]] = []
    if (file := RESULTS / "mobe.json").is_file():
        found += json.loads(file.read_text(encoding="utf-8"))["comparisons"].items()
    if (file := RESULTS / "train_step.json").is_file():
        result = json.loads(file.read_text(encoding="utf-8"))
        for part in ("forward and backward", "with fused AdamW"):
            row = result[part]["plain dual encoder"]
            found.append((f"whole step, {part}: plain dual encoder", {"goal": result["goal"], **row}))
    if (file := RESULTS / "onnx_latency.json").is_file():
        found += json.loads(file.read_text(encoding="utf-8"))["comparisons"].items()
    return [(name, row) for name, row in found if "goal" in row]


def main() -> int:
    out, shown = Path(sys.argv[1]), rows()
    figure, axes = plt.subplots(figsize=(9, 0.8 + 0.36 * len(shown)))
    for place, (_, row) in enumerate(shown):
        low, high = row["quartiles"]
        axes.plot([low, high], [place, place], color="#1f5fa8", linewidth=2)
        axes.plot(row["ratio"], place, "o", color="#1f5fa8", markersize=5)
        axes.plot(row["goal"], place, "|", color="#c2571a", markersize=14, markeredgewidth=2)
        axes.annotate(f"{row['ratio']:.2f}", (high, place), (6, -3), textcoords="offset points", fontsize=8)
    axes.axvline(1, color="#999999", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(shown)), [name for name, _ in shown], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel(
        "time, ours over the one named (median of pairs, quartiles; orange: the goal; below 1: ours is faster)"
    )
    axes.spines[["top", "right"]].set_visible(False)
    with matplotlib.rc_context({"svg.hashsalt": "speed"}):
        figure.savefig(out, bbox_inches="tight", metadata={"Date": None})
    print(f"wrote {out}: {len(shown)} ratios")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
