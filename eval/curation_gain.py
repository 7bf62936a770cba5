"""Triplets against whole reports, what the paper's curation is for, in small and on phantom films.

    python -m pedclip.eval.curation_gain runs/triplets

Draws studies of two or three body parts, curates them by the rules as `pedclip curate` does, and trains the same model
on the same films twice for each seed: once on the text of each film's own part, once on the whole report of its study.
Two runs at a time, a thread each; run again, it goes on. The design is configuration/recipes/triplets_design.yaml,
fixed before the first run. OUT/results.json has the differences on unseen patients, whichever arm is better, and so
have the page that --page names and the .json beside it. The films are generated: the numbers say nothing about
medicine.
"""

# Shapes: N test films, C body parts
import dataclasses
import json
import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import parquet

from ..configuration.data import DataConfig
from ..configuration.training import TrainConfig, load_recipe
from ..processing.curation.run import RunSettings, curate
from ..processing.curation.studies import read_studies
from ..processing.data.folder import read_folder
from ..processing.data.sample import Sample
from ..processing.phantom.folder import FolderSettings, whole_or_not, write_folder
from .ablation_runs import answers, training_facts
from .ablation_statistics import MEAN, metrics_of
from .classification import log_odds
from .embeddings import ModelUnderTest, load_model
from .experiment import (
    EVALUATION,
    arguments_of,
    check_seeds,
    film_settings,
    read_design,
    recipe_facts,
    remember,
    run_at_once,
    train_as_process,
)
from .json_files import write_json
from .marks import between_marks
from .prompt_classification import logits_of
from .prompts import question_file, questions
from .statistics import RESAMPLES, Metric, auc_metric, estimate, mean_of, paired_difference
from .tasks import provenance, shown

DESIGN = Path(__file__).parent.parent / "configuration" / "recipes" / "triplets_design.yaml"
FIELDS = ("recipe", "seeds", "arms", "parts", "films")
FILMS, CURATED = "films", "curated"
TRIPLETS, REPORTS = ARMS = ("triplets", "reports")
BODY_PART = "body part"
NOTE = (
    "Phantom films are generated from geometric solids, and their reports from templates. These numbers compare two "
    "ways of using a report under one budget; they say nothing about medicine."
)


@dataclasses.dataclass(frozen=True)
class Run:
    """One training."""

    arm: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.arm}-{self.seed}"


@dataclasses.dataclass(frozen=True)
class Design:
    """The whole experiment."""

    recipe: Path
    seeds: Sequence[int]
    arms: Sequence[str]
    parts: Sequence[str]
    films: FolderSettings

    def __post_init__(self):
        if tuple(self.arms) != ARMS:
            raise ValueError(
                f"arms is {list(self.arms)}; it is {list(ARMS)}, and their difference is the first's lead"
            )
        check_seeds(self.seeds)
        if sorted(self.parts) != sorted(self.films.clinic.parts):
            raise ValueError(
                f"parts is {list(self.parts)}; it names the parts of the films' clinic, no more and no less"
            )

    def training(self) -> TrainConfig:
        return load_recipe(self.recipe)

    def runs(self) -> list[Run]:
        """Seed by seed, so that an experiment that was stopped has both arms of its first seeds."""
        return [Run(arm, seed) for seed in self.seeds for arm in self.arms]

    def to_dict(self) -> dict[str, Any]:
        """As JSON, without a path of this machine; the questions by their hash."""
        return json.loads(json.dumps(dataclasses.asdict(self) | recipe_facts(self.recipe)))


def load_design(path: Path) -> Design:
    """Reads a design; an unknown or missing key is an error. The recipe that it names lies beside it."""
    values = read_design(path, FIELDS)
    films = film_settings(values["films"], path.name)
    return Design(path.parent / values["recipe"], values["seeds"], values["arms"], values["parts"], films)


def compare_arms(design: Design, out: Path) -> dict[str, Any]:
    """Runs what is not finished and returns the whole result, which stands in OUT/results.json too."""
    remember(design.to_dict(), out)
    write_folder(out / FILMS, design.films)
    texts = write_arms(out)
    results = run_at_once(design.runs(), lambda run: run_one(design, run, out), "Triplets and reports")

    test = test_films(design, out)
    found = {
        "note": NOTE,
        "data_set": "pedclip/phantom (synthetic)",
        "kind": ", ".join(sorted({one["kind"] for one in results})),
        "difference": f"{TRIPLETS} less {REPORTS}",
        **summary(design, results, [film.patient_id for film in test], [str(film.body_part) for film in test]),
        "texts": texts,
        "films": {
            "test": dict(Counter(film.body_part for film in test)),
            "test_patients": len({film.patient_id for film in test}),
        },
        "runs": [{key: one[key] for key in one if key not in ("predictions", BODY_PART)} for one in results],
        "design": design.to_dict(),
        **provenance(test, 0, RESAMPLES),
    }
    write_json(out / "results.json", found)
    return found


def write_arms(out: Path) -> dict[str, Any]:
    """Both arms' folders: the same films for training and validation, with other texts. Returns what is in them.

    A film whose part gets no text from curation is left out of both, and counted.
    """
    facts = out / "texts.json"
    if facts.is_file():
        return json.loads(facts.read_text(encoding="utf-8"))
    rows = [row for row in _rows(out / FILMS / "metadata.jsonl") if row["split"] != "test"]
    reports = {study["study_id"]: study["report"] for study in _rows(out / FILMS / "studies.jsonl")}
    if not (out / CURATED / "summary.json").is_file():
        columns = ("study_id", "patient_id", "body_part", "laterality", "file_name")
        source = [{**{name: row[name] for name in columns}, "report": reports[row["study_id"]]} for row in rows]
        _write_rows(out / FILMS / "source.jsonl", source)
        settings = RunSettings(dataset="phantom", workers=1)
        curate(read_studies(out / FILMS / "source.jsonl"), out / CURATED, settings)
    triplets = {
        Path(row["file_name"]).name: row["text"]
        for row in parquet.read_table(out / CURATED / "triplets.parquet", columns=["file_name", "text"]).to_pylist()
    }
    kept = [row for row in rows if Path(row["file_name"]).name in triplets]
    texts = {
        TRIPLETS: [triplets[Path(row["file_name"]).name] for row in kept],
        REPORTS: [reports[row["study_id"]] for row in kept],
    }
    for arm in ARMS:
        folder = out / f"{FILMS}-{arm}"
        if not folder.is_dir():
            with whole_or_not(folder) as new:
                lines = [{**row, "text": text} for row, text in zip(kept, texts[arm], strict=True)]
                _write_rows(new / "metadata.jsonl", lines)
                (new / "images").symlink_to(Path("..", FILMS, "images"))
    found = {
        "films": {split: sum(row["split"] == split for row in kept) for split in ("train", "validation")},
        "left_out": len(rows) - len(kept),
        "words_a_text": {arm: round(float(np.mean([len(text.split()) for text in texts[arm]])), 1) for arm in ARMS},
        "same_as_the_truth": round(
            float(np.mean([text == row["text"] for text, row in zip(texts[TRIPLETS], kept, strict=True)])), 4
        ),
    }
    write_json(facts, found)
    return found


def run_one(design: Design, run: Run, out: Path) -> dict[str, Any]:
    """The result of a run, from OUT/NAME/result.json where it is finished already."""
    folder = out / run.name
    file = folder / "result.json"
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    changed = {"output": str(folder), "seed": run.seed, "data.path": str(out / f"{FILMS}-{run.arm}")}
    train_as_process(design.recipe, changed, folder)
    with EVALUATION:
        asked = questions(question_file(design.training().questions))
        findings = {name: one for name, one in asked.items() if one.column == "findings"}
        data = data_of(design, out)
        tested = load_model(folder / "hub")
        test = test_films(design, out)
        result = {
            **dataclasses.asdict(run),
            "name": run.name,
            **training_facts(folder, tested),
            **answers(tested, test, data, findings, design.parts),
            BODY_PART: body_part_scores(tested, test, data, asked["body-part"], design.parts),
        }
    write_json(file, result)
    return result


def body_part_scores(
    tested: ModelUnderTest, test: Sequence[Sample], data: DataConfig, question: Any, parts: Sequence[str]
) -> dict[str, Any]:
    """{part: (N,) log odds that a test film shows it}, in the order of the test split."""
    images = tested.embed_images(test, data)
    logits = logits_of(tested, images, question, list(range(len(test))), parts, data)
    return {part: np.round(column, 5).tolist() for part, column in zip(parts, log_odds(logits).T, strict=True)}


def summary(
    design: Design,
    results: Sequence[Mapping[str, Any]],
    patients: Sequence[str],
    truth: Sequence[str],
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """By what is measured: each arm's mean over seeds, and the paired difference.

    `patients` and `truth`, the body part, are of the test films (N,).

    Intervals are over patients, with the models as they are; how another seed would differ is shown by `seeds`, one
    value each, and is not in the interval.
    """
    metrics: dict[tuple[str, int], dict[str, Metric]] = {}
    for one in results:
        by_part = [auc_metric(np.array(truth) == part, one[BODY_PART][part]) for part in design.parts]
        metrics[one["arm"], one["seed"]] = {**metrics_of(one, design.parts), BODY_PART: mean_of(by_part)}

    def plain(metric: Metric) -> float:
        return float(metric(np.ones((1, len(patients))))[0])

    found: dict[str, Any] = {}
    for part in (MEAN, *design.parts, BODY_PART):
        arms = {arm: [metrics[arm, seed][part] for seed in design.seeds] for arm in design.arms}
        values = {
            arm: estimate(mean_of(ours), patients, resamples).to_dict() | {"seeds": [plain(one) for one in ours]}
            for arm, ours in arms.items()
        }
        lead = paired_difference(mean_of(arms[TRIPLETS]), mean_of(arms[REPORTS]), patients, resamples).to_dict()
        pairs = zip(arms[TRIPLETS], arms[REPORTS], strict=True)
        lead["seeds"] = [plain(ours) - plain(theirs) for ours, theirs in pairs]
        found["finding " + part if part != BODY_PART else part] = {**values, "difference": lead}
    return {"auc": found}


def table(result: Mapping[str, Any]) -> str:
    """What was found, as lines."""
    lines = [f"{'AUC on unseen patients':<24}" + "".join(f"{name:<36}" for name in (*ARMS, "difference"))]
    for name, found in result["auc"].items():
        cells = []
        for column in (*ARMS, "difference"):
            sign = "+" if column == "difference" else ""
            seeds = " ".join(f"{value:{sign}.3f}" for value in found[column]["seeds"])
            cells.append(f"{_auc(found, column)} [{seeds}]")
        lines.append(f"{name:<24}" + "  ".join(cells))
    return "\n".join(lines)


def _auc(found: Mapping[str, Any], column: str) -> str:
    """An arm's AUC, or the difference with its sign."""
    one = found[column]
    return shown(one, "+") if column == "difference" else shown({**one, "below_chance": one["value"] < 0.5})


def filled(page: str, result: Mapping[str, Any]) -> str:
    """The page of the documentation with the table between its marks."""
    lines = ["| AUC on unseen patients | triplets | whole reports | difference | by seed |", "|---|---|---|---|---|"]
    for name, found in result["auc"].items():
        cells = [_auc(found, column) for column in (*ARMS, "difference")]
        seeds = ", ".join(f"{value:+.3f}" for value in found["difference"]["seeds"])
        lines.append(f"| {' | '.join([name, *cells, seeds])} |")
    texts, films = result["texts"], result["films"]
    longest = {arm: max(one["seconds"] for one in result["runs"] if one["arm"] == arm) for arm in ARMS}
    facts = (
        f"{texts['films']['train']:,} training films, {texts['left_out']} left out of both arms because the rules "
        f"gave their part no text; {sum(films['test'].values()):,} test films of {films['test_patients']:,} patients. "
        f"Words a text: {texts['words_a_text'][TRIPLETS]} and {texts['words_a_text'][REPORTS]}. "
        f"{texts['same_as_the_truth']:.1%} of the triplets' texts are the truth's, to the letter. "
        f"{result['runs'][0]['steps']:,} steps a run; the longest took {longest[TRIPLETS] / 60:.1f} and "
        f"{longest[REPORTS] / 60:.1f} minutes."
    )
    return between_marks(page, "results", "eval/curation_gain.py", "\n".join([*lines, "", facts]))


def data_of(design: Design, out: Path) -> DataConfig:
    return dataclasses.replace(design.training().data, path=str(out / FILMS))


def test_films(design: Design, out: Path) -> list[Sample]:
    return read_folder(data_of(design, out), split="test", need_caption=False)


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _write_rows(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    args = arguments_of(__doc__, DESIGN, "page of the documentation to bring up to date", arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        if args.page is not None and not args.page.is_file():
            raise ValueError(f"--page {args.page} is no file; name the page, docs/curation/triplets.md")
        results = compare_arms(load_design(args.design), args.out)
        if args.page is not None:
            args.page.write_text(filled(args.page.read_text(encoding="utf-8"), results), encoding="utf-8")
            write_json(args.page.with_suffix(".json"), results)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"pedclip.eval.curation_gain: {error}", file=sys.stderr)
        return 2
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
