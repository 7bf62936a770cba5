"""The evaluation of `make xr`: both models of a run on the test split, with trivial baselines beside every number.

    python -m pedclip.eval.xr runs/xr --data ../shared/data/xr

Reads RUN/hub (images stretched to a square) and, where it is there, RUN/padded/hub (fitted in and padded); writes
RUN/results.json, RUN/predictions.json and RUN/report.html and prints the table.
"""

import argparse
import dataclasses
import json
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..configuration.data import DataConfig
from ..configuration.training import load_recipe
from ..processing.data.folder import SPLITS, read_folder
from ..processing.data.sample import Sample
from .baselines import BASELINES, PROBE, Baseline, extract, fit_and_score
from .classification import classify, enough
from .embeddings import EmbeddedImages, ModelUnderTest, load_model, model_hash
from .gate import gate_accuracy
from .json_files import write_json
from .leakage import leaks_of
from .predictions import of_gate, of_matching
from .prompt_classification import prompt_classification
from .prompts import Question, questions
from .report import baseline_sentences, markdown_table, write_report
from .retrieval import matching, retrieval_result
from .retrieval_baselines import retrieval_baselines
from .statistics import RESAMPLES, Metric, paired_difference
from .tasks import Settings, data_set_name, detect, provenance

logger = logging.getLogger(__name__)

KERMANY = "Kermany2018-chest_xray"  # the pediatric chests, one hospital
# how images become squares -> where the model that was trained so lies in the run
FITTINGS = {"resize": ("hub", False), "padding": ("padded/hub", True)}

CONFOUNDS = (
    "Not a medical device; nothing here is of clinical use.",
    "The source gives much away: most sources show one body part, at their own size, sharpness and file format, and "
    "hands are mostly 64 pixels wide. Compare the rows by source, and the baseline that sees only the file's shape.",
    "Some sources were squashed to a square before this project got them, so padding, which keeps the others' aspect, "
    "shows which source an image is from.",
    "Most shoulders carry an implant and only wrists show fractures.",
    "Captions are made from the labels, so every class here was seen in training: this is not zero-shot.",
    "FracAtlas patients are blocks of ten neighbouring files and its finer body parts were assigned by eye, not by a "
    "radiologist; its intervals are the least certain ones.",
    "Viral against bacterial pneumonia and the NIH findings come from the data sets' own labels.",
)


@dataclass(frozen=True)
class Row:
    """A line of the table: one question about some of the images."""

    key: str
    title: str
    question: Question
    where: Mapping[str, Sequence[Any]] | None = None


def headline_rows() -> list[Row]:
    asked = questions()
    return [
        Row("body_part_auc", "body part, all sources", asked["body-part"]),
        Row("pneumonia_auc", "pneumonia, pediatric chests (Kermany)", asked["pneumonia"], {"source": [KERMANY]}),
        Row("viral_bacterial_auc", "viral against bacterial pneumonia", asked["viral-bacterial"]),
        Row("scoliosis_auc", "scoliosis against normal spine", asked["scoliosis"]),
    ]


def rows_by_source(samples: Sequence[Sample]) -> list[Row]:
    """Each question within each source that has two of its classes; there the source cannot give the answer away."""
    sources = sorted({str(sample.row["source"]) for sample in samples if sample.row.get("source")})
    taken = [row.question.select(samples, row.where).indices for row in headline_rows()]
    rows = []
    for question in questions().values():
        for source in sources:
            where = {"source": [source]}
            selection = question.select(samples, where)
            # a question that has only this source stands in the table already
            if enough(selection.labels, question.min_images) and selection.indices not in taken:
                rows.append(
                    Row(
                        f"{question.name.replace('-', '_')}_auc: {source}",
                        f"{question.name}, {source}",
                        question,
                        where,
                    )
                )
    return rows


@dataclass(frozen=True)
class Fitting:
    """One way of making images square: the model trained so, and the baselines' features of all splits."""

    name: str
    tested: ModelUnderTest
    images: Mapping[str, EmbeddedImages]  # by split
    features: Mapping[str, Mapping[str, Any]]  # split -> baseline -> (N, F)


def evaluate_row(
    row: Row, fitting: Fitting, samples: Mapping[str, list[Sample]], data: DataConfig, seed: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The model, by prompts and by a linear probe, and every baseline; each with the prompts' lead over it.

    The second are their predictions by method, of the same test images.
    """
    drawn = {"resamples": RESAMPLES, "seed": seed}
    of_model = prompt_classification(
        fitting.tested, fitting.images["test"], row.question, data, where=row.where, **drawn
    )
    selections = {split: row.question.select(samples[split], row.where) for split in SPLITS}
    test = selections["test"]
    patients = [samples["test"][index].patient_id for index in test.indices]
    entries: list[dict[str, Any]] = [{"method": "PedCLIP", "fitting": fitting.name, **of_model.result}]
    predictions = {"PedCLIP": of_model.predictions}

    def part(baseline: Baseline, split: str):
        own = baseline is PROBE
        features = fitting.images[split].embeds if own else fitting.features[split][baseline.name]
        return features[selections[split].indices], selections[split].labels

    for baseline in (PROBE, *BASELINES.values()):
        if not enough(selections["train"].labels, 1):
            continue  # nothing to train it on
        scores, strength = fit_and_score(
            baseline, test.classes, part(baseline, "train"), part(baseline, "validation"), part(baseline, "test")[0]
        )
        scored = classify(test.labels, test.classes, scores, patients, min_images=row.question.min_images, **drawn)
        predictions[baseline.name] = scored.predictions
        entries.append(
            {
                "method": baseline.name,
                "fitting": fitting.name,
                "strength": strength,
                **scored.result,
                "pedclip_minus_this": lead(of_model.metric, scored.metric, patients, seed),
            }
        )
    return entries, predictions


def evaluate_retrieval(
    fitting: Fitting, samples: Mapping[str, list[Sample]], data: DataConfig, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model's R@k with chance, and what trivial methods retrieve from the same images and captions; its ranks."""
    drawn = {"resamples": RESAMPLES, "seed": seed}
    own = matching(fitting.tested, fitting.images["test"], data)
    result = {
        **retrieval_result(own, fitting.images["test"], data, **drawn),
        "baselines": retrieval_baselines(own, samples, fitting.features, data, **drawn),
    }
    return result, of_matching(own, fitting.images["test"])


def lead(metric: Metric, other: Metric, patients: Sequence[str], seed: int) -> dict[str, Any]:
    return paired_difference(metric, other, patients, RESAMPLES, seed).to_dict()


def evaluate_run(run: Path, data_folder: Path | None, seed: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Everything the report shows, as one dictionary, and what each method said of each test image.

    LeakError where a model was trained on a test image or on a test patient.
    """
    began = time.monotonic()
    data = run_data(run, data_folder)
    samples = {split: read_folder(data, split=split, need_caption=False) for split in SPLITS}
    rows = [*headline_rows(), *rows_by_source(samples["test"])]
    results: dict[str, Any] = {"rows": [], "fittings": {}}
    said: dict[str, Any] = {}
    for name, (place, keep_aspect_ratio) in FITTINGS.items():
        if not (run / place).is_dir():
            logger.warning("no model in %s, so nothing is reported for images made square by %s", run / place, name)
            continue
        leaks = leaks_of(run / place, samples["test"], data.datasets)
        tested = load_model(run / place)
        own = tested.processor.image_processor.keep_aspect_ratio
        if own != keep_aspect_ratio:
            raise ValueError(f"{run / place} has keep_aspect_ratio={own}; the one for {name} has {keep_aspect_ratio}")
        fitting = Fitting(
            name,
            tested,
            {split: tested.embed_images(samples[split], data) for split in SPLITS},
            {split: extract(samples[split], keep_aspect_ratio) for split in SPLITS},
        )
        scores: dict[str, Any] = {"model_hash": model_hash(run / place), "leaks": leaks}
        told = said[name] = {"model_hash": scores["model_hash"]}
        for row in rows:
            entries, told[row.key] = evaluate_row(row, fitting, samples, data, seed)
            scores[row.key] = entries[0]
            results["rows"].append({"key": row.key, "title": row.title, "fitting": name, "entries": entries})
        scores["retrieval_r1"], told["retrieval_r1"] = evaluate_retrieval(fitting, samples, data, seed)
        test = fitting.images["test"]
        scores["gate_accuracy"] = gate_accuracy(test, tested.body_parts, seed=seed)
        told["gate_accuracy"] = of_gate(test, tested.body_parts)
        detected = detect("gate-detector", tested, test, Settings(data, None, RESAMPLES, seed))
        told["gate_detector"] = detected.pop("predictions")
        scores["gate_detector"] = detected
        results["fittings"][name] = scores
    if not results["fittings"]:
        raise FileNotFoundError(f"{run} has no model: neither {' nor '.join(place for place, _ in FITTINGS.values())}")
    main = next(iter(results["fittings"]))
    whole = {
        **{key: score for key, score in results["fittings"][main].items() if ": " not in key},
        "headline_fitting": main,
        "data_set": data_set_name(data),
        "split": "test",
        "images": {split: len(part) for split, part in samples.items()},
        "patients": {split: len({sample.patient_id for sample in part}) for split, part in samples.items()},
        "body_parts": {split: len({sample.body_part for sample in part}) for split, part in samples.items()},
        "training_minutes": {name: minutes(lines) for name, lines in curves(run).items()},
        "sources_with_one_body_part": one_part_sources(samples["train"]),
        **results,
        "baselines": {baseline.name: baseline.settings for baseline in (PROBE, *BASELINES.values())},
        "confounds": CONFOUNDS,
        **provenance(samples["test"], seed, RESAMPLES),
        "seconds": round(time.monotonic() - began, 1),
    }
    return whole, {"data_hash": whole["data_hash"], "fittings": said}


def run_data(run: Path, data_folder: Path | None) -> DataConfig:
    """The data as the run's recipe describes them, wherever they lie now."""
    recipe = run / "recipe.yaml"
    if recipe.is_file():
        data = load_recipe(recipe).data
        return dataclasses.replace(data, path=str(data_folder)) if data_folder is not None else data
    if data_folder is None:
        raise ValueError(f"{recipe} is missing; name the folder of images with --data")
    return DataConfig(path=str(data_folder))


def one_part_sources(samples: Sequence[Sample]) -> str:
    parts: dict[str, set[str | None]] = defaultdict(set)
    for sample in samples:
        parts[str(sample.row.get("source"))].add(sample.body_part)
    return f"{sum(len(shown) == 1 for shown in parts.values())} of {len(parts)}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the run: hub/, padded/hub/, recipe.yaml, metrics.jsonl")
    parser.add_argument("--data", type=Path, help="folder of images, where it differs from the recipe's")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        results, predictions = evaluate_run(args.run, args.data, args.seed)
    except (ValueError, OSError) as error:
        print(f"pedclip.eval.xr: {error}", file=sys.stderr)
        return 2
    write_json(args.run / "results.json", results)
    write_json(args.run / "predictions.json", predictions)
    write_report(args.run / "report.html", results, curves(args.run))
    print(markdown_table(results))
    print("\n".join(["", *baseline_sentences(results), ""]))
    print(f"Written: {args.run}/results.json, predictions.json and report.html, in {results['seconds']:.0f} s")
    return 0


def curves(run: Path) -> dict[str, list[dict[str, Any]]]:
    """The training's metrics.jsonl of each model of the run."""
    found = {}
    for name, (place, _) in FITTINGS.items():
        path = (run / place).parent / "metrics.jsonl"
        if path.is_file():
            found[name] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return found


def minutes(lines: Sequence[Mapping[str, Any]]) -> float | None:
    """How long a training took, by its own clock, which stands still while it is stopped."""
    told = [line["seconds"] for line in lines if "seconds" in line]
    return round(told[-1] / 60, 1) if told else None


if __name__ == "__main__":
    sys.exit(main())
