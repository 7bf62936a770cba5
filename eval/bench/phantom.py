"""`make bench11`: the eleven tasks on phantoms in the official layouts, with a control, a floor and a page.

    python -m pedclip.eval.bench.phantom runs/bench11 --model runs/demo/hub

Writes RUN/data (the trees), RUN/signal and RUN/control (runs of `pedclip bench`: with the labels, and with every
image given another one's), RUN/results.json and RUN/report.html. The films are generated: the numbers prove that the
software works and say nothing about medicine.
"""

import argparse
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ...processing.phantom.official import write_official
from ..intervals import LEVEL, bca_interval
from ..json_files import write_json
from ..tasks import shown
from .questions import QUESTIONS
from .report import PHANTOM, html, open_run
from .running import Bench, failed, run_bench
from .tasks import TASKS

PROMPTS = Path(__file__).parent / "phantom_prompts.yaml"
SIDE = 128  # pixels of a film
PATIENTS = {"vindr-pcxr": 800, "chd-cxr": 800, "grazpedwri-dx": 600, "rsna-boneage": 700, "arthritis": 500}
SEVERITY = (0.8, 1.0)  # plain findings, as those that the demo's model has learned
CONTROL = ("value", "low", "high", "chance", "chance_is", "no_interval", "below_chance")  # what is kept of it
SEED = 11  # the demo's model has learned from seed 0: these are other children
# What a method that works reaches with the demo's model: clearly above chance, below the first runs. An AUC, a Dice,
# or for bone age months of error, which must stay below.
FLOORS = {
    "zero-shot-vindr-pcxr": 0.6,
    "zero-shot-chd-cxr": 0.6,
    "zero-shot-arthritis": 0.6,
    "zero-shot-grazpedwri-dx": 0.55,
    "probe-vindr-pcxr": 0.6,
    "probe-chd-cxr": 0.6,
    "probe-arthritis": 0.6,
    "probe-grazpedwri-dx": 0.6,
    "segmentation": 0.5,
    "bone-age": 47.0,
    "concepts": 0.6,
}


def write_trees(root: Path) -> None:
    """The five data sets, each whole or not at all; one that is there is kept."""
    root.mkdir(parents=True, exist_ok=True)
    lacking = {name: patients for name, patients in PATIENTS.items() if not (root / name).is_dir()}
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        running = {
            name: pool.submit(
                write_official, name, root / name, patients=patients, seed=SEED, side=SIDE, severity=SEVERITY
            )
            for name, patients in lacking.items()
        }
        for name, done in tqdm(running.items(), unit="data set", desc="phantoms"):
            tqdm.write(f"{done.result()} films in {root / name}")


def evaluate(model: Path, out: Path) -> dict[str, Any]:
    """Both runs, and every task's number beside its control's and its floor."""
    began = time.monotonic()
    require_floors()
    write_trees(out / "data")
    signal = Bench(model, out / "data", PROMPTS)
    control = Bench(model, out / "data", PROMPTS, shuffled=True)
    entries = run_bench(signal, out / "signal", note=PHANTOM)
    controls = {entry["task"]: entry for entry in run_bench(control, out / "control", note=PHANTOM)}
    if lacking := failed([*entries, *controls.values()]):
        raise ValueError(
            f"{len(set(lacking))} tasks have no number and no judgement: {', '.join(dict.fromkeys(lacking))}; "
            f"{out}/signal/results.json and {out}/control/results.json say why, and the same command goes on"
        )
    rows = [judged(entry, controls[entry["task"]]) for entry in entries]
    results = {
        "note": PHANTOM,
        "tasks": rows,
        "seconds": round(time.monotonic() - began, 1),  # of this command: what was there already is not made again
        "seconds_of_tasks": round(sum(entry["seconds"] for entry in (*entries, *controls.values())), 1),
    }
    write_json(out / "results.json", results)
    (out / "report.html").write_text(html([open_run(out / "signal"), open_run(out / "control")]), encoding="utf-8")
    return results


def require_floors() -> None:
    """Every task of the paper has a floor; ValueError names one that has none."""
    lacking = [name for name, task in TASKS.items() if task.of_the_paper and name not in FLOORS]
    if lacking:
        raise ValueError(
            f"{lacking[0]} is of_the_paper and has no floor; write what a working method surely reaches on phantoms "
            "into FLOORS of eval/bench/phantom.py, or leave of_the_paper away"
        )


def judged(entry: Mapping[str, Any], control: Mapping[str, Any]) -> dict[str, Any]:
    """One line of the results: does the method find what was planted, and nothing where nothing is?"""
    floor, lower = FLOORS[entry["task"]], TASKS[entry["task"]].lower_is_better
    low, high = interval_of_all(control) or (None, None)
    kept = ("task", "title", "data_set", "metric", "value", "low", "high", "n", "patients", "chance", "seconds")
    return {
        **{key: entry[key] for key in kept},
        **{key: entry[key] for key in ("kind", "no_interval", "few_patients", "below_chance") if key in entry},
        "labels": labels_counted(entry),
        "floor": floor,
        "reaches_floor": entry["value"] <= floor if lower else entry["value"] >= floor,
        "control": {key: control[key] for key in CONTROL if key in control} | {"low_of_all": low, "high_of_all": high},
        "control_covers_chance": low is not None and high is not None and low <= control["chance"] <= high,
    }


def labels_counted(entry: Mapping[str, Any]) -> list[int] | None:
    """How many of a task's labels have enough images to be in its mean, and how many it has; None without labels."""
    asked = QUESTIONS.get(entry["task"].removeprefix("zero-shot-").removeprefix("probe-"))
    rows = [row for row in entry.get("classes", []) if "in_mean" in row]
    if not rows:
        return None
    return [sum(row["in_mean"] for row in rows), max(len(rows), len(asked.labels) if asked else 0)]


def interval_of_all(control: Mapping[str, Any]) -> tuple[float, float] | None:
    """Wide enough that where there is nothing to find, all the controls cover chance 95 times in 100 (Bonferroni).

    None where the control has no interval at all.
    """
    if control["low"] is None:
        return None
    drawn, without_each = (np.array(control[key], float) for key in ("draws", "without_each"))
    return bca_interval(control["value"], drawn, without_each, control["patients"], 1 - (1 - LEVEL) / len(FLOORS))


def lines_of(results: Mapping[str, Any]) -> list[str]:
    """The table for the terminal."""
    lines = [f"  {'task':<26} {'value':<26} {'chance':>7} {'floor':>7}  labels shuffled"]
    for row in results["tasks"]:
        verdict = "" if row["reaches_floor"] and row["control_covers_chance"] else "  <- look here"
        lines.append(
            f"  {row['task']:<26} {shown(row):<26} {row['chance']:>7.3f} {row['floor']:>7.3f}  "
            f"{shown(row['control'])}{verdict}"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--model", type=Path, required=True, help="a model of the phantom: that of `make demo`")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        results = evaluate(args.model, args.run)
    except (ValueError, OSError) as error:
        print(f"pedclip.eval.bench.phantom: {error}", file=sys.stderr)
        return 2
    print("\n".join([PHANTOM, "", *lines_of(results)]))
    print(f"wrote {args.run}/results.json and {args.run}/report.html, in {results['seconds']:.0f} s")
    return 0 if all(row["reaches_floor"] and row["control_covers_chance"] for row in results["tasks"]) else 1


if __name__ == "__main__":
    sys.exit(main())
