"""Adapters by PEFT: saved, loaded with no difference, merged within float32's rounding."""

import peft
import pytest
import torch

from pedclip import PedCLIPModel

ATTENTION = ["q_proj", "v_proj", "query", "value"]  # the image tower's, the text tower's
EXPERTS = ["experts.up_proj", "experts.down_proj"]


def adapted(model, **targets):
    """A model with an adapter that does something: PEFT starts it at zero."""
    config = peft.LoraConfig(r=3, lora_alpha=6, task_type="FEATURE_EXTRACTION", **targets)
    adapter = peft.get_peft_model(model, config).eval()
    with torch.no_grad():
        for name, parameter in adapter.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1)
    return adapter


def logits(model, batch):
    with torch.no_grad():
        return model(**batch).logits_per_image


def adapter_weights(model) -> dict[str, list]:
    """To the bit; outputs may differ in the last one, since a file's tensors lie elsewhere in memory."""
    return {name: weight.tolist() for name, weight in peft.get_peft_model_state_dict(model).items()}


@pytest.fixture
def base_folder(make_model, tmp_path):
    make_model().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.mark.parametrize(
    "targets",
    [
        {"target_modules": ATTENTION},
        {"target_modules": "all-linear"},
        {"target_modules": [], "target_parameters": EXPERTS},
        {"target_modules": ATTENTION, "modules_to_save": ["gate"]},
    ],
    ids=["attention", "all-linear", "experts", "attention and gate"],
)
def test_an_adapter_saves_loads_and_merges(base_folder, make_batch, tmp_path, targets):
    batch = make_batch()
    model = adapted(PedCLIPModel.from_pretrained(base_folder), **targets)
    expected = logits(model, batch)
    model.save_pretrained(tmp_path / "adapter")
    loaded = peft.PeftModel.from_pretrained(PedCLIPModel.from_pretrained(base_folder), tmp_path / "adapter").eval()

    assert (expected - logits(PedCLIPModel.from_pretrained(base_folder), batch)).abs().max() > 0.01
    assert adapter_weights(loaded) == adapter_weights(model)
    torch.testing.assert_close(logits(loaded, batch), expected, rtol=0, atol=5e-6)

    with torch.no_grad():
        embeds = loaded(**batch).image_embeds
    merged = loaded.merge_and_unload()
    assert type(merged) is PedCLIPModel
    with torch.no_grad():
        torch.testing.assert_close(merged(**batch).image_embeds, embeds, rtol=0, atol=2e-6)
    torch.testing.assert_close(logits(merged, batch), expected, rtol=0, atol=3e-5)  # cosines divided by 0.07

    merged.save_pretrained(tmp_path / "merged")
    torch.testing.assert_close(
        logits(PedCLIPModel.from_pretrained(tmp_path / "merged"), batch), logits(merged, batch), rtol=0, atol=0
    )


def test_an_adapter_opens_with_its_base_through_auto_peft_model(base_folder, make_batch, tmp_path):
    model = adapted(PedCLIPModel.from_pretrained(base_folder), target_modules=ATTENTION)
    model.save_pretrained(tmp_path / "adapter")

    opened = peft.AutoPeftModelForFeatureExtraction.from_pretrained(tmp_path / "adapter").eval()
    assert adapter_weights(opened) == adapter_weights(model)
    torch.testing.assert_close(logits(opened, make_batch()), logits(model, make_batch()), rtol=0, atol=5e-6)


@pytest.mark.parametrize("checkpointing", [None, False, True], ids=["plain", "checkpointed", "checkpointed reentrant"])
def test_an_adapter_learns_and_its_base_does_not(make_model, make_batch, checkpointing):
    base = make_model()
    if checkpointing is not None:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": checkpointing})
        base.enable_input_require_grads()
    model = adapted(base, target_modules=ATTENTION).train()
    batch = make_batch()
    model(**batch, return_loss=True, teacher_forcing=True).loss.backward()

    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert reached == {name for name, _ in model.named_parameters() if "lora_" in name}
    assert all(parameter.grad.any() for name, parameter in model.named_parameters() if "lora_" in name)
