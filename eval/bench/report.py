"""One page about one run or several: every task with its interval, chance and the paper's number beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ..intervals import NO_SPREAD, bca_interval
from ..json_files import read_json
from ..leakage import leak_mark
from ..page import listing, page, table, text
from ..tasks import shown
from .by_group import NOTE
from .maps import MAPS
from .stored import RESULTS, stored_answers

PAPER = Path(__file__).parent / "paper.yaml"
PHANTOM = (
    "Phantom films are generated from geometric solids. These numbers prove that the software works; they say nothing "
    "about medicine."
)


def open_run(folder: Path | str) -> dict[str, Any]:
    """A run as `pedclip bench` left it: {"name", "note", "entries": {task: entry with its draws}, "maps"}."""
    folder = Path(folder)
    if not (folder / RESULTS).is_file():
        raise FileNotFoundError(f"{folder} is no run of `pedclip bench`: it has no results.json")
    results = read_json(folder / RESULTS)
    stored = stored_answers(folder)
    entries = {}
    for entry in results["tasks"]:
        whole = stored.get(entry["task"], {})
        same = "value" in entry and whole.get("data_hash") == entry.get("data_hash")
        entries[entry["task"]] = whole if same else entry
    maps = folder / MAPS
    return {
        "name": results.get("name") or folder.name,
        "note": results.get("note"),
        "entries": entries,
        "maps": read_json(maps) if maps.is_file() else [],
    }


def difference(entry: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any] | None:
    """How much higher `entry` is than `other` on the same patients, drawn together; None if they are not the same."""
    same = ("data_hash", "seed", "resamples_asked", "n", "patients", "metric")
    kept = ("draws", "without_each")
    if any(entry.get(key) != other.get(key) for key in same) or not all(entry.get(k) and other.get(k) for k in kept):
        return None
    drawn, without_each = (np.array(entry[key], float) - np.array(other[key], float) for key in kept)
    value = entry["value"] - other["value"]
    why = entry.get("no_interval") or other.get("no_interval")
    found = None if why else bca_interval(value, drawn, without_each, entry["patients"])
    if found is None:
        return {"value": value, "low": None, "high": None, "no_interval": why or NO_SPREAD}
    return {"value": value, "low": found[0], "high": found[1]}


def markdown(runs: Sequence[Mapping[str, Any]]) -> str:
    """The tables alone, as Markdown."""
    blocks = []
    for title, header, lines in _tables(runs):
        blocks += [f"## {title}", "", f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
        blocks += [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines] + [""]
    return "\n".join([*_notes(runs), "", *blocks, "## About the paper's numbers", "", *_paper_lines()]) + "\n"


def html(runs: Sequence[Mapping[str, Any]]) -> str:
    """The page: plot, tables, maps of generated films, and what is to be known of it all. It shows no patient."""
    from .plots import reliability_panels, task_plot  # matplotlib takes seconds to import

    parts = ["<h1>PedCLIP: the eleven tasks</h1>"]
    parts += [f'<p class="warn">{text(note)}</p>' for note in _notes(runs)]
    parts.append(f'<div class="wide">{task_plot(runs, _paper()["tasks"])}</div>')
    for title, header, lines in _tables(runs):
        parts += [f"<h2>{text(title)}</h2>", table(header, lines)]
    for run in runs:
        if drawn := reliability_panels(run["entries"]):
            parts += [f"<h2>Reliability: {text(run['name'])}</h2>", f'<div class="wide">{drawn}</div>']
    for run in runs:
        if run["maps"]:
            parts.append(f"<h2>What it looks at: {text(run['name'])}</h2><p>Generated films, nobody is shown.</p>")
            parts += [_map(one) for one in run["maps"]]
    parts += ["<h2>About the paper's numbers</h2>", listing([line.removeprefix("- ") for line in _paper_lines()])]
    return page("PedCLIP: the eleven tasks", parts)


def _map(drawn: Mapping[str, str]) -> str:
    says = text(f"{drawn['data_set']}, {drawn['label']}: film, relevance and experts")
    return f'<div class="wide"><img alt="{says}" src="data:image/png;base64,{text(drawn["png"])}"></div>'


def _paper() -> dict[str, Any]:
    return yaml.safe_load(PAPER.read_text(encoding="utf-8"))


def _paper_lines() -> list[str]:
    about = "Private training data and, in part, other splits: shown for orientation, not as the same measurement."
    return [f"- {line}" for line in (about, *_paper()["inconsistencies"])]


def _notes(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    grouped = any(entry.get("subgroups") for run in runs for entry in run["entries"].values())
    leaks = [
        f"{run['name']}, {entry['task']}: LEAK, this number is no test of the model: {entry['leaks']['says']}."
        for run in runs
        for entry in run["entries"].values()
        if entry.get("leaks", {}).get("found")
    ]
    return [
        "Not a medical device.",
        *leaks,
        *([NOTE] if grouped else []),
        *dict.fromkeys(run["note"] for run in runs if run.get("note")),
    ]


def _tables(runs: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str], list[list[str]]]]:
    names = list(dict.fromkeys(task for run in runs for task in run["entries"]))
    found = [_overview(runs, names)]
    if len(runs) > 1:
        found.append(_differences(runs, names))
    for run in runs:
        found.append(_labels(run))
        found.append(_subgroups(run))
        found.append(_calibration(run))
        found.append(_paraphrases(run))
        found.append(_before_after(run))
    return [one for one in found if one[2]]


def _overview(runs: Sequence[Mapping[str, Any]], names: Sequence[str]):
    printed = _paper()["tasks"]
    header = [
        "task",
        "data set",
        "metric",
        "chance",
        *(run["name"] for run in runs),
        "n",
        "paper",
        "paper's best other",
    ]
    lines = []
    for name in names:
        entries = [run["entries"].get(name) for run in runs]
        first = next((one for one in entries if one and "value" in one), None)
        known = printed.get(name)
        cells = [_cell(one) for one in entries]
        other = f"{known['best other'][0]:g} ({known['best other'][1]})" if known else "-"
        said = next(one for one in entries if one)
        lines.append(
            [
                said["title"],
                said["data_set"],
                first["metric"] if first else "-",
                f"{first['chance']:.3f}" if first else "-",
                *cells,
                f"{first['n']} images, {first['patients']} patients" if first else "-",
                f"{known['PedCLIP']:g}" if known else "-",
                other,
            ]
        )
    return "All tasks", header, lines


def _cell(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "not run"
    if "status" in entry:
        return entry["status"]
    few = entry.get("few_patients") or []
    said = shown(entry) + (f"; few patients: {', '.join(few)}" if few and entry["low"] is not None else "")
    return said + leak_mark(entry)


def _differences(runs: Sequence[Mapping[str, Any]], names: Sequence[str]):
    first, *others = runs
    header = ["task", *(f"{first['name']} minus {other['name']}" for other in others)]
    lines = []
    for name in names:
        cells = []
        for other in others:
            pair = (first["entries"].get(name), other["entries"].get(name))
            found = difference(*pair) if all(one and "value" in one for one in pair) else None
            cells.append(shown(found, "+") if found else "-")
        lines.append([name, *cells])
    return "Differences on the same patients, drawn together", header, lines


def _labels(run: Mapping[str, Any]):
    lines = []
    for entry in run["entries"].values():
        for row in entry.get("classes", []):
            value = shown(row) if "value" in row else "too few"
            left_out = "" if row.get("in_mean", True) else "not in the mean"
            lines.append([entry["task"], row["class"], value, str(row.get("n", "-")), left_out])
    return f"By label: {run['name']}", ["task", "label", "value", "images with it", ""], lines


def _subgroups(run: Mapping[str, Any]):
    """Every subgroup with its n, those too small for a number too; then how far the best lies from the worst."""
    lines = []
    for entry in run["entries"].values():
        for kind, found in entry.get("subgroups", {}).items():
            for row in found["groups"]:
                value = shown(row) if "value" in row else row["too_few"]
                lines.append(
                    [entry["task"], kind, row["group"], value, f"{row['n']} images, {row['patients']} patients"]
                )
            if found["unknown"]:
                odd = f", {found['implausible']} with an implausible age" if found.get("implausible") else ""
                lines.append([entry["task"], kind, "not told", "-", f"{found['unknown']} images{odd}"])
            if gap := found["gap"]:
                lines.append(
                    [entry["task"], kind, f"gap: {gap['best']} to {gap['worst']}", shown(gap, "+"), gap["note"]]
                )
    return f"By subgroup: {run['name']}", ["task", "by", "subgroup", "value", "of"], lines


def _calibration(run: Mapping[str, Any]):
    lines = []
    for entry in run["entries"].values():
        if found := entry.get("calibration"):
            expected = found["if_calibrated"]["mean"]
            lines.append([entry["task"], shown(found), f"{expected:.3f}", shown(found["brier"]), str(found["n"])])
    header = ["task", "ECE", "expected if calibrated", "Brier score", "stated probabilities"]
    return f"Do stated probabilities come true: {run['name']}", header, lines


def _paraphrases(run: Mapping[str, Any]):
    lines = []
    for entry in run["entries"].values():
        spread = entry.get("paraphrases")
        if spread:
            lines.append(
                [
                    entry["task"],
                    f"{entry['value']:.3f}",
                    f"{spread['lowest']:.3f} to {spread['highest']:.3f}",
                    f"{spread['standard_deviation']:.3f}",
                    str(len(spread["value_by_template"])),
                ]
            )
    header = ["task", "ensemble", "templates alone", "standard deviation", "templates"]
    return f"How far a value moves with the wording: {run['name']}", header, lines


def _before_after(run: Mapping[str, Any]):
    lines = []
    for entry in run["entries"].values():
        if "before" in entry:
            of_both = [shown(entry[name]) for name in ("before", "after")]
            lines.append([entry["task"], *of_both, shown(entry, "+"), str(entry["n"])])
    header = ["task", "mean Dice before", "after", "before less after, same patients", "images"]
    return f"Features before and after the last experts: {run['name']}", header, lines
