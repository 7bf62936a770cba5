"""The poolings' figures and tables for docs/volume, written by `python -m pedclip.eval.volume_pooling ... --page`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..configuration.data import DataConfig
from ..processing.data.samples import read_samples
from ..processing.data.volumes import volume_of_sample
from .ablation_page import RESULTS, ROUNDING, auc, gain, seeds, verdict
from .embeddings import load_model
from .marks import between_marks
from .plots import COLORS
from .tasks import shown
from .volume import CHANCE, MASS, MEAN, TOP
from .volume_picture import save, study_figure

ROOT = Path(__file__).resolve().parents[1]
NOT_RUN = "Not run yet: `python -m pedclip.eval.volume_pooling runs/volume --page docs/volume` fills this in."
SENTENCES = ("chest, no finding", "chest, consolidation", "chest, pleural effusion")


# ---- tables


def pooling_table(results: Mapping[str, Any]) -> str:
    """Markdown: every task on volumes, by pooling, with the first pooling's differences to the others."""
    volumes = results["3-D"]
    arms, others = list(volumes["values"]), list(volumes["differences"])
    first = arms[0]
    lines = [
        f"| 3-D: volumes | chance | {' | '.join(arms)} | {' | '.join(f'{first} less {other}' for other in others)} |",
        f"|---|---|{'---|' * (len(arms) + len(others))}",
    ]
    for task, chance in volumes["chance"].items():
        cells = [auc(volumes["values"][arm][task], chance) for arm in arms]
        cells += [f"{gain(one)}: {verdict(one)}" for one in (volumes["differences"][other][task] for other in others)]
        lines.append(f"| {task} | {chance:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def answer(results: Mapping[str, Any]) -> str:
    """The design's primary question, in words: whether attention tells the findings better than the others."""
    volumes = results["3-D"]
    first, differences = next(iter(volumes["values"])), volumes["differences"]
    primary = {other: one[f"classification: {MEAN}"] for other, one in differences.items()}
    parts = [f"less {other} {gain(one)}: {verdict(one)}" for other, one in primary.items()]
    said = f"The primary question: is the probe's mean AUC of the findings higher with {first}? {'. '.join(parts)}."
    said = said.replace("? less", "? Less").replace(". less", ". Less")
    unsure = [other for other, one in primary.items() if one["low"] is None or one["low"] <= 0]
    if unsure:
        said += f" So {first} is not shown to be better than {' or '.join(unsure)}."
    worse = [f"{task} ({gain(score)} less {other})" for other, task, score in _worse(results)]
    return said + (f" It is worse, with an interval below 0, on {'; '.join(worse)}." if worse else "")


def _worse(results: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Where another pooling is better than the first, with an interval that leaves 0 out: (that one, task, score)."""
    volumes = results["3-D"]
    return [
        (other, task, score)
        for other, one in volumes["differences"].items()
        for task, score in one.items()
        if task in volumes["chance"] and score["high"] is not None and score["high"] < -ROUNDING
    ]


def summary(results: Mapping[str, Any]) -> str:
    """The result in three sentences, for the project's README."""
    volumes = results["3-D"]
    first = next(iter(volumes["values"]))
    values = volumes["values"][first]
    top, chance = (100 * values[f"slices: {name}"]["value"] for name in (TOP, CHANCE))
    parts = []
    for other, one in volumes["differences"].items():
        score = one[f"classification: {MEAN}"]
        small = " (its interval holds 0)" if score["low"] is not None and score["low"] <= 0 <= score["high"] else ""
        parts.append(f"{first} less {other} is {gain(score)}{small}")
    better = "; ".join(f"{other} on {task}, {gain(score)}" for other, task, score in _worse(results))
    return (
        f"With {first} the slice that counts most shows the finding in {top:.0f} % (chance {chance:.0f} %). On the "
        f"design's primary question, the probe's mean AUC of the findings, {' and '.join(parts)}."
        + (f" Better than {first}, with an interval that leaves 0 out: {better}." if better else "")
    )


def tower_table(results: Mapping[str, Any]) -> str:
    """Markdown: the same tasks on single slices, by the tower alone."""
    lines = ["| 2-D: single slices | chance | the tower | seeds |", "|---|---|---|---|"]
    for task, chance in results["2-D chance"].items():
        one = results["2-D"][task]
        lines.append(f"| {task} | {chance:.3f} | {auc(one, chance)} | {seeds(one['seeds'])} |")
    return "\n".join(lines)


def found_table(results: Mapping[str, Any]) -> str:
    """Markdown: how often each pooling's weights find the slices of the finding."""
    lines = [
        "| pooling | the slice that counts most shows the finding | weight of the slices that show it "
        "| chance of both | top slice less chance | weight less chance |",
        "|---|---|---|---|---|---|",
    ]
    for arm, found in results["3-D"]["found"].items():
        values = results["3-D"]["values"][arm]
        cells = [shown(values[f"slices: {name}"]) for name in (TOP, MASS, CHANCE)]
        cells += [f"{gain(found[name])}: {verdict(found[name])}" for name in (TOP, MASS)]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def facts(results: Mapping[str, Any]) -> str:
    """What was trained and asked, in a few sentences."""
    design, volumes = results["design"], results["volumes"]
    tower, adapter = design["tower"], design["adapter"]
    seconds = {arm: [one["seconds"] for one in results["runs"] if one["arm"] == arm] for arm in ("tower", "attention")}
    parameters = next(one["adapter_parameters"] for one in results["runs"] if one["arm"] == "attention")
    sick = ", ".join(f"{volumes['test'].get(name, 0)} with {name}" for name in design["volumes"]["findings"])
    return (
        f"Stage 1: {results['slices']['train']['all']:,} slices, {tower['epochs']} epochs of batches of "
        f"{tower['batch_size']}; stage 2: {volumes['train']['all']:,} volumes of {design['volumes']['slices']} "
        f"slices, {design['volumes']['pixels']} pixels a side ({volumes['train']['patients']} children and normal "
        f"twins), {adapter['epochs']} epochs of batches of {adapter['batch_size']}. Tested on "
        f"{volumes['test']['all']} volumes of as many other children, {sick}. The adapter has {parameters:,} "
        f"parameters. Seeds {', '.join(map(str, design['seeds']))}. Everything took {results['seconds'] / 60:.0f} "
        f"minutes, {results['at_once']} runs at a time on a thread each (torch {results['versions']['torch']}); a "
        f"tower's training steps {min(seconds['tower']):.0f} to {max(seconds['tower']):.0f} seconds, an adapter's "
        f"{min(seconds['attention']):.0f} to {max(seconds['attention']):.0f}."
    )


def report(results: Mapping[str, Any]) -> str:
    """The whole result for the terminal."""
    lines = [results["note"], ""]
    for task, chance in results["3-D"]["chance"].items():
        lines.append(f"{task} (chance {chance:.3f})")
        for arm, values in results["3-D"]["values"].items():
            lines.append(f"  {arm:<10} {auc(values[task], chance)}")
        for other, differences in results["3-D"]["differences"].items():
            lines.append(f"  less {other:<5} {gain(differences[task])}, interval {verdict(differences[task])}")
    lines += ["", "Slices of the finding: top slice, weight, chance"]
    for arm in results["3-D"]["found"]:
        values = results["3-D"]["values"][arm]
        lines.append(f"  {arm:<10} " + ", ".join(shown(values[f"slices: {name}"]) for name in (TOP, MASS, CHANCE)))
    lines += ["", "2-D, the tower on single slices"]
    lines += [f"  {task:<40} {auc(results['2-D'][task], chance)} (chance {chance:.3f})"
              for task, chance in results["2-D chance"].items()]  # fmt: skip
    return "\n".join(lines)


# ---- figures


def pooling_figure(results: Mapping[str, Any]) -> Figure:
    """Four panels: both ways to classify, matching, and the slices that are found, by pooling."""
    values, chance = results["3-D"]["values"], results["3-D"]["chance"]
    panels = {
        "classification by images alone, AUC": [task for task in chance if task.startswith("classification")],
        "by prompts, AUC": [task for task in chance if task.startswith("by prompts")],
        "matching, R@k": [task for task in chance if task.startswith("matching")],
        "slices of the finding": [f"slices: {name}" for name in (TOP, MASS)],
    }
    figure, all_axes = plt.subplots(1, 4, figsize=(13, 3.4), width_ratios=[3, 2, 5, 2])
    for axes, (title, tasks) in zip(all_axes, panels.items(), strict=True):
        for number, arm in enumerate(values):
            for place, task in enumerate(tasks):
                _score(axes, place + 0.24 * (number - (len(values) - 1) / 2), values[arm][task], COLORS[number])
            axes.plot([], [], "o-", color=COLORS[number], label=arm)
        for place, task in enumerate(tasks):
            by_chance = chance.get(task, next(iter(values.values()))[f"slices: {CHANCE}"]["value"])
            axes.plot([place - 0.4, place + 0.4], [by_chance] * 2, color="#999999", linewidth=0.9, linestyle=":")
        axes.set_xticks(range(len(tasks)), [_short(task) for task in tasks], fontsize=7)
        axes.set_title(title, fontsize=9)
        axes.tick_params(axis="y", labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    all_axes[0].legend(fontsize=7, frameon=False, loc="lower right")
    figure.supxlabel("line: 95 % over test patients; circles: seeds; dotted: chance", fontsize=7)
    figure.tight_layout()
    return figure


def _short(task: str) -> str:
    words = task.split(": ", 1)[1]
    return words.replace("image to text ", "image to\ntext ").replace("text to image ", "text to\nimage ").replace(
        "mean of the findings", "mean"
    ).replace("pleural effusion", "pleural\neffusion").replace("top slice", "top slice\nshows it")  # fmt: skip


def _score(axes: Axes, place: float, score: Mapping[str, Any], color: str) -> None:
    if score["low"] is not None:
        axes.plot([place, place], [score["low"], score["high"]], color=color, linewidth=1.8)
    axes.plot(place, score["value"], "o", color=color, markersize=4.5)
    beside = [place + 0.07] * len(score["seeds"])
    axes.plot(beside, score["seeds"], "o", color=color, markersize=3, markerfacecolor="none", markeredgewidth=0.7)


@torch.inference_mode()
def picture_of_a_study(model_folder: Path, data: DataConfig) -> Figure:
    """The first test volume with a consolidation: its slices, the model's attention, and its scores."""
    tested = load_model(model_folder)
    samples = read_samples(data, split="test", need_caption=False)
    sample = next(one for one in samples if one.findings == ("consolidation",))
    volume = volume_of_sample(sample, data.volumes) if data.volumes is not None else None
    if volume is None:
        raise ValueError(f"{data.path} is read as single images; set data.volumes")
    inputs = tested.processor(volumes=[volume], text=list(SENTENCES), return_tensors="pt")
    out = tested.model(**inputs)
    scores = dict(zip(SENTENCES, out.logits_per_image[0].softmax(-1).tolist(), strict=True))
    slices = np.stack([volume[number][0] for number in range(len(volume))])
    title = "phantom chest, generated. Report: " + _first_sentence(sample.text or "")
    return study_figure(
        slices, out.slice_attentions[0].numpy(), scores, sample.row["finding_slices"]["consolidation"], title
    )


def _first_sentence(text: str) -> str:
    return next((one.strip() + "." for one in text.split(".") if "onsolidation" in one), text)


# ---- the page


BLOCKS = {"facts": facts, "answer": answer, "poolings": pooling_table, "found": found_table, "tower": tower_table}


def filled(page: str, results: Mapping[str, Any] | None) -> str:
    """The page with each block between its marks; without results each says that nothing was run."""
    for name, block in BLOCKS.items():
        page = between_marks(page, name, "eval/volume_page.py", NOT_RUN if results is None else block(results))
    return page


def summarised(readme: str, results: Mapping[str, Any]) -> str:
    """The project's README with the result in its block."""
    return between_marks(readme, "volume", "eval/volume_page.py", summary(results))


def write_page(folder: Path, results: Mapping[str, Any], model_folder: Path, data: DataConfig) -> None:
    """Brings FOLDER/README.md, its pictures and FOLDER/results.json up to date; `model_folder` is the one to show.

    Where FOLDER is the project's docs/volume, the block of the project's README too.
    """
    page = folder / "README.md"
    text = filled(page.read_text(encoding="utf-8"), results)
    save(picture_of_a_study(model_folder, data), folder / "study.png")
    save(pooling_figure(results), folder / "poolings.svg")
    (folder / RESULTS).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    page.write_text(text, encoding="utf-8")
    if folder.resolve() == ROOT / "docs" / "volume":
        readme = ROOT / "README.md"
        readme.write_text(summarised(readme.read_text(encoding="utf-8"), results), encoding="utf-8")
