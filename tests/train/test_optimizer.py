"""Muon for matrices and AdamW for the rest, stepped, scheduled and saved as one."""

from copy import deepcopy

import pytest
import torch

from pedclip.configuration.data import DataConfig
from pedclip.configuration.training import ModelConfig, TrainConfig, load_recipe
from pedclip.optimizer import MuonOfConvolutions, Together, build_optimizer
from pedclip.train import build_model


@pytest.fixture
def muon(recipe):
    return load_recipe(recipe, ["optimizer=muon", "muon_learning_rate=0.05"])


def test_every_parameter_is_in_one_group_and_matrices_go_to_muon(muon):
    model = build_model(muon.model)
    optimizer = build_optimizer(model, muon)
    named = {id(weight): name for name, weight in model.named_parameters()}
    found = [id(weight) for group in optimizer.param_groups for weight in group["params"]]
    assert sorted(found) == sorted(named)
    of_muon = {named[id(weight)] for weight in optimizer.parts[0].param_groups[0]["params"]}
    assert any("q_proj" in name or "query" in name for name in of_muon)
    assert not any("embeddings" in name or "experts" in name for name in of_muon)


def test_convolutions_of_features_are_matrices_and_those_of_pixels_are_not(make_model):
    model = make_model(vision={"image_size": 32, "patch_size": 8, "stem_channels": [8, 16]})
    config = TrainConfig(
        model=ModelConfig(tokenizer="x"),
        output="x",
        data=DataConfig(path="x"),
        optimizer="muon",
        muon_learning_rate=0.05,
    )
    optimizer = build_optimizer(model, config)
    named = {id(weight): name for name, weight in model.named_parameters()}
    muon = optimizer.parts[0]
    assert sorted(named[id(weight)] for weight in muon.matrices) == [
        "vision_model.embeddings.patch_embeddings.weight",
        "vision_model.embeddings.stem.3.weight",
    ]
    assert {named[id(weight)] for group in optimizer.parts[1].param_groups for weight in group["params"]} >= {
        "vision_model.embeddings.stem.0.weight"
    }


def test_a_convolution_steps_as_the_matrix_it_is():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(6, 4, 3, 3).to(memory_format=torch.channels_last))
    matrix = torch.nn.Parameter(weight.detach().reshape(6, 36).clone())
    ours = MuonOfConvolutions([weight], lr=0.05, weight_decay=0.1)
    theirs = torch.optim.Muon([matrix], lr=0.05, weight_decay=0.1)
    for number in range(4):
        if number == 2:  # a saved and loaded state, and weights that were moved
            weight.data = weight.data.clone()
            ours.load_state_dict(deepcopy(ours.state_dict()))
        weight.grad = weight.detach() ** 2
        matrix.grad = matrix.detach() ** 2
        ours.step()
        theirs.step()
        torch.testing.assert_close(weight.detach().reshape(6, 36), matrix.detach(), rtol=0, atol=0)
    ours.zero_grad()
    assert weight.grad is None


def test_it_steps_as_its_parts_do_and_a_schedule_reaches_them(muon):
    torch.manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(4, 3)), torch.nn.Parameter(torch.randn(3))]
    copies = [torch.nn.Parameter(weight.detach().clone()) for weight in weights]
    together = Together(torch.optim.Muon([weights[0]], lr=0.1), torch.optim.AdamW([weights[1]], lr=0.2))
    apart = [torch.optim.Muon([copies[0]], lr=0.05), torch.optim.AdamW([copies[1]], lr=0.1)]
    schedule = torch.optim.lr_scheduler.LambdaLR(together, lambda step: 0.5)
    for _ in range(3):
        for weight, copy in zip(weights, copies, strict=True):
            weight.grad = torch.ones_like(weight) * weight.detach()
            copy.grad = torch.ones_like(copy) * copy.detach()
        together.step()
        for part in apart:
            part.step()
        schedule.step()
    for weight, copy in zip(weights, copies, strict=True):
        torch.testing.assert_close(weight, copy)
    together.zero_grad()
    assert weights[0].grad is None


def test_a_saved_one_goes_on_as_it_was():
    def made():
        torch.manual_seed(1)
        weights = [torch.nn.Parameter(torch.randn(4, 3)), torch.nn.Parameter(torch.randn(3))]
        return weights, Together(torch.optim.Muon([weights[0]], lr=0.1), torch.optim.AdamW([weights[1]], lr=0.2))

    def step(weights, optimizer):
        for weight in weights:
            weight.grad = weight.detach() ** 2
        optimizer.step()

    weights, optimizer = made()
    step(weights, optimizer)
    state, values = deepcopy(optimizer.state_dict()), [weight.detach().clone() for weight in weights]
    step(weights, optimizer)
    others, resumed = made()
    with torch.no_grad():
        for other, value in zip(others, values, strict=True):
            other.copy_(value)
    resumed.load_state_dict(state)
    step(others, resumed)
    for weight, other in zip(weights, others, strict=True):
        torch.testing.assert_close(weight, other, rtol=0, atol=0)


def test_an_unknown_optimizer_is_refused(recipe):
    with pytest.raises(ValueError, match="adamw, muon"):
        load_recipe(recipe, ["optimizer=sgd"])
