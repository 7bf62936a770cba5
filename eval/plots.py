"""The report's figures, as SVG pictures that stand in the page itself."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("svg")  # no window, no display

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

COLORS = ("#1f5fa8", "#c2571a", "#4b8b3b", "#7a4fa3", "#666666", "#b8860b")


def auc_plot(rows: Sequence[Mapping[str, Any]]) -> str:
    """Every method on every row with its interval; `rows` are those of one fitting."""
    methods = list(dict.fromkeys(entry["method"] for row in rows for entry in row["entries"]))
    figure, axes = plt.subplots(figsize=(9, 0.6 + 0.75 * len(rows)))
    for place, row in enumerate(rows):
        for entry in row["entries"]:
            number = methods.index(entry["method"])
            height = place + 0.11 * (number - (len(methods) - 1) / 2)
            color = COLORS[number % len(COLORS)]
            if entry["low"] is not None:
                axes.plot([entry["low"], entry["high"]], [height, height], color=color, linewidth=1.6)
            axes.plot(entry["value"], height, "o", color=color, markersize=5 if number == 0 else 3.5)
    for number, method in enumerate(methods):
        axes.plot([], [], "o-", color=COLORS[number % len(COLORS)], label=method)
    axes.axvline(0.5, color="#999999", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(rows)), [f"{row['title']}\nn {row['entries'][0]['n']}" for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("AUC with 95 % interval over patients; dotted: chance")
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.4, -0.09 - 0.4 / len(rows)), ncols=3, frameon=False)
    return picture(figure, "AUC of every method on every row")


def training_plot(lines: Sequence[Mapping[str, Any]]) -> str | None:
    """Losses by step and validation scores by epoch, from metrics.jsonl; None where it has neither."""
    panels = [
        ("train/", ("train/loss", "train/contrastive_loss", "train/gate_loss"), "training loss"),
        ("validation/", _names(lines, "validation/", "auc"), "validation AUC"),
        (
            "validation/",
            [*_names(lines, "validation/", "accuracy"), *_names(lines, "validation/", "_r1")],
            "validation",
        ),
    ]
    shown = [
        (prefix, [name for name in names if any(name in line for line in lines)], title)
        for prefix, names, title in panels
    ]
    shown = [panel for panel in shown if panel[1]]
    if not shown:
        return None
    figure, all_axes = plt.subplots(1, len(shown), figsize=(4 * len(shown), 3), squeeze=False)
    for axes, (prefix, names, title) in zip(all_axes[0], shown, strict=True):
        for number, name in enumerate(names):
            points = [(line.get("epoch", line["step"]), line[name]) for line in lines if line.get(name) is not None]
            axes.plot(
                *zip(*points, strict=True),
                color=COLORS[number % len(COLORS)],
                label=name.removeprefix(prefix).replace("_", " "),
            )
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("epoch")
        axes.legend(fontsize=7, frameon=False)
    return picture(figure, "training curves")


def response_plot(panels: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """A mean AUC with its interval against one condition a panel: {"dose": {"1": {value, low, high}, ...}, ...}."""
    figure, all_axes = plt.subplots(1, len(panels), figsize=(4.2 * len(panels), 3), squeeze=False, sharey=True)
    for axes, (title, values) in zip(all_axes[0], panels.items(), strict=True):
        for place, score in enumerate(values.values()):
            if score["low"] is not None:
                axes.plot([place, place], [score["low"], score["high"]], color=COLORS[0], linewidth=1.6)
            axes.plot(place, score["value"], "o", color=COLORS[0])
        axes.axhline(0.5, color="#999999", linewidth=0.8, linestyle=":")
        axes.set_xticks(range(len(values)), list(values))
        axes.set_xlim(-0.5, len(values) - 0.5)
        axes.set_xlabel(title)
    all_axes[0][0].set_ylabel("mean finding AUC")
    return picture(figure, f"mean finding AUC by {' and by '.join(panels)}")


def confusion_plot(confusion: Mapping[str, Any]) -> str:
    """Which expert the gate involves most, by labelled body part; each row's shares, with counts written in."""
    names, counts = confusion["names"], confusion["counts"]
    side = 1.8 + 0.42 * len(names)
    figure, axes = plt.subplots(figsize=(side, side))
    shares = [[count / max(sum(row), 1) for count in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            if count:
                color = "white" if shares[i][j] > 0.5 else "black"
                axes.text(j, i, str(count), ha="center", va="center", fontsize=8, color=color)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel("most involved expert")
    axes.set_ylabel("labelled body part")
    return picture(figure, "confusion matrix of the gate")


def _names(lines: Sequence[Mapping[str, Any]], prefix: str, ending: str) -> list[str]:
    names = dict.fromkeys(name for line in lines for name in line)
    return [name for name in names if name.startswith(prefix) and name.endswith(ending)]


def picture(figure: Figure, says: str) -> str:
    """An <img> that carries the SVG; as an image its ids cannot clash with another figure's."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": says}):  # the same figure gives the same bytes
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    content = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{says}" src="data:image/svg+xml;base64,{content}">'


def counts_plot(panels: Mapping[str, Mapping[str, int]], most: int = 24) -> str:
    """One panel of bars for each column: how many images have each value; the rarest are put together."""
    shown = {}
    for title, counts in panels.items():
        kept = dict(list(counts.items())[:most])
        rest = sum(list(counts.values())[most:])
        shown[title] = kept | ({f"{len(counts) - most} more": rest} if rest else {})
    heights = [0.5 + 0.22 * len(counts) for counts in shown.values()]
    figure, axes = plt.subplots(len(shown), 1, figsize=(8, sum(heights)), height_ratios=heights)
    for one, (title, counts) in zip(axes, shown.items(), strict=True):
        one.barh(range(len(counts)), list(counts.values()), color=COLORS[0], height=0.7)
        one.set_yticks(range(len(counts)), list(counts), fontsize=8)
        one.invert_yaxis()
        one.set_title(title, fontsize=9, loc="left")
        one.bar_label(one.containers[0], fontsize=7, padding=2)
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(axis="x", labelsize=7)
    figure.tight_layout()
    return picture(figure, f"images by {', '.join(panels)}")


def reliability_plot(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """How often what was said with some confidence came true, bin by bin; `rows` are calibration()'s `reliability`."""
    figure, (axes, below) = plt.subplots(2, 1, figsize=(4.2, 5), height_ratios=[4, 1], sharex=True)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
    for row in rows:
        if row["low"] is not None:
            axes.plot([row["confidence"]] * 2, [row["low"], row["high"]], color=COLORS[0], linewidth=1.6)
        axes.plot(row["confidence"], row["value"], "o", color=COLORS[0], markersize=5)
    below.bar(
        [(row["from"] + row["to"]) / 2 for row in rows],
        [row["n"] for row in rows],
        width=[0.9 * (row["to"] - row["from"]) for row in rows],
        color=COLORS[4],
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_ylabel("share that came true")
    axes.set_title(title, fontsize=10)
    below.set_xlabel("stated probability; dotted: calibrated")
    below.set_ylabel("images")
    return picture(figure, f"reliability: {title}")


def risk_coverage_plot(selective: Mapping[str, Any], title: str) -> str:
    """The share of errors among the surest images, by score; `selective` is gate_detector()'s."""
    figure, axes = plt.subplots(figsize=(5, 3.4))
    for number, (name, found) in enumerate(selective["scores"].items()):
        curve = found["curve"]
        label = f"{name}, AURC {found['aurc']['value']:.4f}"
        color = COLORS[number % len(COLORS)]
        axes.step(curve["coverage"], curve["risk"], where="post", color=color, label=label)
    axes.axhline(selective["error_rate"]["value"], color="#999999", linewidth=0.8, linestyle=":")
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("coverage: share of images that are kept, surest first")
    axes.set_ylabel("share of errors; dotted: all kept")
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=7, frameon=False)
    return picture(figure, f"risk by coverage: {title}")
