"""The README's table of `make bench11`, from results/bench11.json.

python benchmarks/bench11_page.py                 writes the README's table anew between its marks
python benchmarks/bench11_page.py runs/bench11    takes the results of that run over first
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hardware import described

from pedclip.eval.marks import between_marks
from pedclip.eval.prompt_classification import SEEN

MARK = ("bench11", "benchmarks/bench11_page.py")
ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "bench11.json"


def table(results: Mapping[str, Any]) -> str:
    """Markdown: each task beside chance, its floor and its control."""
    lines = [
        "| task | measure | value | chance | floor | labels shuffled | n | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in results["tasks"]:
        digits = 1 if row["metric"].startswith("MAE") else 3
        value, control = (_shown(one, digits, "AUC" in row["metric"]) for one in (row, row["control"]))
        title = row["title"] + _about_labels(row)
        if row["control"]["chance"] != row["chance"]:
            control += f"; its chance {row['control']['chance']:.{digits}f}"
        missed = "" if row["reaches_floor"] else ", missed"
        astray = "" if row["control_covers_chance"] else ", not chance"
        lines.append(
            f"| {title} | {row['metric']} | {value} | {row['chance']:.{digits}f} | {row['floor']:g}{missed} | "
            f"{control}{astray} | {row['n']} images, {row['patients']} patients | {row['seconds']:.0f} |"
        )
    minutes = results["seconds_of_tasks"] / 60
    made_on = f"{results['cores']} cores, commit {results['commit']}"
    lines += ["", f"All tasks with their controls took {minutes:.0f} minutes, features included ({made_on})."]
    return "\n".join(lines)


def _about_labels(row: Mapping[str, Any]) -> str:
    """How many of the labels have enough images to count, which have few patients, and whether training saw them."""
    counted, few = row.get("labels"), row.get("few_patients")
    said = [f"{counted[0]} of {counted[1]} labels count"] if counted and counted[1] > 1 else []
    said += [f"fewer than 10 patients: {', '.join(few)}"] if few else []
    said += ["labels seen in training"] if row.get("kind") == SEEN else []
    return f" ({'; '.join(said)})" if said else ""


def _shown(score: Mapping[str, Any], digits: int, is_auc: bool) -> str:
    flag = ", below chance" if is_auc and score["value"] < 0.5 else ""
    if score["low"] is None:
        return f"{score['value']:.{digits}f} (no interval){flag}"
    return f"{score['value']:.{digits}f} ({score['low']:.{digits}f} to {score['high']:.{digits}f}){flag}"


def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words:
        results = json.loads((Path(words[0]) / "results.json").read_text(encoding="utf-8"))
        new = RESULTS.with_name(f".{RESULTS.name}.new")
        new.write_text(json.dumps({**results, **described()}, indent=1) + "\n", encoding="utf-8")
        os.replace(new, RESULTS)
    page = ROOT / "README.md"
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    page.write_text(between_marks(page.read_text(encoding="utf-8"), *MARK, table(results)), encoding="utf-8")
    print(f"wrote {page.name}: {len(results['tasks'])} tasks")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
