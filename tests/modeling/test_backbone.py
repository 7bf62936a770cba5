"""The image tower as a backbone: feature maps that are the tower's own patches, through AutoBackbone too."""

import os
import subprocess
import sys

import pytest
import torch
from local_hub import LocalHub
from transformers import AutoBackbone

from pedclip import PedCLIPModel, PedCLIPVisionBackbone


@pytest.fixture
def saved(make_model, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path / "model")
    model.vision_model.save_pretrained(tmp_path / "tower")
    return model, tmp_path


def pixels(size: int = 32) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_the_last_map_is_the_towers_patches_in_rows_and_columns(saved):
    model, folder = saved
    backbone = PedCLIPVisionBackbone.from_pretrained(folder / "model").eval()
    (last,) = backbone(pixels()).feature_maps
    tower = model.vision_model(pixels())
    side = 32 // model.config.vision_config.patch_size
    width = model.config.vision_config.hidden_size
    assert last.shape == (2, width, side, side) and backbone.channels == [width]
    for row in range(side):
        for column in range(side):
            patch = tower.last_hidden_state[:, 1 + row * side + column]
            torch.testing.assert_close(last[:, :, row, column], patch, rtol=0, atol=1e-6)


@torch.no_grad()
def test_stages_by_number_and_by_name_are_the_hidden_states_after_the_norm(saved):
    model, folder = saved
    by_number = PedCLIPVisionBackbone.from_pretrained(folder / "model", out_indices=[0, 1]).eval()
    by_name = PedCLIPVisionBackbone.from_pretrained(folder / "tower", out_features=["stem", "stage1"]).eval()
    assert by_number.out_features == by_name.out_features == ["stem", "stage1"]
    first, second = by_number(pixels()), by_name(pixels(), output_hidden_states=True)
    assert (
        first.hidden_states is None and len(second.hidden_states) == model.config.vision_config.num_hidden_layers + 1
    )
    for one, other, hidden in zip(first.feature_maps, second.feature_maps, second.hidden_states, strict=False):
        assert torch.equal(one, other)
        expected = model.vision_model.layernorm(hidden)[:, 1:].transpose(1, 2)
        torch.testing.assert_close(one.flatten(2), expected, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="out_features must be a subset"):
        PedCLIPVisionBackbone.from_pretrained(folder / "tower", out_features=["stage99"])


@torch.no_grad()
def test_a_larger_image_gives_a_larger_map_and_a_wide_one_keeps_its_rows(make_model):
    backbone = PedCLIPVisionBackbone(make_model().config.vision_config).eval()
    wide = torch.cat((pixels(), pixels()), dim=-1)
    (found,) = backbone(wide, interpolate_pos_encoding=True).feature_maps
    side = 32 // backbone.config.patch_size
    assert found.shape[2:] == (side, 2 * side)


def test_it_is_saved_opened_again_and_trained(saved):
    _, folder = saved
    backbone = PedCLIPVisionBackbone.from_pretrained(folder / "model", out_indices=[1])
    backbone.save_pretrained(folder / "backbone")
    again = PedCLIPVisionBackbone.from_pretrained(folder / "backbone")
    assert again.out_indices == [1]
    backbone.train()(pixels()).feature_maps[0].square().sum().backward()
    assert backbone.embeddings.patch_embeddings.weight.grad.any()


def test_auto_backbone_makes_one_from_the_towers_config(make_model):
    backbone = AutoBackbone.from_config(make_model().config.vision_config)
    assert type(backbone) is PedCLIPVisionBackbone


STRANGER = """
import sys
import torch
from transformers import AutoBackbone
backbone = AutoBackbone.from_pretrained("somebody/tower", trust_remote_code=True, out_indices=[1, 2]).eval()
pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    maps = backbone(pixels).feature_maps
print(type(backbone).__name__, len(maps), float(maps[-1].double().sum()).hex())
"""


def test_a_stranger_gets_it_by_the_towers_id(saved, tmp_path):
    """By an id alone, since AutoBackbone asks the Hub whether it exists; and a tower's, since it wants one config."""
    _, folder = saved
    with LocalHub() as hub:
        hub.put("somebody/tower", {path.name: path.read_bytes() for path in (folder / "tower").iterdir()})
        environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        done = subprocess.run(
            [sys.executable, "-I", "-c", STRANGER],
            env={**environment, "HF_HOME": str(tmp_path / "home")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    name, maps_given, total = done.stdout.strip().splitlines()[-1].split()
    with torch.no_grad():
        maps = (
            PedCLIPVisionBackbone.from_pretrained(folder / "model", out_indices=[1, 2]).eval()(pixels()).feature_maps
        )
    assert (name, maps_given) == ("PedCLIPVisionBackbone", "2")
    assert float.fromhex(total) == pytest.approx(float(maps[-1].double().sum()), abs=1e-4)


def test_a_whole_model_is_not_changed_by_being_opened_as_a_backbone(saved):
    _, folder = saved
    PedCLIPVisionBackbone.from_pretrained(folder / "model", out_indices=[0])
    assert PedCLIPModel.from_pretrained(folder / "model").config.vision_config.out_indices != [0]
