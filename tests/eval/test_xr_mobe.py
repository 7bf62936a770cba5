"""Experts against a plain MLP: a fixed design, runs that go on, and differences on the same patients."""

import json
import subprocess

import numpy as np
import pytest
import yaml

from pedclip.eval import xr_mobe
from pedclip.eval.statistics import auc_metric, estimate, paired_difference
from pedclip.eval.xr_mobe import DESIGN, Asked, compare, read_design


@pytest.fixture
def design_file(tmp_path, bert_folder, collection):
    recipe = {
        "output": "elsewhere",
        "model": {
            "text": str(bert_folder),
            "vision_config": {
                "hidden_size": 16,
                "num_attention_heads": 2,
                "intermediate_size": 32,
                "num_hidden_layers": 2,
                "image_size": 16,
                "patch_size": 8,
            },
            "config": {"mask_identical_texts": True},
        },
        "data": {
            "path": str(collection),
            "captions": {
                "source": "labels",
                "templates": ["{body_part} x - ray"],
                "findings_templates": ["{body_part} x - ray, {findings}"],
            },
        },
        "epochs": 9,
        "batch_size": 32,
        "learning_rate": 3e-3,
        "keep_for_hub": "last",
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    design = {
        "recipe": str(tmp_path / "recipe.yaml"),
        "set": {"epochs": 1},
        "arms": {"MoBE": {"model.vision_config.mobe_layers": [1]}, "MLP": {"model.vision_config.mobe_layers": []}},
        "seeds": [5],
        "headline": "body_part_auc",
        "limits": ["Said with the results."],
    }
    (tmp_path / "design.yaml").write_text(yaml.safe_dump(design, sort_keys=False))
    return tmp_path / "design.yaml"


def test_both_arms_train_alike_and_what_is_finished_stays(design_file, collection, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    command = [str(out), "--design", str(design_file)]
    monkeypatch.setattr(xr_mobe, "RESAMPLES", 50)
    assert xr_mobe.main(command) == 0, (out / "MoBE-5" / "log.txt").read_text()[-2000:]
    results = json.loads((out / "results.json").read_text())

    mobe, mlp = results["runs"]
    assert (mobe["arm"], mlp["arm"], mobe["seed"], mlp["seed"]) == ("MoBE", "MLP", 5, 5)
    assert mobe["steps"] == mlp["steps"] == 3 and mobe["seconds"] > 0 and mobe["parameters"] > mlp["parameters"]
    recipes = [yaml.safe_load((out / name / "recipe.yaml").read_text()) for name in ("MoBE-5", "MLP-5")]
    layers = [one["model"]["vision_config"].pop("mobe_layers") for one in recipes]
    for one in recipes:
        one.pop("output")
    assert layers == [[1], []] and recipes[0] == recipes[1] and recipes[0]["epochs"] == 1
    rows = {row["key"]: row for row in results["rows"]}
    assert {"body_part_auc", "pneumonia_auc", "viral_bacterial_auc", "image_to_text_r1"} <= rows.keys()
    for row in rows.values():
        assert row["differences"]["MLP"]["value"] == pytest.approx(
            row["arms"]["MoBE"]["value"] - row["arms"]["MLP"]["value"]
        )
    assert {run["leaks"]["found"] for run in results["runs"]} == {False} and len(mobe["model_hash"]) == 64
    assert "Said with the results." in capsys.readouterr().out
    written = (out / "results.json").read_text()
    assert str(collection) not in written and '"p1"' not in written and "0.png" not in written

    def no_training(*_, **__):
        raise AssertionError("everything is trained already")

    monkeypatch.setattr(subprocess, "Popen", no_training)
    assert xr_mobe.main(command) == 0
    changed = yaml.safe_load(design_file.read_text()) | {"set": {"epochs": 2}}
    design_file.write_text(yaml.safe_dump(changed, sort_keys=False))
    assert xr_mobe.main(command) == 2
    assert "another run (set differ)" in capsys.readouterr().err


def test_a_training_that_fails_says_where_its_log_is(design_file, tmp_path, capsys):
    broken = yaml.safe_load(design_file.read_text())
    broken["arms"]["MLP"]["model.vision_config.patch_size"] = 7
    design_file.write_text(yaml.safe_dump(broken, sort_keys=False))
    assert xr_mobe.main([str(tmp_path / "out"), "--design", str(design_file)]) == 2
    said = capsys.readouterr().err
    assert "MLP-5 ended with 2" in said and "see log.txt there" in said


def test_means_over_seeds_are_paired_by_patient():
    random = np.random.default_rng(0)
    labels = np.arange(120) % 2 == 1
    patients = [f"p{number // 2}" for number in range(120)]

    def asked(shift: float) -> Asked:
        metric = auc_metric(labels, random.normal(size=120) + shift * labels)
        return Asked("a row", "AUC", 0.5, metric, patients)

    answers = {"MoBE": [{"a": asked(1.0)} for _ in range(3)], "MLP": [{"a": asked(0.2)} for _ in range(3)]}
    (row,) = compare(answers, resamples=200, seed=1)
    metrics = {arm: [one["a"].metric for one in of_seeds] for arm, of_seeds in answers.items()}

    def mean(arm):
        return lambda weights: np.mean([metric(weights) for metric in metrics[arm]], axis=0)

    expected = paired_difference(mean("MoBE"), mean("MLP"), patients, 200, 1)
    found = row["differences"]["MLP"]
    np.testing.assert_allclose(
        [found[key] for key in ("value", "low", "high")], [expected.value, expected.low, expected.high]
    )
    assert found["low"] > 0 and row["arms"]["MoBE"]["value"] == pytest.approx(np.mean(row["arms"]["MoBE"]["by_seed"]))
    assert row["arms"]["MLP"]["low"] == pytest.approx(estimate(mean("MLP"), patients, 200, 1).low)
    other = Asked("a row", "AUC", 0.5, metrics["MLP"][0], patients[::-1])
    with pytest.raises(ValueError, match="not asked about the same images"):
        compare({"MoBE": answers["MoBE"], "MLP": [{"a": other}] * 3})


def test_the_shipped_design_is_the_recipe_with_fewer_epochs_and_other_layers():
    design = read_design(DESIGN)
    assert list(design.arms) == ["MoBE", "MLP"] and len(design.seeds) == 3
    mobe, mlp = (design.config(arm, 1) for arm in design.arms)
    assert mobe.model.vision_config.pop("mobe_layers") == [5] and mlp.model.vision_config.pop("mobe_layers") == []
    assert mobe == mlp and mobe.seed == 1
    assert 0 < mobe.teacher_forcing_epochs < mobe.epochs < 70


def test_a_mistake_in_a_design_is_named(tmp_path):
    values = yaml.safe_load(DESIGN.read_text())
    for changed, said in (
        ({"arms": {"MoBE": {}}}, "1 arms"),
        ({"seeds": [0, 0]}, r"the seeds \[0, 0\]"),
        ({"epochs": 3}, "a design has exactly arms"),
    ):
        file = tmp_path / "design.yaml"
        file.write_text(yaml.safe_dump(values | changed))
        with pytest.raises(ValueError, match=said):
            read_design(file)
