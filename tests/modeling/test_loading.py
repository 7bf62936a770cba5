"""How a folder may be opened: parts, devices, number types, attention; each gives the model's own numbers."""

import json

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForZeroShotImageClassification,
    AutoProcessor,
)

from pedclip import PedCLIPForImageClassification, PedCLIPModel
from pedclip.card import CardFacts
from pedclip.check import check_folder
from pedclip.hub import write_hub_folder


def logits(model, batch) -> torch.Tensor:
    with torch.no_grad():
        return model(**{key: batch[key] for key in ("input_ids", "attention_mask", "pixel_values")}).logits_per_image


@pytest.fixture
def saved(make_model, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path / "model", max_shard_size="60KB")
    return model, tmp_path / "model"


def test_weights_in_parts_open_as_one_in_every_auto_class(saved, make_batch):
    model, folder = saved
    parts = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"].values()
    assert len(set(parts)) > 2 and not (folder / "model.safetensors").exists()
    for auto in (AutoModel, AutoModelForZeroShotImageClassification):
        torch.testing.assert_close(logits(auto.from_pretrained(folder), make_batch()), logits(model, make_batch()))
    classifier = AutoModelForImageClassification.from_pretrained(folder, num_labels=3)
    assert type(classifier) is PedCLIPForImageClassification
    with torch.no_grad():
        assert classifier(make_batch()["pixel_values"]).logits.shape == (4, 3)


def test_a_folder_in_parts_passes_its_check(make_model, processor, tmp_path, monkeypatch):
    model = make_model(text={"vocab_size": len(processor.tokenizer)})
    whole = PedCLIPModel.save_pretrained
    monkeypatch.setattr(
        PedCLIPModel, "save_pretrained", lambda self, folder: whole(self, folder, max_shard_size="60KB")
    )
    folder = write_hub_folder(model, processor, tmp_path / "hub", CardFacts(training_data="Nothing: random weights."))
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    assert [check for check in check_folder(folder) if not check.ok] == []


@pytest.mark.parametrize("device_map", ["auto", "cpu", {"": "cpu"}], ids=str)
def test_a_device_map_gives_the_same_numbers(saved, make_batch, device_map):
    model, folder = saved
    opened = AutoModel.from_pretrained(folder, device_map=device_map)
    torch.testing.assert_close(logits(opened, make_batch()).cpu(), logits(model, make_batch()), rtol=1e-4, atol=1e-4)


def test_layers_may_lie_on_disk(saved, make_batch, tmp_path):
    """What `device_map="auto"` does with a model that memory does not hold."""
    model, folder = saved
    places = {name: "cpu" for name, _ in model.named_children()} | {"logit_scale": "cpu", "text_model": "disk"}
    opened = AutoModel.from_pretrained(folder, device_map=places, offload_folder=tmp_path / "offload")
    assert opened.hf_device_map["text_model"] == "disk"
    torch.testing.assert_close(logits(opened, make_batch()), logits(model, make_batch()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_every_number_type_is_near_float32(saved, make_batch, dtype):
    model, folder = saved
    opened = AutoModel.from_pretrained(folder, dtype=dtype)
    assert {parameter.dtype for parameter in opened.parameters()} == {dtype}
    found, expected = logits(opened, make_batch()), logits(model, make_batch())
    cosines = 0.05 if dtype in (torch.bfloat16, torch.float16) else 1e-5
    assert (found.float() - expected).abs().max() < cosines * model.logit_scale.exp()


@pytest.mark.parametrize("attention", ["eager", "sdpa", {"vision_config": "eager", "text_config": "sdpa"}], ids=str)
def test_every_attention_gives_the_same_numbers(saved, make_batch, attention):
    model, folder = saved
    opened = AutoModel.from_pretrained(folder, attn_implementation=attention)
    wanted = attention if isinstance(attention, str) else attention["vision_config"]
    assert opened.vision_model.config._attn_implementation == wanted
    torch.testing.assert_close(logits(opened, make_batch()), logits(model, make_batch()), rtol=1e-4, atol=1e-5)


def test_the_processor_opens_by_every_auto_class(make_model, processor, tmp_path):
    make_model(text={"vocab_size": len(processor.tokenizer)}).save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert AutoProcessor.from_pretrained(tmp_path).to_dict() == processor.to_dict()
