"""Fine-tuning starts where the probe ends, learns what the frozen tower cannot tell, and leaves the model alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import dealt, phantom_tree, scores_of, stripes

from pedclip.eval.bench.finetune import finetune
from pedclip.eval.bench.probe import linear_probe
from pedclip.eval.bench.questions import QUESTIONS, ProbeTask
from pedclip.eval.bench.tuning import TunedTower, Tuning

FRACTURE = QUESTIONS["grazpedwri-dx"]
STILL = Tuning(epochs=2, learning_rate=0.0, head_learning_rate=0.0)
SHORT = Tuning(epochs=5, batch_size=16, learning_rate=3e-4, head_learning_rate=3e-4)


@pytest.fixture
def asked(tmp_path, tested):
    return stripes(tmp_path, tested)


def test_without_a_step_it_is_the_probe(asked):
    answer, probe = finetune(asked, FRACTURE, STILL), linear_probe(asked, FRACTURE)
    tuned, probed = (np.array(one.predictions["score: fracture"]) for one in (answer, probe))
    np.testing.assert_allclose(tuned, probed, rtol=1e-3, atol=1e-3)
    assert np.ptp(probed) > 0.1  # else any two would be alike
    assert answer.result["best_epoch"] == 0
    assert len(set(answer.result["validation_by_epoch"])) == 1


def test_it_learns_what_the_frozen_tower_could_not_tell(asked):
    noisy = replace(asked, resamples=0)
    tuned = finetune(noisy, FRACTURE, SHORT).result
    assert tuned["validation_by_epoch"][tuned["best_epoch"]] == max(tuned["validation_by_epoch"])
    assert tuned["best_epoch"] > 0
    assert tuned["value"] > linear_probe(noisy, FRACTURE).result["value"] + 0.1


def test_the_given_model_is_bitwise_what_it_was(asked):
    model = asked.tested.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wanting = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    numbers = torch.get_rng_state()
    finetune(asked, FRACTURE, replace(SHORT, epochs=1))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert wanting == {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert not model.training and all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(numbers, torch.get_rng_state())


def test_the_same_seed_gives_the_same_and_another_another(asked):
    once, again = (finetune(asked, FRACTURE, replace(SHORT, epochs=2)) for _ in range(2))
    other = finetune(replace(asked, seed=1), FRACTURE, replace(SHORT, epochs=2))
    assert once.result == again.result and once.predictions == again.predictions
    assert once.result["validation_by_epoch"][1:] != other.result["validation_by_epoch"][1:] or (
        once.predictions != other.predictions
    )


def test_the_test_labels_are_not_learned_from(asked):
    settings = replace(SHORT, epochs=2)
    truth, moved = finetune(asked, FRACTURE, settings), finetune(dealt(asked, "test"), FRACTURE, settings)
    assert scores_of(truth.predictions) == scores_of(moved.predictions)


@pytest.mark.parametrize(("layers", "trained"), [(0, set()), (1, {"1"}), (2, {"0", "1"}), (None, {"0", "1", "all"})])
def test_only_the_last_layers_are_trained(tested, layers, trained):
    width = tested.model.config.shared_dim
    tower = TunedTower(tested.model, np.zeros((1, width)), np.zeros(1), layers)
    names = {name for name, parameter in tower.named_parameters() if parameter.requires_grad}
    found = {name.split(".")[2] for name in names if name.startswith("vision_model.layers.")}
    assert found == trained - {"all"}
    assert any(name.startswith("vision_model.embeddings.") for name in names) == (layers is None)
    assert {"head.weight", "head.bias", "vision_model.layernorm.weight"} <= names


def test_frozen_layers_do_not_move(asked, monkeypatch):
    towers = []

    def kept(*args):
        towers.append(TunedTower(*args))
        return towers[-1]

    monkeypatch.setattr("pedclip.eval.bench.tuning.TunedTower", kept)
    finetune(asked, FRACTURE, replace(SHORT, layers=1))
    mine, given = towers[0].vision_model.state_dict(), asked.tested.model.vision_model.state_dict()
    moved = {name for name in mine if not torch.equal(mine[name], given[name])}
    assert moved and all(name.startswith(("layers.1.", "layernorm.")) for name in moved)


@pytest.mark.parametrize("layers", [1, None])
def test_batch_norms_and_frozen_parts_stay_as_in_evaluation(make_model, layers):
    model = make_model(vision={"stem_channels": [4, 6], "hidden_dropout_prob": 0.5})
    width = model.config.shared_dim
    tower = TunedTower(model, np.zeros((1, width)), np.zeros(1), layers).train()
    before = {name: buffer.clone() for name, buffer in tower.named_buffers()}
    tower(torch.randn(4, 3, 32, 32), torch.zeros(4, 0))
    assert any("running_mean" in name for name in before)
    assert all(torch.equal(before[name], buffer) for name, buffer in tower.named_buffers())
    assert tower.vision_model.layers[1].training
    assert tower.vision_model.layers[0].training == (layers is None) == tower.vision_model.embeddings.training


def test_it_stops_when_validation_no_longer_gets_better(asked):
    answer = finetune(asked, FRACTURE, replace(STILL, epochs=9, patience=2))
    assert len(answer.result["validation_by_epoch"]) == 1 + 2


def test_a_label_that_training_lacks_is_left_out(asked):
    task = ProbeTask("two", "which", ("fracture", "cast"), min_images=1)
    answer = finetune(asked, task, STILL)
    rows = {row["class"]: row for row in answer.result["classes"]}
    assert rows["cast"]["too_few"] == "train has 0 images with it, fewer than 1"
    assert answer.result["value"] == rows["fracture"]["value"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs is 0; fine-tuning needs at least 1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"layers": -1}, "layers is -1; 0 tunes the head"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Tuning(**wrong)


def test_more_layers_than_there_are_and_runaway_training_are_errors(asked):
    with pytest.raises(ValueError, match="layers is 3, and the tower has 2"):
        finetune(asked, FRACTURE, replace(SHORT, layers=3))
    with pytest.raises(ValueError, match="ran away in epoch 1: outputs are not finite; lower learning_rate"):
        finetune(asked, FRACTURE, replace(SHORT, learning_rate=1e30))


def test_a_tree_in_an_official_layout_goes_through(tmp_path, tested):
    asked = phantom_tree("chd-cxr", tmp_path, tested, patients=80)
    answer = finetune(asked, replace(QUESTIONS["chd-cxr"], min_images=1), replace(SHORT, epochs=1))
    json.dumps([answer.result, answer.predictions], allow_nan=False)
    assert answer.result["n"] == len(asked.splits["test"].samples)
    assert answer.result["settings_of_tuning"]["epochs"] == 1
