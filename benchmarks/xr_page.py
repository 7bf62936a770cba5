"""What the README says of `make xr` and `make xr-mobe`, from benchmarks/results/xr.json and xr_mobe.json.

    python benchmarks/xr_page.py                        writes README.md anew between its marks
    python benchmarks/xr_page.py runs/xr runs/xr-mobe   takes the results of these runs over first, one or both

What is taken over is named key by key: no file, no patient, no path.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pedclip.eval.marks import between_marks
from pedclip.eval.tasks import no_interval

WRITER = "benchmarks/xr_page.py"
ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
FILES = {"xr": RESULTS / "xr.json", "xr-mobe": RESULTS / "xr_mobe.json"}
FITTINGS = {"resize": "Images stretched to a square", "padding": "Images fitted in and padded"}
OWN = ("PedCLIP", "PedCLIP, linear probe")
FEWEST = 10  # images of a kind, or nothing is said of it alone
DIRECTIONS = {"image_to_text": "image to text", "text_to_image": "text to image"}

ESTIMATE = ("value", "low", "high", "n", "patients", "resamples", "no_interval")
MADE_BY = ("data_set", "split", "seed", "resamples_asked", "interval", "data_hash", "versions")


# ---- what is kept


def kept_xr(results: Mapping[str, Any]) -> dict[str, Any]:
    """What the README needs of RUN/results.json of `make xr`."""
    rows = []
    for row in results["rows"]:
        entries = []
        for entry in row["entries"]:
            few = {"method": entry["method"], **_estimate(entry)}
            if "pedclip_minus_this" in entry:
                few["pedclip_minus_this"] = _estimate(entry["pedclip_minus_this"])
            else:
                few["classes"] = [{key: one[key] for key in ("class", "n", "in_mean")} for one in entry["classes"]]
            entries.append(few)
        rows.append({**{key: row[key] for key in ("key", "title", "fitting")}, "entries": entries})
    fittings = {name: _kept_fitting(scores) for name, scores in results["fittings"].items()}
    about = ("headline_fitting", "images", "patients", "body_parts", "training_minutes", "seconds", *MADE_BY)
    return {"rows": rows, "fittings": fittings, **{key: results[key] for key in about}}


def _kept_fitting(scores: Mapping[str, Any]) -> dict[str, Any]:
    found, gate, detected = scores["retrieval_r1"], scores["gate_accuracy"], scores["gate_detector"]
    baselines = [
        {
            "method": row["method"],
            **{
                direction: {
                    name: {**_estimate(one), "pedclip_minus_this": _estimate(one["pedclip_minus_this"])}
                    for name, one in row[direction].items()
                }
                for direction in DIRECTIONS
                if direction in row
            },
        }
        for row in found["baselines"]
    ]
    retrieval: dict[str, Any] = {key: found[key] for key in ("n", "distinct_captions", "largest_caption_group")}
    for direction in DIRECTIONS:
        retrieval[direction] = {
            name: {**_estimate(one), "chance": one["chance"]} for name, one in found[direction].items()
        }
    calibration = detected["calibration"]
    abstention = {
        kind: {
            name: {**_estimate(one), **{key: one[key] for key in one if key.startswith("rejected_at_")}}
            for name, one in by_score.items()
        }
        for kind, by_score in detected["abstention"].items()
    }
    return {
        "retrieval": {**retrieval, "baselines": baselines},
        "gate_accuracy": {**_estimate(gate), "chance": gate["chance"], "without_expert": gate["without_expert"]},
        "gate_detector": {
            **{key: detected[key] for key in ("metric", "known", "unknown")},
            "abstention": abstention,
            "ece": {**_estimate(calibration), "if_calibrated": calibration["if_calibrated"]["mean"]},
        },
    }


def kept_mobe(results: Mapping[str, Any]) -> dict[str, Any]:
    """What the README needs of OUT/results.json of `make xr-mobe`."""
    rows = [
        {
            **{key: row[key] for key in ("key", "title", "metric", "chance")},
            **{
                part: {arm: {**_estimate(one), "by_seed": one["by_seed"]} for arm, one in row[part].items()}
                for part in ("arms", "differences")
            },
        }
        for row in results["rows"]
    ]
    runs = [{key: run[key] for key in ("arm", "seed", "steps", "seconds", "parameters")} for run in results["runs"]]
    design = {key: results["design"][key] for key in ("recipe", "set", "arms", "seeds", "headline", "limits")}
    about = {key: results[key] for key in ("images", "patients", *MADE_BY)}
    return {"design": design, "runs": runs, "rows": rows, **about}


def _estimate(score: Mapping[str, Any]) -> dict[str, Any]:
    return {key: score[key] for key in ESTIMATE if key in score}


# ---- what is written of `make xr`


def xr_lines(results: Mapping[str, Any]) -> str:
    """Markdown: what was done, the tables, and on which rows trivial methods win."""
    blocks = [_about(results)]
    for fitting in results["fittings"]:
        blocks.append(_questions(results, fitting))
    blocks += [_who_wins(results), _retrieval(results), _gates(results)]
    return "\n\n".join(blocks)


def _about(results: Mapping[str, Any]) -> str:
    images, patients = results["images"], results["patients"]
    own = results["rows"][0]["entries"][0]
    counted = sorted((one for one in own["classes"] if one["in_mean"]), key=lambda one: -one["n"])
    parts = ", ".join(f"{one['class'].replace('_', ' ')} {one['n']}" for one in counted)
    took = " and ".join(f"{minutes:.0f}" for minutes in results["training_minutes"].values() if minutes is not None)
    trainings = "two trainings side by side" if " and " in took else "training"
    return (
        f"Trained on {images['train']:,} images of {patients['train']:,} patients and "
        f"{results['body_parts']['train']} body parts ({took} minutes for the {trainings}), "
        f"tested on {images['test']} images of {patients['test']} other patients. AUC with its interval "
        f"({results['interval']}); the best of each row in bold. Body part is the mean over the {len(counted)} parts "
        f"with enough test images ({parts}). The probe and the baselines learn from the same training images, their "
        "one strength is chosen on the validation split."
    )


def _questions(results: Mapping[str, Any], fitting: str) -> str:
    rows = [row for row in results["rows"] if row["fitting"] == fitting]
    methods = list(dict.fromkeys(entry["method"] for row in rows for entry in row["entries"]))
    titles = ["PedCLIP, prompts" if method == "PedCLIP" else method for method in methods]
    lines = []
    for row in rows:
        by_method = {entry["method"]: entry for entry in row["entries"]}
        best = max(round(entry["value"], 3) for entry in row["entries"])
        cells = [_cell(by_method.get(method), best, auc=True) for method in methods]
        own = row["entries"][0]
        lines.append([row["title"], f"{own['n']}, {own['patients']}", *cells])
    return _table([FITTINGS[fitting], "images, patients", *titles], lines)


def _cell(score: Mapping[str, Any] | None, best: float | None = None, auc: bool = False) -> str:
    if score is None:
        return "-"
    said = _shown(score, auc=auc)
    return f"**{said}**" if best is not None and round(score["value"], 3) == best else said


def _who_wins(results: Mapping[str, Any]) -> str:
    """How often every other method scores above prompts, and how often the interval of the difference agrees."""
    counts: dict[str, list[int]] = {}
    for row in results["rows"]:
        for entry in row["entries"][1:]:
            apart = entry["pedclip_minus_this"]
            count = counts.setdefault(entry["method"], [0, 0, 0, 0])
            count[0] += apart["value"] < 0
            count[1] += apart["high"] is not None and apart["high"] < 0
            count[2] += apart["low"] is not None and apart["low"] > 0
            count[3] += 1
    lines = [
        [method, f"{above} of {total}", f"{surely} of {total}", f"{surely_below} of {total}"]
        for method, (above, surely, surely_below, total) in counts.items()
    ]
    header = ["beside PedCLIP by prompts, same patients", "scores above it", "and surely so", "surely below it"]
    return (
        "On how many of all these rows another method does better; surely: the interval of the paired difference "
        f"leaves 0 out.\n\n{_table(header, lines)}"
    )


def _retrieval(results: Mapping[str, Any]) -> str:
    """The headline fitting's, in both directions, beside trivial methods; the other fittings' R@1 in a sentence."""
    main = results["headline_fitting"]
    found = results["fittings"][main]["retrieval"]
    lines = []
    for direction, words in DIRECTIONS.items():
        for name, own in found[direction].items():
            others = [row.get(direction, {}).get(name) for row in found["baselines"]]
            best = max(round(one["value"], 3) for one in (own, *others) if one is not None)
            cells = [_cell(one, best) for one in (own, *others)]
            lines.append([f"{words} {name}", f"{own['chance']:.3f}", *cells])
    header = [
        f"Retrieval, {FITTINGS[main].lower()}",
        "chance",
        "PedCLIP",
        *(row["method"] for row in found["baselines"]),
    ]
    also = [
        f"{FITTINGS[name]}: R@1 {_shown(scores['retrieval']['image_to_text']['R@1'])} and "
        f"{_shown(scores['retrieval']['text_to_image']['R@1'])}."
        for name, scores in results["fittings"].items()
        if name != main
    ]
    return " ".join(
        [
            f"Retrieval among {found['n']} captioned test images: any item with the same caption is a hit (there are "
            f"{found['distinct_captions']} distinct captions, the commonest {found['largest_caption_group']} times), "
            "and chance is what a random order reaches by that rule.",
            *also,
            f"\n\n{_table(header, lines)}",
        ]
    ).replace(" \n", "\n")


def _gates(results: Mapping[str, Any]) -> str:
    scores = results["fittings"]
    rows: list[list[str]] = [
        ["names the labelled expert", *(_shown(one["gate_accuracy"]) for one in scores.values())],
        ["always the commonest part", *(f"{one['gate_accuracy']['chance']:.3f}" for one in scores.values())],
        ["calibration error (ECE)", *(_shown(one["gate_detector"]["ece"]) for one in scores.values())],
        [
            "ECE expected if calibrated",
            *(f"{one['gate_detector']['ece']['if_calibrated']:.3f}" for one in scores.values()),
        ],
    ]
    detected = next(iter(scores.values()))["gate_detector"]
    example = detected["abstention"]
    kinds = [kind for kind, count in detected["unknown"].items() if count >= FEWEST]
    for kind in kinds if len(kinds) == 1 else [*kinds, "all"]:
        for name in example[kind]:
            cells = [_abstained(one["gate_detector"]["abstention"][kind][name]) for one in scores.values()]
            rows.append([f"known images against {kind}, AUC by {name}", *cells])
    counts = ", ".join(f"{count} of {kind}" for kind, count in detected["unknown"].items())
    header = ["The gate", *(FITTINGS[name].lower() for name in scores)]
    return (
        f"The gate, on {example['all'][next(iter(example['all']))]['n']} images: {detected['known']} known ones "
        f"(whose part has an expert that was trained), beside {counts} (noise, gradients, text and photographs were "
        f"made for it). In brackets behind an AUC: the share of unknown images rejected where 95 % of the known ones "
        f"are kept.\n\n{_table(header, rows)}"
    )


def _abstained(score: Mapping[str, Any]) -> str:
    rejected = next(value for key, value in score.items() if key.startswith("rejected_at_"))
    return f"{_shown(score, auc=True)} [{rejected:.0%}]"


# ---- what is written of `make xr-mobe`


def mobe_lines(results: Mapping[str, Any]) -> str:
    """Markdown: the design, the table, who won, the limits."""
    design = results["design"]
    first, *others = design["arms"]
    header = ["", "metric, chance", *(f"{arm}, mean of seeds" for arm in design["arms"])]
    header += [f"{first} minus {arm}" for arm in others] + ["by seed"]
    lines = []
    for row in results["rows"]:
        seeds = "; ".join(", ".join(f"{one:+.3f}" for one in row["differences"][arm]["by_seed"]) for arm in others)
        title = f"**{row['title']}**" if row["key"] == design["headline"] else row["title"]
        lines.append(
            [
                title,
                f"{row['metric']}, {row['chance']:.2f}",
                *(_shown(row["arms"][arm], auc=row["metric"] == "AUC") for arm in design["arms"]),
                *(_shown(row["differences"][arm], signed=True) for arm in others),
                seeds,
            ]
        )
    return "\n\n".join([_mobe_design(results), _table(header, lines), *(_verdict(results, arm) for arm in others)])


def _mobe_design(results: Mapping[str, Any]) -> str:
    design, runs = results["design"], results["runs"]
    epochs, seeds = design["set"].get("epochs"), ", ".join(map(str, design["seeds"]))
    arms = []
    for arm in design["arms"]:
        own = [run for run in runs if run["arm"] == arm]
        minutes = [run["seconds"] / 60 for run in own]
        arms.append(
            f"{arm}: {own[0]['steps']} steps, {own[0]['parameters'] / 1e6:.1f} million parameters, "
            f"{min(minutes):.1f} to {max(minutes):.1f} minutes"
        )
    return (
        f"The recipe of `make xr` with {epochs} epochs, seeds {seeds}; {'; '.join(arms)}. "
        f"Values are by prompts, on {results['images']} images of {results['patients']} other patients; intervals: "
        f"{results['interval']}. {' '.join(design['limits'])}"
    )


def _verdict(results: Mapping[str, Any], arm: str) -> str:
    first = next(iter(results["design"]["arms"]))
    apart = {row["title"]: row["differences"][arm] for row in results["rows"]}
    better = [title for title, one in apart.items() if one["low"] is not None and one["low"] > 0]
    worse = [title for title, one in apart.items() if one["high"] is not None and one["high"] < 0]
    open_ones = len(apart) - len(better) - len(worse)
    said = [f"{first} is better, with an interval that leaves 0 out, on: {', '.join(better) or 'no row'}."]
    said += [f"{arm} is, on: {', '.join(worse) or 'no row'}.", f"On {open_ones} of {len(apart)} rows neither is."]
    return " ".join(said)


# ---- the page


def _shown(score: Mapping[str, Any], signed: bool = False, auc: bool = False) -> str:
    """0.981 (0.975 to 0.987); a difference with its sign, an AUC below one half with a word."""
    sign, flag = "+" if signed else "", ", below chance" if auc and score["value"] < 0.5 else ""
    if score.get("low") is None:
        return f"{score['value']:{sign}.3f} ({no_interval(score)}){flag}"
    return f"{score['value']:{sign}.3f} ({score['low']:{sign}.3f} to {score['high']:{sign}.3f}){flag}"


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *lines))


def write(file: Path, content: str) -> None:
    """Whole or not at all."""
    new = file.with_name(f"{file.name}.new")
    new.write_text(content, encoding="utf-8")
    os.replace(new, file)


LINES = {"xr": xr_lines, "xr-mobe": mobe_lines}


def main() -> int:
    for run in map(Path, sys.argv[1:]):
        results = json.loads((run / "results.json").read_text(encoding="utf-8"))
        name, kept = ("xr-mobe", kept_mobe) if "design" in results else ("xr", kept_xr)
        write(FILES[name], json.dumps(kept(results), indent=1, ensure_ascii=False) + "\n")
        print(f"wrote {FILES[name]}")
    page = ROOT / "README.md"
    for name, file in FILES.items():
        if file.is_file():
            lines = LINES[name](json.loads(file.read_text(encoding="utf-8")))
            write(page, between_marks(page.read_text(encoding="utf-8"), name, WRITER, lines))
            print(f"wrote README.md: {name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
