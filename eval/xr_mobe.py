"""`make xr-mobe`: experts against a plain MLP on the real radiographs, at the same budget, several seeds.

    python -m pedclip.eval.xr_mobe runs/xr-mobe --data ../shared/data/xr

Trains every arm of a design (xr_mobe.yaml) with every seed, two at a time with a thread each; a run that is finished
stays, one that was stopped goes on. Then all are asked the questions of `make xr` by prompts, on the same test images.
Writes OUT/results.json and prints the table. Positive differences are in favour of the first arm.
"""

# Shapes: N images
import argparse
import dataclasses
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tqdm.auto import tqdm

from ..configuration.data import DataConfig
from ..configuration.training import TrainConfig, load_recipe
from ..processing.data.folder import read_folder
from ..processing.data.sample import Sample
from .bench.stored import remember
from .embeddings import load_model, model_hash
from .json_files import write_json
from .leakage import leaks_of
from .prompt_classification import prompt_classification
from .retrieval import chance_of_hit, matching
from .statistics import RESAMPLES, Estimate, Metric, below_chance, estimate, mean_of, paired_difference, share_metric
from .tasks import data_set_name, provenance, shown
from .xr import headline_rows, rows_by_source

DESIGN = Path(__file__).with_name("xr_mobe.yaml")
RECIPES = Path(__file__).resolve().parents[1] / "configuration" / "recipes"
AT_ONCE = 2  # a second thread on one run saves a fifth, not half
POLL_SECONDS = 1.0
FINISHED = "finished.json"


@dataclass(frozen=True)
class Design:
    """What is compared; a file of its own, so that it is fixed before the first run."""

    recipe: Path
    set: Mapping[str, Any]
    arms: Mapping[str, Mapping[str, Any]]  # name -> keys of the recipe that this arm changes
    seeds: Sequence[int]
    headline: str  # key of a row
    limits: Sequence[str]  # what the comparison cannot show; they go with the results

    def overrides(self, arm: str, seed: int) -> list[str]:
        return [f"{key}={json.dumps(value)}" for key, value in {**self.set, **self.arms[arm], "seed": seed}.items()]

    def config(self, arm: str, seed: int) -> TrainConfig:
        return load_recipe(self.recipe, self.overrides(arm, seed))


@dataclass(frozen=True)
class Run:
    """One training of the design."""

    arm: str
    seed: int
    folder: Path

    @property
    def finished(self) -> bool:
        return (self.folder / FINISHED).is_file()

    def lines(self) -> list[dict[str, Any]]:
        """metrics.jsonl as far as it is written; a line that is being written is left out."""
        file = self.folder / "metrics.jsonl"
        if not file.is_file():
            return []
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def read_design(path: Path) -> Design:
    """A design from YAML; a recipe is named by its file in configuration/recipes, or by a path."""
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    fields = {field.name for field in dataclasses.fields(Design)}
    if not isinstance(values, dict) or values.keys() != fields:
        raise ValueError(
            f"{path.name} has {', '.join(values or ())}; a design has exactly {', '.join(sorted(fields))}"
        )
    if len(values["arms"]) < 2 or not values["seeds"] or len(set(values["seeds"])) < len(values["seeds"]):
        raise ValueError(
            f"{path.name} has {len(values['arms'])} arms and the seeds {values['seeds']}; give two arms or more, and "
            "each seed once"
        )
    shipped = RECIPES / values["recipe"]
    return Design(**{**values, "recipe": shipped if shipped.is_file() else Path(values["recipe"])})


def train_all(design: Design, out: Path, data_folder: Path | None) -> list[Run]:
    """Every run of the design, trained; those of one seed side by side, so that what slows one slows the other."""
    runs = [Run(arm, seed, out / f"{arm}-{seed}") for seed in design.seeds for arm in design.arms]
    waiting = [run for run in runs if not run.finished]
    epochs = design.config(runs[0].arm, runs[0].seed).epochs
    running: dict[Run, subprocess.Popen] = {}
    try:
        with tqdm(total=len(runs) * epochs, unit="epoch", desc="training", disable=not waiting) as bar:
            while waiting or running:
                while waiting and len(running) < AT_ONCE:
                    run = waiting.pop(0)
                    running[run] = _begin(design, run, data_folder)
                for run in [run for run, process in running.items() if process.poll() is not None]:
                    _end(run, running.pop(run).returncode)
                    bar.write(f"{run.arm}, seed {run.seed}: trained in {_seconds(run) / 60:.1f} minutes")
                bar.n = sum(epochs if run.finished else _epochs(run) for run in runs)
                bar.refresh()
                if running:
                    time.sleep(POLL_SECONDS)
    finally:
        for process in running.values():
            process.terminate()
            process.wait()
    return runs


def _begin(design: Design, run: Run, data_folder: Path | None) -> subprocess.Popen:
    run.folder.mkdir(parents=True, exist_ok=True)
    overrides = design.overrides(run.arm, run.seed)
    if data_folder is not None:
        overrides.append(f"data.path={json.dumps(str(data_folder))}")
    command = [sys.executable, "-m", "pedclip.train", str(design.recipe), "--output", str(run.folder)]
    command += [word for override in overrides for word in ("--set", override)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with (run.folder / "log.txt").open("a", encoding="utf-8") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)


def _end(run: Run, status: int) -> None:
    if status:
        last = (run.folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise ValueError(
            f"the training in {run.folder} ended with {status}: {' '.join(last)}; see log.txt there. The same command "
            "goes on"
        )
    write_json(run.folder / FINISHED, {"seconds": _seconds(run)})


def _seconds(run: Run) -> float:
    return round(max((line["seconds"] for line in run.lines() if "seconds" in line), default=0.0), 1)


def _epochs(run: Run) -> float:
    return max((line["epoch"] for line in run.lines() if "epoch" in line), default=0.0)


@dataclass(frozen=True)
class Asked:
    """One question to one trained model: its metric over some test images, which all models share."""

    title: str
    metric_name: str
    chance: float
    metric: Metric
    patients: Sequence[str]


def ask_model(folder: Path, samples: Sequence[Sample], data: DataConfig) -> tuple[dict[str, Asked], int]:
    """Every row of `make xr` by prompts, and retrieval in both directions; and how many parameters the model has."""
    tested = load_model(folder)
    images = tested.embed_images(samples, data)
    asked = {}
    for row in [*headline_rows(), *rows_by_source(samples)]:
        answer = prompt_classification(tested, images, row.question, data, where=row.where, resamples=0)
        chosen = row.question.select(samples, row.where).indices
        patients = [samples[index].patient_id for index in chosen]
        asked[row.key] = Asked(row.title, "AUC", answer.result["chance"], answer.metric, patients)
    found = matching(tested, images, data)
    patients = [samples[index].patient_id for index in found.indices]
    chance = chance_of_hit(found.same.sum(1), 1)
    for direction, ranks in found.ranks.items():
        words = direction.replace("_", " ")
        asked[f"{direction}_r1"] = Asked(f"retrieval, {words}", "R@1", chance, share_metric(ranks < 1), patients)
    return asked, sum(weight.numel() for weight in tested.model.parameters())


def compare(
    answers: Mapping[str, Sequence[Mapping[str, Asked]]], resamples: int = RESAMPLES, seed: int = 0
) -> list[dict[str, Any]]:
    """Rows of {arms: the mean over seeds, differences: the first arm less each other one on the same patients}.

    `answers` has for each arm one {key: Asked} a seed. A mean over seeds is resampled as one metric, so its interval
    is over patients alone; `by_seed` has each.
    """
    first, *others = answers
    rows = []
    for key, example in answers[first][0].items():
        metrics = {arm: [one[key].metric for one in of_seeds] for arm, of_seeds in answers.items()}
        for of_seeds in answers.values():
            if any(list(one[key].patients) != list(example.patients) for one in of_seeds):
                raise ValueError(f"{key}: the models were not asked about the same images; train them on one data set")
        patients = example.patients
        by_seed = {arm: [_plain(metric, len(patients)) for metric in of_seeds] for arm, of_seeds in metrics.items()}
        means = {arm: mean_of(of_seeds) for arm, of_seeds in metrics.items()}
        rows.append(
            {
                "key": key,
                "title": example.title,
                "metric": example.metric_name,
                "chance": example.chance,
                "arms": {
                    arm: _of_arm(estimate(mean, patients, resamples, seed), example) | {"by_seed": by_seed[arm]}
                    for arm, mean in means.items()
                },
                "differences": {
                    arm: {
                        **paired_difference(means[first], means[arm], patients, resamples, seed).to_dict(),
                        "by_seed": [a - b for a, b in zip(by_seed[first], by_seed[arm], strict=True)],
                    }
                    for arm in others
                },
            }
        )
    return rows


def _of_arm(found: Estimate, asked: Asked) -> dict[str, Any]:
    """An AUC with whether it is below chance; a share of hits has a chance of another kind."""
    return found.to_dict() | (below_chance(found, asked.chance) if asked.metric_name == "AUC" else {})


def _plain(metric: Metric, images: int) -> float:
    return float(metric(np.ones((1, images)))[0])


def evaluate_all(design: Design, runs: Sequence[Run], seed: int = 0) -> dict[str, Any]:
    """The results of a design whose runs are all trained; without names of files or patients.

    LeakError where a run was trained on a test image or on a test patient.
    """
    data = load_recipe(runs[0].folder / "recipe.yaml").data
    samples = read_folder(data, split="test", need_caption=False)
    answers: dict[str, list[dict[str, Asked]]] = {arm: [] for arm in design.arms}
    about = []
    for run in tqdm(runs, unit="model", desc="evaluation"):
        leaks = leaks_of(run.folder / "hub", samples, data.datasets)
        asked, parameters = ask_model(run.folder / "hub", samples, data)
        answers[run.arm].append(asked)
        steps = max((line["step"] for line in run.lines()), default=0)
        about.append(
            {"arm": run.arm, "seed": run.seed, "steps": steps, "seconds": _seconds(run), "parameters": parameters}
            | {"model_hash": model_hash(run.folder / "hub"), "leaks": leaks}
        )
    rows = compare(answers, seed=seed)
    if design.headline not in {row["key"] for row in rows}:
        raise ValueError(f"headline is {design.headline!r}; the rows are {', '.join(row['key'] for row in rows)}")
    return {
        "design": settings_of(design),
        "data_set": data_set_name(data),
        "split": "test",
        "images": len(samples),
        "patients": len({sample.patient_id for sample in samples}),
        "runs": about,
        "rows": rows,
        **provenance(samples, seed, RESAMPLES),
    }


def settings_of(design: Design) -> dict[str, Any]:
    return {**dataclasses.asdict(design), "recipe": design.recipe.name}


def lines_of(results: Mapping[str, Any]) -> list[str]:
    """The table for the terminal."""
    first, *others = results["design"]["arms"]
    lines = []
    for row in results["rows"]:
        cells = "  ".join(f"{arm} {shown(value)}" for arm, value in row["arms"].items())
        apart = "  ".join(f"{first} - {arm} {shown(row['differences'][arm])}" for arm in others)
        lines.append(f"  {row['title']:<42} {row['metric']:<4} {cells}  {apart}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the runs; the same again goes on")
    parser.add_argument("--data", type=Path, help="folder of images, where it differs from the recipe's")
    parser.add_argument("--design", type=Path, default=DESIGN, help="a YAML file like eval/xr_mobe.yaml")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        design = read_design(args.design)
        args.out.mkdir(parents=True, exist_ok=True)
        remember(args.out, {**settings_of(design), "base": dataclasses.asdict(load_recipe(design.recipe))})
        results = evaluate_all(design, train_all(design, args.out, args.data))
    except (ValueError, OSError) as error:
        print(f"pedclip.eval.xr_mobe: {error}", file=sys.stderr)
        return 2
    write_json(args.out / "results.json", results)
    print("\n".join([*lines_of(results), "", *results["design"]["limits"]]))
    print(f"Written: {args.out}/results.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
