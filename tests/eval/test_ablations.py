"""The ablations: which runs there are, how they go on, what is refused; statistics against cases worked by hand."""

import concurrent.futures
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("matplotlib", reason="the extra `eval` is not installed")

from pedclip.configuration.training import load_recipe
from pedclip.eval import ablation_runs, ablations, experiment
from pedclip.eval.ablation_design import Run, load_design
from pedclip.eval.ablation_page import FIGURES, NOT_RUN, filled, interference_table, layer_table, report, write_page
from pedclip.eval.ablation_runs import films_of_part, finding_questions, overrides_of, run_one
from pedclip.eval.ablation_statistics import MEAN, part_metric, summary
from pedclip.eval.ablations import DESIGN, ablate, main, run_all
from pedclip.eval.experiment import remember
from pedclip.eval.statistics import auc_metric
from pedclip.processing.data.batches import PairBatches

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("wrist", "chest", "knee")


@pytest.fixture
def design():
    return load_design(DESIGN)


def changed_design(folder: Path, **changed) -> Path:
    """The shipped design with other values, beside a copy of its recipe."""
    values = yaml.safe_load(DESIGN.read_text(encoding="utf-8")) | changed
    recipe = DESIGN.with_name("ablation.yaml").read_text(encoding="utf-8")
    folder.mkdir(exist_ok=True)
    (folder / "ablation.yaml").write_text(recipe, encoding="utf-8")
    (folder / "design.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return folder / "design.yaml"


def made_up(design, films=60, seed=0):
    """Results of every run, with random scores on films of the three parts in turn, and each film's patient."""
    random = np.random.default_rng(seed)
    results = []
    for run in design.runs():
        predictions = {}
        for part in [run.part] if run.part else design.parts:
            mine = list(range(list(design.parts).index(part), films, 3))
            positive = [int(film % 2) for film in mine]
            predictions[part] = {
                "fracture": {"films": mine, "positive": positive, "scores": random.normal(positive, 1).tolist()}
            }
        results.append(
            {
                **dataclasses.asdict(run),
                "name": run.name,
                "kind": "prompt classification, seen classes",
                "gate_accuracy": 0.9 if run.layers else None,
                "predictions": predictions,
                "steps": 640,
                "parameters": 1_000_000 + len(run.layers),
                "seconds": 60.0,
            }
        )
    return results, [f"child {film // 2}" for film in range(films)]


def whole_result(design, results, patients):
    return {
        "note": "software",
        "kind": "prompt classification, seen classes",
        **summary(design, results, patients, resamples=50),
        "films": {"train": dict.fromkeys(PARTS, 10), "test": dict.fromkeys(PARTS, 20), "test_patients": 30},
        "runs": [{key: value for key, value in one.items() if key != "predictions"} for one in results],
        "seconds": 1281.0,
        "at_once": 2,
        "design": design.to_dict(),
        "versions": {"torch": "2"},
    }


def test_the_plan_has_every_arm_with_every_seed_and_no_run_twice(design):
    runs = design.runs()
    names = [run.name for run in runs]
    assert len(names) == len(set(names)) == len(design.seeds) * (4 + len(PARTS))
    for seed in design.seeds:
        layers = {run.arm: list(run.layers) for run in runs if run.seed == seed and run.part is None}
        assert layers == {"first": [0], "middle": [1], "last": [2], "none": []}
        assert [run.part for run in runs if run.seed == seed and run.part] == list(design.parts)


def test_middle_and_last_are_what_they_are_called(design):
    vision = design.training().model.vision_config
    assert design.layers["last"] == [vision["num_hidden_layers"] - 1]
    assert design.layers["middle"] == [vision["num_hidden_layers"] // 2]
    assert design.training().model.config["body_parts"] == sorted(PARTS)
    assert vision["num_experts"] == len(PARTS)


def test_every_run_changes_only_what_its_arm_says(design, tmp_path):
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "metadata.jsonl").write_text('{"body_part": "knee"}\n{"body_part": "wrist"}\n')
    plain = dataclasses.asdict(load_recipe(design.recipe))
    for run in design.runs():
        words = [f"{key}={json.dumps(value)}" for key, value in overrides_of(design, run, tmp_path).items()]
        config = dataclasses.asdict(load_recipe(design.recipe, words))
        assert config["model"]["vision_config"].pop("mobe_layers") == list(run.layers)
        differing = {key for key in plain if config[key] != plain[key]} - {"model", "output", "seed", "data"}
        assert differing == ({"batch_size"} if run.part else set())
        assert config["seed"] == run.seed


def test_mlp_target_takes_as_many_steps_and_films_of_its_part_as_the_mlp(design, folder_sample):
    """A part's third of the films in batches of a third: as many steps, passes and own films a step."""
    batch = design.training().batch_size
    assert batch == len(PARTS) * design.target_batch_size
    films = [folder_sample(part, number) for number in range(480) for part in PARTS]
    steps_of_all = len(PairBatches(films, batch, seed=0))
    own = [film for film in films if film.body_part == "knee"]
    assert len(PairBatches(own, design.target_batch_size, seed=0)) == steps_of_all


@pytest.fixture
def folder_sample():
    from pedclip.processing.data.sample import Sample

    def make(part: str, number: int) -> Sample:
        name = f"{part}-{number}.png"
        return Sample(Path(name), name, part, name, "train", None, [], {})

    return make


def test_a_parts_films_are_its_rows_with_the_same_images(tmp_path):
    films = tmp_path / "films"
    (films / "images").mkdir(parents=True)
    rows = [{"file_name": f"images/{part}.png", "body_part": part} for part in PARTS]
    for row in rows:
        (films / row["file_name"]).write_bytes(row["body_part"].encode())
    (films / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert films_of_part(tmp_path, None) == films
    for _ in range(2):  # the second time it is there
        folder = films_of_part(tmp_path, "chest")
        assert [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()] == [rows[1]]
        assert (folder / "images/chest.png").read_bytes() == b"chest"


def test_another_design_is_refused_and_nothing_is_changed(design, tmp_path):
    out = tmp_path / "runs"
    remember(design.to_dict(), out)
    before = (out / "design.json").read_bytes()
    remember(design.to_dict(), out)
    recipe = changed_design(tmp_path / "recipe").with_name("ablation.yaml")
    recipe.write_text(recipe.read_text().replace("learning_rate: 1.0e-3", "learning_rate: 2.0e-3"))
    other = load_design(recipe.with_name("design.yaml"))
    with pytest.raises(ValueError, match=r"another design \(it differs in training\.learning_rate\)"):
        remember(other.to_dict(), out)
    fewer = load_design(changed_design(tmp_path / "fewer", seeds=[0]))
    with pytest.raises(ValueError, match="it differs in seeds"):
        ablate(fewer, out)
    assert (out / "design.json").read_bytes() == before and not (out / "films").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seeds": [1, 1]}, "each once"),
        ({"parts": ["wrist"]}, "both must be the same"),
        ({"layers": {"first": [0], "last": [2], "middle": [1], "none": []}}, "in this order"),
        ({"target_batch_size": 1}, "at least 2 pairs"),
        ({"epochs": 3}, "no more and no less"),
        ({"films": {"patients": 3, "clinic": {"part": {}}, "splits": {}}}, "unexpected keyword"),
    ],
)
def test_a_broken_design_says_what_is_wrong(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        load_design(changed_design(tmp_path / "recipe", **changed))


def test_a_finished_run_is_not_repeated_and_a_failure_begins_no_other(design, tmp_path, monkeypatch):
    begun = []

    def fail(design, run, out):
        begun.append(run.name)
        raise RuntimeError(f"the training of {run.name} ended with 1")

    monkeypatch.setattr(ablation_runs, "train", fail)
    one = design.runs()[0]
    (tmp_path / one.name).mkdir()
    (tmp_path / one.name / "result.json").write_text('{"arm": "finished before"}')
    assert run_one(design, one, tmp_path) == {"arm": "finished before"}
    with pytest.raises(RuntimeError, match=r"the training of .* ended with 1") as told:
        run_all(design, tmp_path)
    # Which of the runs in flight fails first is up to the threads; that no other was begun is not.
    assert str(told.value) in [f"the training of {name} ended with 1" for name in begun]
    assert one.name not in begun and 1 <= len(begun) <= ablations.AT_ONCE


def test_a_training_that_fails_says_where_to_look(design, tmp_path):
    (tmp_path / "films").mkdir()
    with pytest.raises(RuntimeError, match=r"first-7 ended with 2 .*metadata.* run again"):
        ablation_runs.train(design, Run("first", 7, [0]), tmp_path)


def test_a_parts_metric_is_the_mean_auc_of_its_findings():
    predictions = {
        "fracture": {"films": [0, 1, 2, 3], "positive": [1, 0, 1, 0], "scores": [3.0, 2.0, 1.0, 0.0]},  # AUC 3/4
        "erosion": {"films": [2, 3], "positive": [0, 1], "scores": [0.0, 1.0]},  # AUC 1
    }
    assert part_metric(predictions)(np.ones((1, 5)))[0] == (0.75 + 1) / 2


def test_the_summary_is_the_mean_over_seeds_and_pairs_the_differences(design):
    results, patients = made_up(design)
    found = summary(design, results, patients, resamples=200)
    by_run = {
        (one["arm"], one["part"], one["seed"]): {
            part: auc_metric(np.array(said["fracture"]["positive"]), said["fracture"]["scores"])(np.ones((1, 20)))[0]
            for part, said in one["predictions"].items()
        }
        for one in results
    }
    for part in PARTS:
        of_seed = {arm: [by_run[arm, None, seed][part] for seed in design.seeds] for arm in ("none", "last")}
        target = [by_run["target", part, seed][part] for seed in design.seeds]
        told = found["interference"][part]
        assert told["MLP"]["seeds"] == pytest.approx(of_seed["none"])
        assert told["MLP"]["value"] == pytest.approx(np.mean(of_seed["none"]))
        assert told["MLP-target"]["value"] == pytest.approx(np.mean(target))
        assert told["MoBE"] == found["layer"][part]["last"]
        difference = found["difference_to_target"][part]["MoBE"]
        assert difference["value"] == pytest.approx(np.mean(of_seed["last"]) - np.mean(target))
        assert difference["seeds"] == pytest.approx(np.subtract(of_seed["last"], target))
        assert difference["low"] < difference["value"] < difference["high"]
        assert difference["patients"] == len(set(patients))
    means = [found["layer"][part]["first"]["value"] for part in PARTS]
    assert found["layer"][MEAN]["first"]["value"] == pytest.approx(np.mean(means))


def test_arms_that_say_the_same_differ_by_nothing(design):
    results, patients = made_up(design)
    plain = {one["seed"]: one["predictions"] for one in results if one["arm"] == "none"}
    for one in results:
        one["predictions"] = {part: plain[one["seed"]][part] for part in one["predictions"]}
    found = summary(design, results, patients, resamples=50)
    for part in PARTS:
        for score in found["difference_to_target"][part].values():
            assert score["value"] == 0 and score["low"] is None  # no spread is no certainty


def test_tables_say_which_way_it_went(design):
    results, patients = made_up(design)
    told = whole_result(design, results, patients)
    score = {"value": -0.2, "low": -0.3, "high": -0.1, "seeds": [-0.2, -0.5, 0.1]}
    told["difference_to_target"]["wrist"]["MoBE"] = score
    assert "-0.200 (-0.300 to -0.100) | -0.200, -0.500, +0.100 | below 0; 2 of 3 seeds have its sign" in (
        interference_table(told)
    )
    told["layer_difference_to_none"][MEAN]["last"] = score | {"high": 0.1}
    assert "holds 0; 2 of 3" in layer_table(told) and "holds 0; 2 of 3" in report(told)
    assert "0.760 | +0.028" in interference_table(told), "the paper's MoBE on wrists, less its MLP-target"


def test_the_page_is_brought_up_to_date_and_stays_the_same(design, tmp_path):
    results, patients = made_up(design)
    told = whole_result(design, results, patients)
    (tmp_path / "README.md").write_text(filled((ROOT / "docs/ablations/README.md").read_text(), None))
    assert (tmp_path / "README.md").read_text().count(NOT_RUN) == 3
    write_page(tmp_path, told)
    first = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert NOT_RUN.encode() not in first["README.md"] and json.loads(first["results.json"]) == told
    assert set(FIGURES) < set(first) and all(first[name].count(b"<path") > 10 for name in FIGURES)
    write_page(tmp_path, json.loads(first["results.json"]))
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == first


def test_the_documentation_says_what_its_results_say(design):
    folder = ROOT / "docs" / "ablations"
    page = (folder / "README.md").read_text(encoding="utf-8")
    results = json.loads((folder / "results.json").read_text()) if (folder / "results.json").is_file() else None
    assert filled(page, results) == page, "make ablations brings it up to date"
    assert results is None or results["design"] == design.to_dict(), "the results are of another design"


@pytest.mark.slow
def test_from_films_to_page_in_small_and_again(tmp_path):
    recipe = changed_design(
        tmp_path / "recipe",
        seeds=[0],
        target_batch_size=8,
        films={
            "patients": 150,
            "side": 32,
            "splits": {"validation_share": 0.1, "test_share": 0.5},
            "clinic": {"parts": dict.fromkeys(PARTS, 1.0), "exams": [1.0], "findings": [0.1, 0.4, 0.5]},
        },
    )
    training = recipe.with_name("ablation.yaml")
    small = yaml.safe_load(training.read_text()) | {"epochs": 1, "batch_size": 16, "precision": "fp32"}
    small["model"]["vision_config"]["image_size"] = 32
    training.write_text(yaml.safe_dump(small))
    page, out = tmp_path / "page", tmp_path / "runs"
    page.mkdir()
    (page / "README.md").write_text((ROOT / "docs/ablations/README.md").read_text())
    command = [str(out), "--design", str(recipe), "--page", str(page)]
    assert main(command) == 0
    results = json.loads((page / "results.json").read_text())
    assert len(results["runs"]) == 7 and NOT_RUN not in (page / "README.md").read_text()
    assert all(one["steps"] > 0 for one in results["runs"])
    assert not any("phantom-0-" in (out / one["name"] / "result.json").read_text() for one in results["runs"])

    took = results["seconds"]
    assert main(command) == 0 and json.loads((page / "results.json").read_text())["seconds"] == took

    said = {one["name"]: (out / one["name"] / "log.txt").stat().st_mtime_ns for one in results["runs"]}
    (out / "last-0" / "result.json").unlink()  # as if it had been stopped: only this one goes on
    assert main(command) == 0
    now = {name: (out / name / "log.txt").stat().st_mtime_ns for name in said}
    assert [name for name in said if now[name] != said[name]] == ["last-0"]
    again = json.loads((page / "results.json").read_text())
    assert again["layer"] == results["layer"], "a finished training that is gone on with gives the same model"
    small["epochs"] = 2
    training.write_text(yaml.safe_dump(small))
    assert main(command) == 2


def test_every_finding_question_is_one_that_a_part_can_answer(design):
    assert {"fracture", "cardiomegaly", "joint-effusion"} <= set(finding_questions(design))
    assert "body-part" not in finding_questions(design)


def test_the_failure_is_told_whatever_ends_first(monkeypatch):
    """`as_completed` gives jobs that have ended already in any order."""
    jobs = [Run("none", seed, []) for seed in range(6)]

    def do(job):
        raise RuntimeError(f"{job.name} broke")

    def backwards(futures):
        concurrent.futures.wait(futures)
        return reversed(futures)

    monkeypatch.setattr(experiment, "as_completed", backwards)
    with pytest.raises(RuntimeError, match="broke"):
        experiment.run_at_once(jobs, do, "Jobs")
