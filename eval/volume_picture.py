"""One study as a picture: its slices, how much each counted, and what the model says of it."""

# Shapes: S slices, H height, W width
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("svg")  # no window, no display

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from .plots import COLORS

COLUMNS = 12


def study_figure(
    slices: np.ndarray,
    weights: Sequence[float] | np.ndarray,
    scores: Mapping[str, float],
    shows: Sequence[int] | None = None,
    title: str = "",
) -> Figure:
    """`slices` (S, H, W) 0..255 in frames as strong as their weights (S,), the weights as bars, `scores` from 0 to 1.

    `shows`, where it is known, are the numbers of the slices in which the finding lies; they are marked.
    """
    weights = np.asarray(weights, float)
    if len(weights) != len(slices):
        raise ValueError(f"there are {len(slices)} slices and {len(weights)} weights; give one weight a slice")
    rows = -(-len(slices) // COLUMNS)
    figure = plt.figure(figsize=(COLUMNS * 0.8, rows * 0.95 + 1.9))
    grid = figure.add_gridspec(rows + 1, COLUMNS, height_ratios=[0.95] * rows + [1.5], hspace=0.12, wspace=0.06)
    there = set(shows or ())
    for number, one in enumerate(slices):
        axes = figure.add_subplot(grid[number // COLUMNS, number % COLUMNS])
        axes.imshow(one, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_color(COLORS[1])
            spine.set_linewidth(4 * weights[number] / weights.max())
        axes.set_title(str(number), fontsize=6, pad=1.5, color=COLORS[0] if number in there else "#666666")
    below = grid[rows, :].subgridspec(1, 2, width_ratios=[3, 2], wspace=0.45)
    bars = figure.add_subplot(below[0])
    bars.bar(range(len(weights)), weights, color=[COLORS[0] if n in there else "#bbbbbb" for n in range(len(weights))])
    bars.axhline(1 / len(weights), color="#999999", linewidth=0.8, linestyle=":")
    bars.set_xlabel(
        "slice, from the lowest up; " + ("blue: shows the finding; " if there else "") + "dotted: all alike"
    )
    bars.set_ylabel("attention")
    said = figure.add_subplot(below[1])
    said.barh(range(len(scores)), list(scores.values()), color=COLORS[1])
    said.set_yticks(range(len(scores)), list(scores))
    said.invert_yaxis()
    said.set_xlim(0, 1)
    said.set_xlabel("score")
    for axes in (bars, said):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
        axes.xaxis.label.set_fontsize(7)
        axes.yaxis.label.set_fontsize(7)
    if title:
        figure.suptitle(title, fontsize=8, y=0.985)
    return figure


def save(figure: Figure, file: Path) -> None:
    """As PNG or SVG, by the name's ending; the same figure gives the same bytes."""
    with matplotlib.rc_context({"svg.hashsalt": file.name}):
        metadata = {"Date": None} if file.suffix == ".svg" else {"Software": None}
        figure.savefig(file, bbox_inches="tight", dpi=120, metadata=metadata)
    plt.close(figure)
