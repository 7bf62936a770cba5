"""The ablations' figures and tables for docs/ablations, written by `python -m pedclip.eval.ablations ... --page`."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")  # no window, no display

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .ablation_design import ROLES
from .ablation_statistics import MEAN, MLP, MLP_TARGET, MOBE
from .marks import between_marks
from .plots import COLORS
from .tasks import shown

RESULTS = "results.json"
ROUNDING = 1e-6  # a difference that is smaller everywhere is 0 by construction: equal weights, say
NOT_RUN = "Not run yet: `make ablations` fills this in."
METHODS = (MLP, MLP_TARGET, MOBE)
LAYER_WORDS = {"first": "first layer", "middle": "middle layer", "last": "last layer", "none": "none: plain ViT"}
# Zero-shot AUC, read from the vector graphics of the paper's figures: other data, other sizes
PAPER_LAYERS = {
    "first": {"Pedi-CXR": 0.452, "CHD-CXR": 0.509, "GRAZPEDWRI-DX": 0.587},
    "middle": {"Pedi-CXR": 0.512, "CHD-CXR": 0.555, "GRAZPEDWRI-DX": 0.589},
    "last": {"Pedi-CXR": 0.608, "CHD-CXR": 0.639, "GRAZPEDWRI-DX": 0.759},
}
PAPER_INTERFERENCE = {
    "wrist": {MLP: 0.628, MLP_TARGET: 0.732, MOBE: 0.760},
    "chest": {MLP: 0.502, MLP_TARGET: 0.593, MOBE: 0.639},
    "knee": {MLP: 0.514, MLP_TARGET: 0.601, MOBE: 0.593},
}


# ---- words and tables


def auc(score: Mapping[str, Any], chance: float = 0.5) -> str:
    return shown({**score, "below_chance": score["value"] < chance})


def gain(score: Mapping[str, Any]) -> str:
    return shown(score, "+")


def seeds(values: Sequence[float], sign: str = "") -> str:
    return ", ".join(f"{value:{sign}.3f}" for value in values)


def verdict(score: Mapping[str, Any]) -> str:
    """What an interval of a difference says, with how many seeds agree."""
    said = (score["value"], score["low"], score["high"], *score["seeds"])
    if all(abs(value) < ROUNDING for value in said if value is not None):
        return "0 but for rounding"
    same = sum((value > 0) == (score["value"] > 0) for value in score["seeds"])
    agreeing = f"{same} of {len(score['seeds'])} seeds have its sign"
    if score["low"] is None:
        return f"not known; {agreeing}"
    if score["low"] > 0:
        return f"above 0; {agreeing}"
    return f"below 0; {agreeing}" if score["high"] < 0 else f"holds 0; {agreeing}"


def layer_table(results: Mapping[str, Any]) -> str:
    """Markdown: Fig. 4's arms, ours by part, the paper's by data set."""
    parts = list(results["layer"])
    columns = " | ".join("mean of the parts" if part == MEAN else part for part in parts)
    lines = [
        f"| experts in | {columns} | seeds, mean | parameters | "
        "the paper's (other data): Pedi-CXR, CHD-CXR, GRAZPEDWRI-DX |",
        f"|---|{'---|' * (len(parts) + 3)}",
    ]
    for role in ROLES:
        cells = [auc(results["layer"][part][role]) for part in parts]
        paper = ", ".join(f"{value:.3f}" for value in PAPER_LAYERS[role].values()) if role in PAPER_LAYERS else "-"
        size = next(one["parameters"] for one in results["runs"] if one["arm"] == role)
        own = seeds(results["layer"][MEAN][role]["seeds"])
        lines.append(f"| {LAYER_WORDS[role]} | {' | '.join(cells)} | {own} | {size:,} | {paper} |")
    lines += ["", "| difference to none, mean of the parts | | seeds | its interval is |", "|---|---|---|---|"]
    for role, score in results["layer_difference_to_none"][MEAN].items():
        lines.append(f"| {LAYER_WORDS[role]} | {gain(score)} | {seeds(score['seeds'], '+')} | {verdict(score)} |")
    return "\n".join(lines)


def interference_table(results: Mapping[str, Any]) -> str:
    """Markdown: Fig. 5's two panels, ours beside the paper's."""
    lines = [
        "| part | method | AUC | seeds | less MLP-target | seeds | the difference's interval is | "
        "the paper's AUC (other data) | the paper's difference |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for part, methods in results["interference"].items():
        for name in METHODS:
            against = results["difference_to_target"][part].get(name)
            cells = ["-", "-", "-"]
            if against is not None:
                cells = [gain(against), seeds(against["seeds"], "+"), verdict(against)]
            paper = PAPER_INTERFERENCE.get(part)
            theirs = ["-", "-"] if paper is None else [f"{paper[name]:.3f}", "-"]
            if paper is not None and name != MLP_TARGET:
                theirs[1] = f"{paper[name] - paper[MLP_TARGET]:+.3f}"
            lines.append(
                f"| {part} | {name} | {auc(methods[name])} | {seeds(methods[name]['seeds'])} | {' | '.join(cells)} | "
                f"{' | '.join(theirs)} |"
            )
    return "\n".join(lines)


def facts(results: Mapping[str, Any]) -> str:
    """What was trained and asked, in a few sentences."""
    films, training = results["films"], results["design"]["training"]
    whole = [one for one in results["runs"] if one["part"] is None]
    target = [one for one in results["runs"] if one["part"] is not None]
    findings = []
    for part, by in results["findings"].items():
        counts = [f"{name} {one['with']}" for name, one in by.items()]
        findings.append(f"{part}: {', '.join(counts)}")
    gates = [one["gate_accuracy"] for one in results["runs"] if one["gate_accuracy"] is not None]
    return textwrap.fill(
        f"Trained on {sum(films['train'].values()):,} films ({_counts(films['train'])}), {training['epochs']} epochs: "
        f"{_range(one['steps'] for one in whole)} steps of {training['batch_size']} pairs, MLP-target "
        f"{_range(one['steps'] for one in target)} of {results['design']['target_batch_size']}. Tested on "
        f"{sum(films['test'].values()):,} films of {films['test_patients']:,} other children ("
        f"{_counts(films['test'])}). Each part's AUC is the mean of its findings' against \"no finding\", "
        f"{results['kind']}; test films with each: {'; '.join(findings)}. Where there are experts, the gate names the "
        f"film's part in {min(gates):.1%} to {max(gates):.1%} of the test films. Films, "
        f"{len(results['runs'])} runs and evaluation took {results['seconds'] / 60:.0f} minutes, {results['at_once']} "
        f"runs at a time on a thread each (torch {results['versions']['torch']}); a run's training "
        f"{_range(round(one['seconds']) for one in whole)} seconds, MLP-target's "
        f"{_range(round(one['seconds']) for one in target)}.",
        width=119,
        break_on_hyphens=False,
    )


def _counts(films: Mapping[str, int]) -> str:
    return ", ".join(f"{part} {count:,}" for part, count in films.items())


def _range(values: Any) -> str:
    low, *_, high = sorted([*values] * 2)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def report(results: Mapping[str, Any]) -> str:
    """The whole result for the terminal."""
    lines = [results["note"], "", "Experts in (Fig. 4), mean AUC of the parts, and its difference to none"]
    for role in ROLES:
        against = results["layer_difference_to_none"][MEAN].get(role)
        beside = f"   {gain(against)}, interval {verdict(against)}" if against else ""
        lines.append(f"  {LAYER_WORDS[role]:<16} {auc(results['layer'][MEAN][role])}{beside}")
    lines += ["", "Interference (Fig. 5), AUC, and its difference to MLP-target"]
    for part, methods in results["interference"].items():
        for name in METHODS:
            against = results["difference_to_target"][part].get(name)
            beside = f"   {gain(against)}, interval {verdict(against)}" if against else ""
            lines.append(f"  {part:<8} {name:<11} {auc(methods[name])}{beside}")
    return "\n".join(lines)


# ---- figures


def layer_figure(results: Mapping[str, Any]) -> Figure:
    """Fig. 4's question: a panel for the mean and each part, AUC by where the experts are."""
    panels = results["layer"]
    figure, all_axes = plt.subplots(1, len(panels), figsize=(2.6 * len(panels), 3), sharey=True, squeeze=False)
    for axes, (part, arms) in zip(all_axes[0], panels.items(), strict=True):
        for place, role in enumerate(ROLES):
            _score(axes, place, arms[role], COLORS[4] if role == "none" else COLORS[0])
        axes.axhline(0.5, color="#999999", linewidth=0.8, linestyle=":")
        axes.set_xticks(range(len(ROLES)), list(ROLES))
        axes.set_xlim(-0.5, len(ROLES) - 0.5)
        axes.set_title("mean of the parts" if part == MEAN else part, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    all_axes[0][0].set_ylabel("mean finding AUC")
    figure.supxlabel("layer with experts; line: 95 % over test patients, circles: seeds, dotted: chance", fontsize=8)
    figure.tight_layout()
    return figure


def interference_figure(results: Mapping[str, Any]) -> Figure:
    """Fig. 5's two panels: AUC by part and method, and the differences to MLP-target."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    parts = list(results["interference"])
    for number, name in enumerate(METHODS):
        shift, color = 0.22 * (number - 1), COLORS[(4, 1, 0)[number]]
        for place, part in enumerate(parts):
            _score(left, place + shift, results["interference"][part][name], color)
            if name != MLP_TARGET:
                _score(right, place + 0.5 * shift, results["difference_to_target"][part][name], color)
        left.plot([], [], "o-", color=color, label=name)
    left.axhline(0.5, color="#999999", linewidth=0.8, linestyle=":")
    right.axhline(0, color=COLORS[1], linewidth=0.8)
    left.set_ylabel("mean finding AUC")
    right.set_ylabel("difference to MLP-target")
    for axes in (left, right):
        axes.set_xticks(range(len(parts)), parts)
        axes.set_xlim(-0.5, len(parts) - 0.5)
        axes.spines[["top", "right"]].set_visible(False)
    left.legend(fontsize=8, frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    figure.supxlabel("line: 95 % over test patients; circles: seeds; dotted: chance", fontsize=8)
    figure.tight_layout()
    return figure


def _score(axes: Axes, place: float, score: Mapping[str, Any], color: str) -> None:
    if score["low"] is not None:
        axes.plot([place, place], [score["low"], score["high"]], color=color, linewidth=1.8)
    axes.plot(place, score["value"], "o", color=color, markersize=5)
    beside = [place + 0.08] * len(score["seeds"])
    axes.plot(beside, score["seeds"], "o", color=color, markersize=3.5, markerfacecolor="none", markeredgewidth=0.8)


# ---- the page


BLOCKS = {"facts": facts, "layer": layer_table, "interference": interference_table}
FIGURES = {"layer.svg": layer_figure, "interference.svg": interference_figure}


def filled(page: str, results: Mapping[str, Any] | None) -> str:
    """The page with each block between its marks; without results each says that nothing was run."""
    for name, block in BLOCKS.items():
        page = between_marks(page, name, "eval/ablation_page.py", NOT_RUN if results is None else block(results))
    return page


def write_page(folder: Path, results: Mapping[str, Any]) -> None:
    """Brings FOLDER/README.md, both figures and FOLDER/results.json up to date."""
    page = folder / "README.md"
    text = filled(page.read_text(encoding="utf-8"), results)
    for name, draw in FIGURES.items():
        figure = draw(results)
        with matplotlib.rc_context({"svg.hashsalt": name}):  # the same figure gives the same bytes
            figure.savefig(folder / name, bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)
    (folder / RESULTS).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    page.write_text(text, encoding="utf-8")
