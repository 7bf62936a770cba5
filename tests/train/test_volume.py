"""Both stages on volumes, small: the tower on slices, then the adapter with the tower frozen."""

import json

import pytest
import torch
import yaml
from safetensors.torch import load_file

from pedclip.configuration.training import ModelConfig, load_recipe
from pedclip.processing.phantom.study import Clinic
from pedclip.processing.phantom.volume_folder import VolumeSettings, write_volumes
from pedclip.run_folder import earlier_model
from pedclip.train import build_model, train


def test_the_second_stage_before_the_first_says_which_to_train(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"first/hub, and there is no such folder; .* volume_tower.yaml"):
        build_model(ModelConfig(pretrained=str(tmp_path / "first" / "hub")))
    for name in ("somebody/model", "model", str(tmp_path), "package://pedclip/model"):
        assert earlier_model(name) == name


def test_the_adapter_learns_on_volumes_and_the_frozen_tower_stays(tmp_path, make_model, processor):
    clinic = Clinic(parts={"chest": 1.0}, exams=(1.0,), findings=(0.2, 0.8))
    write_volumes(tmp_path / "volumes", VolumeSettings(patients=24, pixels=16, slices=4, clinic=clinic))
    tower = tmp_path / "tower"
    make_model(text={"vocab_size": len(processor.tokenizer)}).save_pretrained(tower)
    processor.save_pretrained(tower)
    recipe = tmp_path / "recipe.yaml"
    values = {
        "output": str(tmp_path / "run"),
        "model": {
            "pretrained": str(tower),
            "config": {"volume_pooling": "attention"},
            "freeze": ["vision_model."],
        },
        "data": {"path": str(tmp_path / "volumes"), "volumes": {"spacing": "slice_spacing_mm"}},
        "epochs": 1,
        "batch_size": 6,
        "learning_rate": 1e-2,
        "gate_weight": 0.0,
        "log_every": 1,
        "best_metric": "retrieval_r1",
    }
    recipe.write_text(yaml.safe_dump(values))
    hub = train(load_recipe(recipe))
    before, after = load_file(tower / "model.safetensors"), load_file(hub / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and not any(name.startswith("vision_model.") for name in changed)
    assert any(name.startswith("text_model.") for name in changed)
    assert after["slice_pooling.o_proj.weight"].any() and "slice_pooling.o_proj.weight" not in before
    assert json.loads((hub / "config.json").read_text())["volume_pooling"] == "attention"
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert any("train/loss" in line for line in lines) and any("validation/retrieval_r1" in line for line in lines)
