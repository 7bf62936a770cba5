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
            elif not first["metric"].startswith("difference"):
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


def reliability_panels(entries: Mapping[str, Mapping[str, Any]], across: int = 4) -> str | None:
    """How often what each task stated came true, a panel a task; None where no task states probabilities."""
    stated = {name: entry["calibration"] for name, entry in entries.items() if entry.get("calibration")}
    if not stated:
        return None
    down = -(-len(stated) // across)
    figure, all_axes = plt.subplots(
        down, across, figsize=(2.4 * across, 2.5 * down), squeeze=False, sharex=True, sharey=True
    )
    for axes in all_axes.flat[len(stated) :]:
        axes.set_axis_off()
    for axes, (name, found) in zip(all_axes.flat, stated.items(), strict=False):
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
        most = max(row["n"] for row in found["reliability"])
        for row in found["reliability"]:
            if row["low"] is not None:
                axes.plot([row["confidence"]] * 2, [row["low"], row["high"]], color=COLORS[0], linewidth=1.2)
            axes.plot(
                row["confidence"], row["value"], "o", color=COLORS[0], markersize=2 + 5 * (row["n"] / most) ** 0.5
            )
        axes.set_title(f"{name}\nECE {found['value']:.3f}", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
    figure.supxlabel("stated probability; dotted: calibrated; larger: more images", fontsize=8)
    figure.supylabel("share that came true", fontsize=8)
    figure.tight_layout()
    return picture(figure, "reliability of every task that states probabilities")
