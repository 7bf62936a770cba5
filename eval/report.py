"""One page about a run: tables, curves, the gate, what the numbers do not show. No patient's image is in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .baselines import PROBE
from .page import listing, page, table, text
from .tasks import shown


def markdown_table(results: Mapping[str, Any]) -> str:
    """Rows by methods, one table for each fitting."""
    blocks = []
    for fitting in results["fittings"]:
        header, lines = _main_table(results, fitting)
        blocks += [
            f"Images made square by {fitting}; split {results['split']}; 95 % intervals over patients:",
            "",
            f"| {' | '.join(header)} |",
            f"|{'---|' * len(header)}",
            *(f"| {' | '.join(line)} |" for line in lines),
            "",
        ]
    header, lines = _gate_and_retrieval(results)
    blocks += [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}", *(f"| {' | '.join(line)} |" for line in lines)]
    return "\n".join(blocks)


def baseline_sentences(results: Mapping[str, Any]) -> list[str]:
    """A sentence for each row on which a trivial method scores above PedCLIP; one that says so if there is none."""
    sentences = []
    for row in results["rows"]:
        own, *others = row["entries"]
        baselines = [entry for entry in others if entry["method"] != PROBE.name]
        winners = [entry for entry in baselines if entry["value"] > own["value"]]
        if winners:
            said = "; ".join(
                f"{entry['method']} {entry['value']:.3f} (PedCLIP minus it {shown(entry['pedclip_minus_this'])})"
                for entry in winners
            )
            verb = "score" if len(winners) > 1 else "scores"
            sentences.append(f"{row['title']}, {row['fitting']}: {said} {verb} above PedCLIP's {own['value']:.3f}.")
    return sentences or ["No trivial baseline scores above PedCLIP on any row."]


def write_report(path: Path, results: Mapping[str, Any], curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    # matplotlib takes seconds to import
    from .plots import auc_plot, confusion_plot, reliability_plot, risk_coverage_plot, training_plot

    main = results["headline_fitting"]
    parts = [
        "<h1>PedCLIP on real radiographs</h1>",
        '<p class="warn"><strong>Not a medical device.</strong> Trained on a small public collection to show that the '
        "parts work. Every class below was seen in training unless a row says zero-shot.</p>",
        f"<p>Split {text(results['split'])}: {results['images']['test']} images. Every number has its 95 % interval "
        "(whole patients resampled) and stands beside trivial methods on the same images.</p>",
    ]
    for fitting in results["fittings"]:
        rows = [row for row in results["rows"] if row["fitting"] == fitting]
        parts.append(f"<h2>Questions in words, images made square by {text(fitting)}</h2>")
        parts.append(table(*_main_table(results, fitting), mark_best=True))
        parts.append(f'<div class="wide">{auc_plot(rows)}</div>')
    parts += ["<h2>Where a trivial method wins</h2>", listing(baseline_sentences(results))]
    parts += ["<h2>PedCLIP minus the baselines</h2>", _differences(results)]
    parts += ["<h2>By class</h2>", _classes(results, main)]
    parts += ["<h2>Retrieval</h2>", _retrieval(results)]
    parts.append("<h2>The gate</h2>")
    for fitting, scores in results["fittings"].items():
        gate = scores["gate_accuracy"]
        parts.append(
            f"<p>{text(fitting)}: accuracy {shown(gate)}, n {gate['n']}; always the commonest part would reach "
            f"{gate['chance']:.3f}. Without an expert: {gate['without_expert']} images.</p>"
        )
        parts.append(f'<div class="wide">{confusion_plot(gate["confusion"])}</div>')
        detected = scores["gate_detector"]
        parts.append(table(*_detector_table(detected)))
        parts.append(reliability_plot(detected["calibration"]["reliability"], f"the gate, {fitting}"))
        parts.append(risk_coverage_plot(detected["selective"], f"the gate, {fitting}"))
    drawn = {fitting: training_plot(lines) for fitting, lines in curves.items()}
    if any(drawn.values()):
        parts.append("<h2>Training</h2>")
        parts += [f'<h3>{text(fitting)}</h3><div class="wide">{plot}</div>' for fitting, plot in drawn.items() if plot]
    parts += ["<h2>What these numbers do not show</h2>", listing(results["confounds"])]
    parts.append(f"<p>Sources that show one body part only: {text(results['sources_with_one_body_part'])}.</p>")
    parts += ["<h2>How it was done</h2>", _how(results, main)]
    path.write_text(page("PedCLIP: report", parts), encoding="utf-8")


def _main_table(results: Mapping[str, Any], fitting: str) -> tuple[list[str], list[list[str]]]:
    rows = [row for row in results["rows"] if row["fitting"] == fitting]
    methods = list(dict.fromkeys(entry["method"] for row in rows for entry in row["entries"]))
    lines = []
    for row in rows:
        by_method = {entry["method"]: entry for entry in row["entries"]}
        own = row["entries"][0]
        counts = f"{own['n']} images, {own['patients']} patients"
        lines.append([row["title"], counts, *(shown(by_method[m]) if m in by_method else "-" for m in methods)])
    return ["AUC", "n", *methods], lines


def _gate_and_retrieval(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    lines = []
    for fitting, scores in results["fittings"].items():
        gate, found = scores["gate_accuracy"], scores["retrieval_r1"]
        lines.append([fitting, "gate accuracy", f"{gate['n']} images", shown(gate), f"{gate['chance']:.3f}"])
        for direction in ("image_to_text", "text_to_image"):
            for name, score in found[direction].items():
                counts = f"{found['n']} images, {found['distinct_captions']} captions"
                what = f"{direction.replace('_', ' ')} {name}"
                lines.append([fitting, what, counts, shown(score), f"{score['chance']:.3f}"])
    return ["fitting", "gate and retrieval", "n", "share", "chance"], lines


def _differences(results: Mapping[str, Any]) -> str:
    lines = [
        [row["title"], row["fitting"], entry["method"], shown(entry["pedclip_minus_this"])]
        for row in results["rows"]
        for entry in row["entries"][1:]
    ]
    return table(["AUC", "fitting", "against", "PedCLIP minus it, same patients"], lines)


def _classes(results: Mapping[str, Any], fitting: str) -> str:
    lines = []
    for row in results["rows"]:
        if row["fitting"] != fitting:
            continue
        own = row["entries"][0]
        for one in own["classes"]:
            seen = {True: "seen in training", False: "not seen", None: "unknown"}[one["seen_in_training"]]
            mean = "yes" if one["in_mean"] else f"no, fewer than {own['min_images']}"
            auc = shown(one) if "value" in one else "-"
            lines.append([row["title"], one["class"], auc, f"{one['n']}, {one['patients']} patients", mean, seen])
    return table(["row", "class", "AUC", "n of the class", "in the mean", "label"], lines)


def _retrieval(results: Mapping[str, Any]) -> str:
    lines, notes = [], []
    for fitting, scores in results["fittings"].items():
        found = scores["retrieval_r1"]
        notes.append(
            f"{fitting}: {found['n']} images, {found['distinct_captions']} distinct captions (the commonest "
            f"{found['largest_caption_group']} times); any item with the same caption is a hit."
        )
        for direction in ("image_to_text", "text_to_image"):
            for name, score in found[direction].items():
                trivial = [row.get(direction, {}).get(name) for row in found["baselines"]]
                cells = [shown(score), f"{score['chance']:.3f}", *(shown(one) if one else "-" for one in trivial)]
                lines.append([fitting, direction.replace("_", " "), name, *cells])
    methods = [row["method"] for row in found["baselines"]]
    return listing(notes) + table(["fitting", "direction", "", "PedCLIP", "chance", *methods], lines)


def _detector_table(detected: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Calibration of the gate, and how well it tells images that it was not trained for from the others."""
    ece = detected["calibration"]
    lines = [["calibration", f"ECE, {ece['n']} known images", shown(ece), "0 if calibrated"]]
    for kind, by_score in detected["abstention"].items():
        for name, score in by_score.items():
            lines.append(["abstention", f"AUC by the {name}, known images against {kind}", shown(score), "0.500"])
    return ["the gate as a detector", "", "value", "chance"], lines


def _how(results: Mapping[str, Any], main: str) -> str:
    prompts = [
        f"{row['title']}, {one['class']}: {'; '.join(one['prompts'])}"
        for row in results["rows"]
        if row["fitting"] == main and ": " not in row["key"]
        for one in row["entries"][0]["classes"]
    ]
    baselines = [
        f"{name}: {settings}; strength chosen on validation" for name, settings in results["baselines"].items()
    ]
    facts = [
        f"kind of classification: {results['body_part_auc']['kind']}",
        f"interval: {results['interval']}, seed {results['seed']}",
        f"versions: {', '.join(f'{name} {number}' for name, number in results['versions'].items())}",
        f"data: SHA-256 {results['data_hash']} over test images and rows",
        *(f"leaks, {name}: {scores['leaks']['says']}" for name, scores in results["fittings"].items()),
    ]
    found = {"Baselines": baselines, "Prompts": prompts, "Repeatability": facts}
    return "".join(f"<h3>{title}</h3>{listing(lines)}" for title, lines in found.items())
