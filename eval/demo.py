"""The evaluation of `make demo`: a phantom model on unseen patients, by finding, dose and age, beside trivial methods.

    python -m pedclip.eval.demo runs/demo

Reads RUN/hub, RUN/phantom and, for the doses, RUN/phantom-dose-*; writes RUN/results.json and RUN/predictions.json and
prints the table. The films are generated: the numbers show that the software works and say nothing about medicine.
"""

import argparse
import dataclasses
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from ..configuration.data import DataConfig
from ..configuration.training import load_recipe
from ..processing.data.folder import read_folder
from ..processing.data.sample import Sample
from ..processing.phantom.rows import AGE_BANDS
from .baselines import BASELINES, extract, fit_and_score
from .classification import Classification, classify
from .embeddings import EmbeddedImages, ModelUnderTest, load_model, model_hash
from .gate import gate_accuracy
from .json_files import write_json
from .leakage import leaks_of
from .predictions import of_gate
from .prompt_classification import prompt_classification
from .prompts import Question, question_file, questions
from .retrieval import retrieval
from .statistics import RESAMPLES, among, below_chance, estimate, mean_of
from .tasks import provenance, shown

logger = logging.getLogger(__name__)


DOSES = {"1": "phantom", "1/4": "phantom-dose-1-4", "1/16": "phantom-dose-1-16"}
TRAINED_ON = 2500  # films that a trivial method learns from: more take minutes and hardly raise it
NOTE = (
    "Phantom films are generated from geometric solids. These numbers prove that the software works; they say nothing "
    "about medicine and stand under the data set pedclip/phantom (synthetic)."
)


def finding_questions(name: str) -> dict[str, Question]:
    return {key: asked for key, asked in questions(question_file(name)).items() if key != "body-part"}


def mean_finding(answers: Mapping[str, tuple[Classification, list[int]]], patients: Sequence[str], seed: int):
    """The mean AUC over findings, all resampled together: each finding has its own films, patients are shared."""
    metrics = [among(answer.metric, rows) for answer, rows in answers.values()]
    found = estimate(mean_of(metrics), patients, RESAMPLES, seed)
    return {**found.to_dict(), **below_chance(found)}


def ask_all(
    tested: ModelUnderTest,
    images: EmbeddedImages,
    asked: Mapping[str, Question],
    data: DataConfig,
    seed: int,
    where: Mapping[str, Sequence[Any]] | None = None,
    resamples: int = RESAMPLES,
) -> dict[str, tuple[Classification, list[int]]]:
    """Every question that the films can answer, with the numbers of the films that it is about."""
    answers = {}
    for name, question in asked.items():
        selection = question.select(images.samples, where)
        if min((selection.labels.count(one) for one in selection.classes), default=0) >= question.min_images:
            answer = prompt_classification(tested, images, question, data, where=where, resamples=resamples, seed=seed)
            answers[name] = (answer, selection.indices)
    return answers


def baselines_of(
    samples: Mapping[str, list[Sample]], asked: Mapping[str, Question], seed: int
) -> dict[str, dict[str, tuple[Classification, list[int]]]]:
    """Each trivial method on each question: trained on the train split, its strength chosen on validation."""
    random = np.random.default_rng(seed)
    few = dict(samples)
    healthy_twins_out = [sample for sample in samples["train"] if not sample.row["study_id"].endswith("-twin")]
    order = random.permutation(len(healthy_twins_out))[:TRAINED_ON]
    few["train"] = [healthy_twins_out[index] for index in sorted(order)]
    features = {split: _extract_in_parallel(part) for split, part in few.items()}
    found: dict[str, dict[str, tuple[Classification, list[int]]]] = {}
    for baseline in BASELINES.values():
        if baseline.name.endswith("height"):  # every phantom film has the same size
            continue
        answers = {}
        for name, question in asked.items():
            chosen = {split: question.select(part) for split, part in few.items()}
            classes = chosen["test"].classes
            if any(one not in chosen["train"].labels for one in classes) or len(set(chosen["validation"].labels)) < 2:
                continue  # nothing to learn it from
            train, validation, test = (
                (features[split][baseline.name][chosen[split].indices], chosen[split].labels)
                for split in ("train", "validation", "test")
            )
            scores, _ = fit_and_score(baseline, classes, train, validation, test[0])
            patients = [few["test"][index].patient_id for index in chosen["test"].indices]
            scored = classify(
                test[1], classes, scores, patients, min_images=question.min_images, resamples=RESAMPLES, seed=seed
            )
            answers[name] = (scored, chosen["test"].indices)
        found[baseline.name] = answers
    return found


def _extract_in_parallel(samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    parts = [samples[first : first + 200] for first in range(0, len(samples), 200)]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        found = list(pool.map(extract, parts, [False] * len(parts)))
    return {name: np.concatenate([one[name] for one in found]) for name in BASELINES}


def evaluate_demo(run: Path, seed: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Everything that the report shows, as one dictionary, and what each method said of each test film.

    LeakError where the model was trained on a test film or on a test patient.
    """
    began = time.monotonic()
    recipe = load_recipe(run / "recipe.yaml")
    data = dataclasses.replace(recipe.data, path=str(run / DOSES["1"]))
    asked = finding_questions(recipe.questions)
    body_part = questions(question_file(recipe.questions))["body-part"]
    samples = {split: read_folder(data, split=split, need_caption=False) for split in ("train", "validation", "test")}
    test = samples["test"]
    leaks = leaks_of(run / "hub", test, data.datasets)
    tested = load_model(run / "hub")
    patients = [sample.patient_id for sample in test]
    images = tested.embed_images(test, data)

    answers = ask_all(tested, images, asked, data, seed)
    if not answers:
        raise ValueError(f"{len(test)} test films are too few to ask about any finding; draw more patients")
    parts = prompt_classification(tested, images, body_part, data, seed=seed)
    gate = gate_accuracy(images, tested.body_parts, seed=seed)
    trivial = baselines_of(samples, {**{name: asked[name] for name in answers}, "body-part": body_part}, seed)
    rows = [_row("body part", "body-part", parts.result, trivial)]
    rows += [_row(name.replace("-", " "), name, answer.result, trivial) for name, (answer, _) in answers.items()]
    means = {"PedCLIP": mean_finding(answers, patients, seed)}
    for name, by_question in trivial.items():
        able = {key: by_question[key] for key in answers if key in by_question}
        if able:
            means[name] = mean_finding(able, patients, seed)

    results: dict[str, Any] = {
        "note": NOTE,
        "data_set": "pedclip/phantom (synthetic)",
        "body_part_auc": parts.result,
        "finding_auc": {
            **means["PedCLIP"],
            "classes": [row["entries"][0] | {"class": row["title"]} for row in rows[1:]],
        },
        "gate_accuracy": gate,
        "finding_auc_of_baselines": {name: value for name, value in means.items() if name != "PedCLIP"},
        "rows": rows,
        "by_dose": _by_dose(run, tested, asked, body_part, data, seed),
        "by_age": _by_age(tested, images, asked, data, seed),
        "retrieval_r1": retrieval(tested, images, data, seed=seed),
        "images": {split: len(part) for split, part in samples.items()},
        "patients": {split: len({sample.patient_id for sample in part}) for split, part in samples.items()},
        "baselines": {name: BASELINES[name].settings + f"; {TRAINED_ON} films" for name in trivial},
        "model_hash": model_hash(run / "hub"),
        "leaks": leaks,
        **provenance(test, seed, RESAMPLES),
    }
    results["evaluation_seconds"] = round(time.monotonic() - began, 1)
    own = {"body-part": parts, **{name: answer for name, (answer, _) in answers.items()}}
    predictions = {
        "model_hash": results["model_hash"],
        "data_hash": results["data_hash"],
        "gate": of_gate(images, tested.body_parts),
        "questions": {
            name: {"PedCLIP": answer.predictions}
            | {method: found[name][0].predictions for method, found in trivial.items() if name in found}
            for name, answer in own.items()
        },
    }
    return results, predictions


def _row(title: str, key: str, own: Mapping[str, Any], trivial: Mapping[str, Any]) -> dict[str, Any]:
    entries = [{"method": "PedCLIP", **own}]
    entries += [{"method": name, **answers[key][0].result} for name, answers in trivial.items() if key in answers]
    return {"title": title, "key": key, "entries": entries}


def _by_dose(run: Path, tested: ModelUnderTest, asked, body_part: Question, data: DataConfig, seed: int):
    """The same patients in the same pose at another dose: only the quantum noise differs."""
    found = {}
    for dose, folder in DOSES.items():
        if not (run / folder).is_dir():
            continue
        here = dataclasses.replace(data, path=str(run / folder))
        films = read_folder(here, split="test", need_caption=False)
        images = tested.embed_images(films, here)
        answers = ask_all(tested, images, asked, here, seed, resamples=0)
        found[dose] = {
            "finding_auc": mean_finding(answers, [film.patient_id for film in films], seed),
            "body_part_auc": prompt_classification(tested, images, body_part, here, seed=seed).result,
            "gate_accuracy": gate_accuracy(images, tested.body_parts, seed=seed),
            "findings": {name: answer.result["value"] for name, (answer, _) in answers.items()},
        }
    return found


def _by_age(tested: ModelUnderTest, images: EmbeddedImages, asked, data: DataConfig, seed: int):
    found = {}
    patients = [sample.patient_id for sample in images.samples]
    for band in AGE_BANDS:
        where = {"age_band": [band]}
        answers = ask_all(tested, images, asked, data, seed, where=where, resamples=0)
        if answers:
            found[band] = {
                "finding_auc": mean_finding(answers, patients, seed),
                "films": sum(sample.row["age_band"] == band for sample in images.samples),
                "findings": {name: answer.result["value"] for name, (answer, _) in answers.items()},
            }
    return found


def table(results: Mapping[str, Any]) -> str:
    """The whole result in lines for the terminal."""
    finding, part, gate = (results[key] for key in ("finding_auc", "body_part_auc", "gate_accuracy"))
    trivial = sorted(results["finding_auc_of_baselines"].items(), key=lambda item: -item[1]["value"])
    lines = [
        f"Unseen patients: {results['patients']['test']}, films {results['images']['test']}. {NOTE}",
        "",
        f"  body part, macro AUC        {shown(part)}",
        f"  findings, mean AUC          {shown(finding)}",
        *(f"    {name:<25} {shown(value)}" for name, value in trivial),
        f"  gate accuracy               {shown(gate)}",
        "",
        f"  {'finding':<26} {'AUC':<24} {'films':>6} {'with':>5}   trivial methods",
    ]
    for row in results["rows"][1:]:
        own, *others = row["entries"]
        positive = own["classes"][0]["n"]
        beside = ", ".join(f"{entry['value']:.2f}{_flag(entry)}" for entry in others)
        lines.append(f"  {row['title']:<26} {shown(own):<24} {own['n']:>6} {positive:>5}   {beside}")
    lines.append(f"  trivial methods: {', '.join(results['finding_auc_of_baselines'])}")
    for name, label in (("by_dose", "dose"), ("by_age", "age, years")):
        means = {key: value["finding_auc"] for key, value in results[name].items()}
        told = "; ".join(f"{key}: {mean['value']:.3f}{_flag(mean)}" for key, mean in means.items())
        lines.append(f"  mean finding AUC by {label}: {told}")
    return "\n".join(lines)


def _flag(score: Mapping[str, Any]) -> str:
    return " below chance" if score.get("below_chance") else ""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the run: hub/, phantom/, recipe.yaml")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        results, predictions = evaluate_demo(args.run, args.seed)
    except (ValueError, OSError) as error:
        print(f"pedclip.eval.demo: {error}", file=sys.stderr)
        return 2
    write_json(args.run / "results.json", results)
    write_json(args.run / "predictions.json", predictions)
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
