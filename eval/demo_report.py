"""The page of `make demo`: what the model was shown, what it says, and how sure the numbers are."""

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from ..configuration.data import DataConfig
from ..configuration.training import load_recipe
from ..processing.data.folder import read_folder
from ..processing.data.sample import Sample
from .demo import DOSES
from .embeddings import ModelUnderTest, load_model
from .page import listing, page, table, text
from .plots import auc_plot, confusion_plot, response_plot, training_plot
from .prompt_classification import logits_of
from .prompts import Question, question_file, questions
from .relevance import relevance
from .relevance_page import picture_of
from .tasks import shown

MAPPED = ("chest", "knee", "whole_spine")  # whose films get a relevance map
EXAMPLES = ("chest", "knee", "hand", "whole_spine", "elbow", "pelvis", "wrist", "ankle")


def write_demo_report(run: Path, results: Mapping[str, Any]) -> None:
    """Writes RUN/report.html, whole or not at all."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines() if line]
    rows = results["rows"]
    gate = results["gate_accuracy"]
    parts = [
        "<h1>PedCLIP on phantom radiographs</h1>",
        f'<p class="warn"><strong>Software, not medicine.</strong> {text(results["note"])}</p>',
        f"<p>Trained from nothing on {results['images']['train']} generated films of {results['patients']['train']} "
        f"children who never lived; tested on {results['images']['test']} films of {results['patients']['test']} "
        "others, asked in sentences that no training report holds. The whole demo took "
        f"{results['seconds'] / 60:.1f} minutes; its largest process held {results['peak_rss_gib']:.1f} GiB.</p>",
        _headline(results),
        _who_wins(results),
        "<h2>What it says</h2>",
        "<p>Test films, and the three findings whose prompts fit best of those that the body part can have: the score "
        "is the softmax of “there is this finding” against “no finding”. Green: it is there.</p>",
        *_examples(run),
        "<h2>By finding</h2>",
        _by_finding(rows),
        f'<div class="wide">{auc_plot(rows)}</div>',
        "<h2>Dose and age</h2>",
        "<p>The paper's “lower dose, other anatomy”, made visible. The same test patients in the same pose at a "
        "quarter and a sixteenth of the exposure: only the quantum noise differs.</p>",
        f'<div class="wide">{_responses(results)}</div>',
        _doses_and_ages(results),
        "<h2>The gate</h2>",
        f"<p>Accuracy {shown(gate)}, n {gate['n']}; always the commonest part would reach {gate['chance']:.3f}.</p>",
        f'<div class="wide">{confusion_plot(gate["confusion"])}</div>',
    ]
    curves = training_plot(lines)
    if curves:
        parts += ["<h2>Training</h2>", f'<div class="wide">{curves}</div>']
    parts += ["<h2>How it was done</h2>", _how(results)]
    new = run / ".report.html.new"
    new.write_text(page("PedCLIP demo", parts), encoding="utf-8")
    new.replace(run / "report.html")


def _headline(results: Mapping[str, Any]) -> str:
    trivial = results["finding_auc_of_baselines"]
    part = {entry["method"]: shown(entry) for entry in results["rows"][0]["entries"]}
    lines = [
        ["body part, macro AUC", *(part.get(name, "-") for name in ("PedCLIP", *trivial))],
        ["findings, mean AUC", shown(results["finding_auc"]), *(shown(value) for value in trivial.values())],
        ["gate accuracy", shown(results["gate_accuracy"]), *("-" for _ in trivial)],
    ]
    return table(["unseen patients", "PedCLIP", *trivial], lines)


def _who_wins(results: Mapping[str, Any]) -> str:
    own = results["finding_auc"]["value"]
    better = [name for name, value in results["finding_auc_of_baselines"].items() if value["value"] > own]
    if not better:
        return "<p>No trivial method has a higher mean AUC over the findings.</p>"
    return f"<p><strong>On the findings {text(' and '.join(better))} does better than PedCLIP.</strong></p>"


def _by_finding(rows: Sequence[Mapping[str, Any]]) -> str:
    methods = list(dict.fromkeys(entry["method"] for row in rows for entry in row["entries"]))
    lines = []
    for row in rows:
        by_method = {entry["method"]: entry for entry in row["entries"]}
        own = row["entries"][0]
        positive = f"{own['classes'][0]['n']} with it" if row["key"] != "body-part" else f"{len(own['classes'])} parts"
        counts = f"{own['n']} films, {positive}, {own['patients']} patients"
        lines.append([row["title"], counts, *(shown(by_method[m]) if m in by_method else "-" for m in methods)])
    return table(["AUC", "n", *methods], lines, mark_best=True)


def _responses(results: Mapping[str, Any]) -> str:
    return response_plot(
        {
            "dose": {key: value["finding_auc"] for key, value in results["by_dose"].items()},
            "age, years": {key: value["finding_auc"] for key, value in results["by_age"].items()},
        }
    )


def _doses_and_ages(results: Mapping[str, Any]) -> str:
    names = [row["key"] for row in results["rows"][1:]]
    columns = [*(("dose " + key, value) for key, value in results["by_dose"].items())]
    columns += [(f"age {key}", value) for key, value in results["by_age"].items()]
    lines = [["mean", *(shown(value["finding_auc"]) for _, value in columns)]]
    for name in names:
        cells = [f"{value['findings'][name]:.3f}" if name in value["findings"] else "-" for _, value in columns]
        lines.append([name.replace("-", " "), *cells])
    return table(["finding, AUC", *(title for title, _ in columns)], lines)


def _how(results: Mapping[str, Any]) -> str:
    prompts = [
        f"{row['title']}, {one['class']}: {'; '.join(one['prompts'])}"
        for row in results["rows"][1:]
        for one in row["entries"][0]["classes"]
    ]
    facts = [
        *(f"{name}: {settings}; strength chosen on validation" for name, settings in results["baselines"].items()),
        f"interval: {results['interval']}, seed {results['seed']}",
        f"versions: {', '.join(f'{name} {number}' for name, number in results['versions'].items())}",
        f"data: {results['data_set']}, SHA-256 {results['data_hash']} over test films and rows",
        f"leaks: {results['leaks']['says']}",
    ]
    return f"<h3>Prompts</h3>{listing(prompts)}<h3>Baselines and repeatability</h3>{listing(facts)}"


# ---- example films


def _examples(run: Path) -> list[str]:
    recipe = load_recipe(run / "recipe.yaml")
    data = DataConfig(path=str(run / DOSES["1"]))
    samples = read_folder(data, split="test", need_caption=False)
    tested = load_model(run / "hub")
    asked = {key: value for key, value in questions(question_file(recipe.questions)).items() if key != "body-part"}
    cards = []
    for part in EXAMPLES:
        sick = next((one for one in samples if one.body_part == part and one.findings), None)
        if sick is not None:
            cards.append(_card(tested, sick, asked, data))
    return [
        f'<div class="films">{"".join(cards)}</div>',
        "<h2>What it looks at</h2>",
        "<p>The first film of a part with a finding, the patches that the similarity with it rests on (more than that "
        "with “no finding”), and the experts.</p>",
        *_maps(tested, samples, asked, data),
    ]


def _maps(
    tested: ModelUnderTest, samples: Sequence[Sample], asked: Mapping[str, Question], data: DataConfig
) -> list[str]:
    figures = []
    for part in MAPPED:
        sick = ((one, question_of(one, asked)) for one in samples if one.body_part == part)
        sample, question = next(((one, found) for one, found in sick if found is not None), (None, None))
        if sample is not None and question is not None:
            text_of, against = (question.prompts_of(name, body_part=part)[0] for name in question.classes or {})
            found = relevance(tested.model, tested.processor, str(sample.path), text_of, against=against)
            figures.append(picture_of(found, private=False))
    return figures


def question_of(sample: Sample, asked: Mapping[str, Question]) -> Question | None:
    """The first question whose finding the film has, each asked as the finding against its absence."""
    return next(
        (one for one in asked.values() if one.select([sample]).labels == [next(iter(one.classes or {}))]),
        None,
    )


def _card(tested: ModelUnderTest, sample: Sample, asked: Mapping[str, Any], data: DataConfig) -> str:
    images = tested.embed_images([sample], data)
    scores = []
    for question in asked.values():
        if sample.body_part not in question.rows["body_part"]:
            continue
        there, not_there = logits_of(tested, images, question, [0], list(question.classes), data)[0]
        scores.append((float(there - not_there), next(iter(question.classes))))
    gate = images.gates[-1][0]
    said = []
    for logit, name in sorted(scores, reverse=True)[:3]:
        mark = ' class="there"' if name in sample.findings else ""
        said.append(f"<li{mark}>{text(name)} {_probability(logit):.2f}</li>")
    truth = f"{(sample.body_part or '').replace('_', ' ')}, {int(sample.row['age_months']) // 12} y: "
    truth += ", ".join(sample.findings)
    seen = tested.body_parts[int(gate.argmax())].replace("_", " ")
    return (
        f'<figure><img src="{_png(sample.path)}" alt="{text(truth)}"><figcaption><strong>{text(truth)}</strong>'
        f"<br>gate: {text(seen)} {gate.max():.2f}<ol>{''.join(said)}</ol></figcaption></figure>"
    )


def _probability(logit: float) -> float:

    return 1 / (1 + math.exp(-max(min(logit, 50.0), -50.0)))


def _png(path: Path) -> str:
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.convert("L").save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
