"""Adapters by PEFT: saved, loaded with no difference, merged within float32's rounding; and what PEFT refuses.

docs/peft.md tells a reader what the tests here pin down.
"""

import inspect
import os
import subprocess
import sys

import peft
import pytest
import torch

from pedclip import PedCLIPForImageClassification, PedCLIPModel

ATTENTION = ["q_proj", "v_proj", "query", "value"]  # the image tower's, the text tower's
TEXT_TOWER = r".*text_model\..*\.(query|key|value|dense)"
EXPERTS = ["experts.up_proj", "experts.down_proj"]
ADAPTERS = {
    "attention": {"target_modules": ATTENTION},
    "all-linear": {"target_modules": "all-linear"},
    "text tower": {"target_modules": TEXT_TOWER},
    "experts": {"target_modules": [], "target_parameters": EXPERTS},
    "attention and gate": {"target_modules": ATTENTION, "modules_to_save": ["gate"]},
    "experts and gate": {"target_modules": [], "target_parameters": EXPERTS, "modules_to_save": ["gate"]},
    "attention and experts": {"target_modules": ATTENTION, "target_parameters": EXPERTS},
}

# What a stranger would type, where neither this package nor a network can be reached.
STRANGER = """
import sys
class NoPedCLIP:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pedclip":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoPedCLIP())
import torch
from peft import AutoPeftModelForFeatureExtraction, PeftModel
from transformers import AutoModel
base, adapter, merged, batch, answers = sys.argv[1:]
model = AutoModel.from_pretrained(base, trust_remote_code=True)
opened = {
    "AutoModel and PeftModel": PeftModel.from_pretrained(model, adapter),
    "AutoPeftModel": AutoPeftModelForFeatureExtraction.from_pretrained(adapter, trust_remote_code=True),
    "merged": AutoModel.from_pretrained(merged, trust_remote_code=True),
}
assert not any("pedclip" in name.split(".") for name in sys.modules if not name.startswith("transformers_modules"))
batch = torch.load(batch)
with torch.no_grad():
    found = {name: model.eval()(**batch).logits_per_image for name, model in opened.items()}
torch.save(found, answers)
"""


def adapted(model, task_type="FEATURE_EXTRACTION", **targets):
    """A model with an adapter that does something: PEFT starts it at zero, and a saved module as it was."""
    adapter = peft.get_peft_model(model, peft.LoraConfig(r=3, lora_alpha=6, task_type=task_type, **targets)).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in adapter.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1)
            elif "modules_to_save" in name:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return adapter


def logits(model, batch):
    with torch.no_grad():
        return model(**batch).logits_per_image


def adapter_weights(model) -> dict[str, list]:
    """To the bit; outputs may differ in the last one, since a file's tensors lie elsewhere in memory."""
    return {name: weight.tolist() for name, weight in peft.get_peft_model_state_dict(model).items()}


def trained(model) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.fixture
def base_folder(make_model, tmp_path):
    make_model().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.mark.parametrize("targets", ADAPTERS.values(), ids=ADAPTERS.keys())
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
        before = loaded(**batch)
    merged = loaded.merge_and_unload()
    assert type(merged) is PedCLIPModel
    with torch.no_grad():
        after = merged(**batch)
    torch.testing.assert_close(after.image_embeds, before.image_embeds, rtol=0, atol=2e-6)
    torch.testing.assert_close(after.text_embeds, before.text_embeds, rtol=0, atol=2e-6)
    torch.testing.assert_close(logits(merged, batch), expected, rtol=0, atol=3e-5)  # cosines divided by 0.07

    merged.save_pretrained(tmp_path / "merged")
    again = PedCLIPModel.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(again.state_dict(), merged.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(logits(again, batch), logits(merged, batch), rtol=0, atol=5e-6)


@pytest.mark.parametrize("targets", ADAPTERS.values(), ids=ADAPTERS.keys())
def test_an_adapter_trains_what_it_targets_and_nothing_else(make_model, targets):
    names = trained(adapted(make_model(), **targets))
    in_text = {name for name in names if ".text_model." in name}
    in_experts = {name for name in names if ".experts." in name}
    in_gate = {name for name in names if ".gate." in name}
    assert bool(in_text) == ("target_modules" in targets and bool(targets["target_modules"]))
    assert (in_text == names) == (targets.get("target_modules") == TEXT_TOWER)
    assert len(in_experts) == (4 if "target_parameters" in targets else 0)  # two sides of up and down
    weight = "base_model.model.vision_model.layers.1.mlp.gate.modules_to_save.default.proj.weight"
    if "modules_to_save" in targets:
        assert in_gate == {weight}
    elif targets["target_modules"] != "all-linear":
        assert not in_gate
    assert not [name for name in names if "lora_" not in name and "modules_to_save" not in name]


def test_an_adapter_of_the_experts_has_its_rank_in_each_of_them(make_model):
    base = make_model()
    experts = base.vision_model.layers[1].mlp.experts
    before = experts.up_proj.detach().clone()
    merged = adapted(base, target_modules=[], target_parameters=["experts.up_proj"]).merge_and_unload()
    change = merged.vision_model.layers[1].mlp.experts.up_proj.detach() - before
    assert torch.linalg.matrix_rank(change, rtol=1e-4).tolist() == [3] * len(change)


def test_an_adapter_opens_with_its_base_through_auto_peft_model(base_folder, make_batch, tmp_path):
    model = adapted(PedCLIPModel.from_pretrained(base_folder), target_modules=ATTENTION)
    model.save_pretrained(tmp_path / "adapter")

    opened = peft.AutoPeftModelForFeatureExtraction.from_pretrained(tmp_path / "adapter").eval()
    assert adapter_weights(opened) == adapter_weights(model)
    torch.testing.assert_close(logits(opened, make_batch()), logits(model, make_batch()), rtol=0, atol=5e-6)


def test_adapter_and_merged_model_open_where_pedclip_is_not_installed(base_folder, make_batch, tmp_path):
    batch = make_batch()
    targets = {"target_modules": ATTENTION, "target_parameters": EXPERTS, "modules_to_save": ["gate"]}
    model = adapted(PedCLIPModel.from_pretrained(base_folder), **targets)
    expected = logits(model, batch)
    model.save_pretrained(tmp_path / "adapter")
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    torch.save(batch, tmp_path / "batch.pt")
    folders = [str(tmp_path / name) for name in ("base", "adapter", "merged", "batch.pt", "answers.pt")]
    ran = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER, *folders],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "HF_HOME": str(tmp_path / "cache"),  # empty: no code from an earlier run
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    answers = torch.load(tmp_path / "answers.pt")
    assert set(answers) == {"AutoModel and PeftModel", "AutoPeftModel", "merged"}
    for name, found in answers.items():
        torch.testing.assert_close(found, expected, rtol=0, atol=3e-5, msg=name)


@pytest.mark.parametrize("checkpointing", [None, False, True], ids=["plain", "checkpointed", "checkpointed reentrant"])
@pytest.mark.parametrize("targets", ["attention", "attention and experts"])
def test_an_adapter_learns_and_its_base_does_not(make_model, make_batch, checkpointing, targets):
    base = make_model()
    if checkpointing is not None:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": checkpointing})
        base.enable_input_require_grads()
    model = adapted(base, **ADAPTERS[targets]).train()
    batch = make_batch()
    model(**batch, return_loss=True, teacher_forcing=True).loss.backward()

    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert reached == {name for name, _ in model.named_parameters() if "lora_" in name}
    assert all(parameter.grad.any() for name, parameter in model.named_parameters() if "lora_" in name)


def test_under_teacher_forcing_one_part_s_films_change_that_part_s_expert_alone(make_model, make_batch):
    base = make_model()
    before = base.vision_model.layers[1].mlp.experts.down_proj.detach().clone()
    model = peft.get_peft_model(base, peft.LoraConfig(r=2, target_modules=[], target_parameters=EXPERTS)).train()
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=0.1, weight_decay=0)
    batch = make_batch() | {"body_part": torch.full((4,), 2)}
    for _ in range(3):
        optimizer.zero_grad()
        model(**batch, return_loss=True, teacher_forcing=True).loss.backward()
        optimizer.step()
    after = model.merge_and_unload().vision_model.layers[1].mlp.experts.down_proj.detach()
    changed = (after - before).abs().amax(dim=(1, 2)) > 0
    assert changed.tolist() == [False, False, True, False, False]


def test_a_classifier_learns_with_its_head_and_is_saved_with_it(make_config, make_batch, tmp_path):
    torch.manual_seed(0)
    PedCLIPForImageClassification(make_config(num_labels=3)).save_pretrained(tmp_path / "base")

    def base():
        return PedCLIPForImageClassification.from_pretrained(tmp_path / "base")

    pixels, labels = make_batch()["pixel_values"], torch.tensor([0, 1, 2, 0])
    model = adapted(base(), task_type=None, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])
    model.train()(pixel_values=pixels, labels=labels).loss.backward()
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert reached == trained(model)
    assert {name.split(".")[-1] for name in reached if "classifier.modules_to_save" in name} == {"weight", "bias"}

    model.eval().save_pretrained(tmp_path / "adapter")
    loaded = peft.PeftModel.from_pretrained(base(), tmp_path / "adapter").eval()
    with torch.no_grad():
        expected = model(pixel_values=pixels).logits
        torch.testing.assert_close(loaded(pixel_values=pixels).logits, expected, rtol=0, atol=2e-6)
        assert (expected - base()(pixels).logits).abs().max() > 0.01
        merged = loaded.merge_and_unload()
        assert type(merged) is PedCLIPForImageClassification
        torch.testing.assert_close(merged(pixels).logits, expected, rtol=0, atol=2e-6)


def test_an_adapter_of_a_model_in_half_precision_takes_a_step(make_model, make_batch):
    base = make_model(dtype=torch.bfloat16)
    frozen = {name: weight.clone() for name, weight in base.state_dict().items()}
    targets = {"target_modules": ATTENTION, "target_parameters": EXPERTS, "modules_to_save": ["gate"]}
    model = adapted(base, **targets).train()
    own = [parameter for name, parameter in model.named_parameters() if "lora_" in name]
    assert {parameter.dtype for parameter in own} == {
        torch.float32
    }  # PEFT's default: small steps would be rounded away
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=0.01)
    before = [parameter.detach().clone() for parameter in own]
    loss = model(**make_batch(dtype=torch.bfloat16), return_loss=True).loss
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert all((parameter != old).any() for parameter, old in zip(own, before, strict=True))
    after = {name.replace(".base_layer", ""): weight for name, weight in model.base_model.model.state_dict().items()}
    after = {name.replace(".original_module", ""): weight for name, weight in after.items()}
    assert all(torch.equal(after[name], weight) for name, weight in frozen.items())


# ---- what PEFT refuses, and what it passes over: pinned, so that a change of PEFT is seen


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lora_dropout": 0.1}, "does not work with lora_dropout != 0"),
        ({"use_dora": True}, "does not work with use_dora=True"),
        ({"lora_bias": True}, "does not work with lora_bias=True"),
    ],
    ids=["dropout", "DoRA", "bias"],
)
@pytest.mark.parametrize("modules", [[], ATTENTION], ids=["experts", "experts beside attention"])
def test_peft_refuses_for_the_experts_what_it_can_only_do_in_modules(make_model, settings, message, modules):
    config = peft.LoraConfig(target_modules=modules, target_parameters=EXPERTS, **settings)
    with pytest.raises(ValueError, match=message):
        peft.get_peft_model(make_model(), config)


@pytest.mark.parametrize(
    "targets",
    [
        {"target_modules": ["q_prj"]},
        {"target_modules": ["up_proj"]},  # a parameter, no module
        {"target_modules": [], "target_parameters": ["experts.up_prj"]},
    ],
    ids=["module that is not there", "parameter as a module", "parameter that is not there"],
)
def test_peft_refuses_targets_that_are_not_there(make_model, targets):
    with pytest.raises(ValueError, match=r"not found in the base model|no `target_parameters` found"):
        peft.get_peft_model(make_model(), peft.LoraConfig(**targets))


def test_peft_only_warns_of_a_wrong_parameter_beside_right_modules(make_model):
    with pytest.warns(RuntimeWarning, match="no parameter was matched"):
        model = adapted(make_model(), target_modules=ATTENTION, target_parameters=["experts.up_prj"])
    assert not [name for name in trained(model) if "experts" in name]


@pytest.mark.parametrize("name", ["logit_scale", "gte"], ids=["the temperature, a bare parameter", "misspelt"])
def test_peft_says_nothing_of_modules_to_save_that_are_no_modules(make_model, name):
    model = adapted(make_model(), target_modules=ATTENTION, modules_to_save=[name])
    assert trained(model) == trained(adapted(make_model(), target_modules=ATTENTION))


def test_a_classifier_takes_no_task_type_because_peft_then_hands_it_inputs_of_a_text_model(make_config, make_batch):
    model = adapted(PedCLIPForImageClassification(make_config(num_labels=3)), target_modules=["q_proj"])
    with pytest.raises(TypeError, match="attention_mask"):
        model(pixel_values=make_batch()["pixel_values"])


@pytest.mark.skipif(
    "import_allowlist" not in inspect.signature(peft.AutoPeftModel.from_pretrained).parameters,
    reason="this PEFT imports whatever package an adapter names",
)
def test_auto_peft_model_needs_the_task_type(base_folder, tmp_path):
    model = adapted(PedCLIPModel.from_pretrained(base_folder), task_type=None, target_modules=ATTENTION)
    model.save_pretrained(tmp_path / "adapter")
    with pytest.raises(ValueError, match="import allowlist"):
        peft.AutoPeftModel.from_pretrained(tmp_path / "adapter")


def test_an_adapter_does_not_hold_the_means_of_batch_norm_so_training_must_not_move_them(make_model, make_batch):
    """In training mode a frozen stem still counts; loaded on a fresh base, the adapter then answers otherwise."""
    model = adapted(make_model(vision={"stem_channels": [6, 8]}), target_modules=ATTENTION)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    means = [norm.running_mean.clone() for norm in norms]
    assert norms and not [name for name in peft.get_peft_model_state_dict(model) if "running_mean" in name]
    model.train()
    for norm in norms:
        norm.eval()
    model(**make_batch())
    assert all(torch.equal(norm.running_mean, mean) for norm, mean in zip(norms, means, strict=True))
    model.train()(**make_batch())
    assert not any(torch.equal(norm.running_mean, mean) for norm, mean in zip(norms, means, strict=True))
