"""The benchmark's figure: each task on its own scale, each run with its interval."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import pyplot as plt

from ..plots import COLORS, picture


def task_plot(runs: Sequence[Mapping[str, Any]], paper: Mapping[str, Mapping[str, Any]]) -> str:
    """Value and interval of every run by task; dotted: chance; diamond: what the paper prints for PedCLIP."""
    names = list(dict.fromkeys(task for run in runs for task, entry in run["entries"].items() if "value" in entry))
    names = names or list(runs[0]["entries"])
    figure, all_axes = plt.subplots(len(names), 1, figsize=(9, 0.5 + 0.6 * len(names)), squeeze=False)
    for axes, name in zip(all_axes[:, 0], names, strict=True):
        first = None
        for number, run in enumerate(runs):
            entry = run["entries"].get(name, {})
            if "value" not in entry:
                continue
            first = first or entry
            color, height = COLORS[number % len(COLORS)], -number
            if entry["low"] is not None:
                axes.plot([entry["low"], entry["high"]], [height, height], color=color, linewidth=1.6)
            axes.plot(entry["value"], height, "o", color=color, markersize=5)
        if first is not None:
            axes.axvline(first["chance"], color="#999999", linewidth=0.8, linestyle=":")
            if first["metric"].startswith(("macro AUC", "AUC", "Dice", "accuracy", "mean Dice")):
                axes.set_xlim(0, 1)
            else:
                axes.set_xlim(left=0)
        if name in paper:
            axes.plot(paper[name]["PedCLIP"], 0.6, "D", color="#222222", markersize=4, clip_on=False)
        axes.set_ylim(-len(runs) + 0.3, 1)
        axes.set_yticks([])
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
        axes.tick_params(axis="x", labelsize=7)
        axes.spines[["top", "right", "left"]].set_visible(False)
    for number, run in enumerate(runs):
        all_axes[0, 0].plot([], [], "o-", color=COLORS[number % len(COLORS)], label=run["name"])
    all_axes[0, 0].plot([], [], "D", color="#222222", label="the paper's PedCLIP, other data", linestyle="none")
    all_axes[0, 0].legend(fontsize=8, frameon=False, ncols=len(runs) + 1, loc="lower left", bbox_to_anchor=(0, 1))
    figure.tight_layout(h_pad=0.1)
    return picture(figure, "every task with its interval; dotted: chance")
