"""train.py from a recipe to a Hub folder, and what happens when it is stopped."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState

import pedclip.train as training
from pedclip import PedCLIPModel, PedCLIPProcessor
from pedclip.configuration.training import load_recipe
from pedclip.eval.leakage import check_leakage
from pedclip.eval.training_manifest import MANIFEST, manifest_of
from pedclip.processing.data.samples import read_samples
from pedclip.publishing import patient_data_in

ROOT = Path(__file__).resolve().parents[2]


class Killed(BaseException):
    """Stands for a kill: nothing in the loop may catch it."""


@pytest.fixture(autouse=True)
def fresh_accelerate():
    torch.set_num_threads(1)
    yield
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()
    logging.getLogger("pedclip").handlers.clear()


def run(recipe: Path, *overrides: str) -> Path:
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()
    return training.train(load_recipe(recipe, list(overrides)))


def metrics_of(output: Path) -> list[dict]:
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in line.items() if key != "seconds" and not key.startswith("speed/")}
        for line in lines
    ]


@pytest.fixture
def uninterrupted(recipe, tmp_path) -> Path:
    run(recipe, f"output={tmp_path / 'whole'}")
    return tmp_path / "whole"


def test_a_run_leaves_a_manifest_that_finds_its_own_images_and_stays_out_of_the_models_folder(uninterrupted, recipe):
    data = load_recipe(recipe).data
    manifest = manifest_of(uninterrupted / "hub")
    assert manifest == manifest_of(uninterrupted / "checkpoints" / "best") == uninterrupted / MANIFEST
    assert list(uninterrupted.rglob("*manifest*")) == [manifest]
    for split, count in (("train", 24), ("validation", 8)):
        leaks = check_leakage(manifest, read_samples(data, split=split))
        assert [seen.split for seen in leaks.seen_images] == [split] * count
        assert leaks.seen_patients == count
    assert patient_data_in(uninterrupted / "hub") == []


def test_a_resumed_run_keeps_its_manifest(recipe, tmp_path, uninterrupted):
    content = (uninterrupted / MANIFEST).read_bytes()
    run(recipe, f"output={uninterrupted}")
    assert (uninterrupted / MANIFEST).read_bytes() == content


@pytest.mark.parametrize("saves_before_the_kill", [1, 2, 4])
def test_a_resumed_run_is_bit_equal_to_an_uninterrupted_one(
    recipe, tmp_path, uninterrupted, monkeypatch, saves_before_the_kill
):
    # checkpoints come after steps 2, 3, 4, 6, 8, 9, 10, 12: within epochs and at their ends
    real_save, saved = training.save_checkpoint, []

    def save_then_die(accelerator, target):
        if len(saved) == saves_before_the_kill:
            raise Killed
        real_save(accelerator, target)
        saved.append(target)

    monkeypatch.setattr(training, "save_checkpoint", save_then_die)
    with pytest.raises(Killed):
        run(recipe)
    monkeypatch.setattr(training, "save_checkpoint", real_save)
    hub = run(recipe)

    same = (uninterrupted / "hub" / "model.safetensors").read_bytes()
    assert (hub / "model.safetensors").read_bytes() == same
    assert metrics_of(hub.parent) == metrics_of(uninterrupted)


def test_a_run_killed_while_checkpoints_change_places_goes_on(recipe, tmp_path, uninterrupted, monkeypatch):
    real_rename = Path.rename

    def rename_then_die(path, target):
        if path.name == "last.new" and Path(target).parent.joinpath("last.old").exists():
            raise Killed
        return real_rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_then_die)
    with pytest.raises(Killed):
        run(recipe)
    monkeypatch.setattr(Path, "rename", real_rename)
    assert not (tmp_path / "run" / "checkpoints" / "last").exists()
    hub = run(recipe)

    assert (hub / "model.safetensors").read_bytes() == (uninterrupted / "hub" / "model.safetensors").read_bytes()


def test_another_recipe_in_the_same_folder_is_refused(recipe, tmp_path):
    run(recipe, "epochs=1")
    with pytest.raises(ValueError, match=r"another recipe .*learning_rate"):
        run(recipe, "epochs=1", "learning_rate=0.1")


def test_a_mistake_before_the_first_checkpoint_can_be_mended_in_the_same_folder(recipe, tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        run(recipe, "data.path=/nonexistent")
    run(recipe, "epochs=1")
    run(recipe, "epochs=1", "log_every=5", "num_workers=0")  # weights do not depend on these: nothing to refuse


def test_a_broken_validation_image_is_listed_too(recipe, tmp_path, image_folder):
    rows = (image_folder / "metadata.jsonl").read_text()
    rows = rows.replace('"p99", "split": "train"', '"p99", "split": "validation"')
    there = tmp_path / "images"
    shutil.copytree(image_folder, there)
    (there / "metadata.jsonl").write_text(rows)
    run(recipe, "epochs=1", f"data.path={there}")
    assert "broken.png" in (tmp_path / "run" / "skipped_validation_rows.jsonl").read_text()


def test_a_short_run_learns_keeps_best_and_last_and_lists_the_broken_file(recipe, tmp_path):
    hub = run(recipe, "epochs=40", "checkpoint_every=null", "data.augment.rotation_degrees=0")
    output = tmp_path / "run"

    losses = [line["train/contrastive_loss"] for line in metrics_of(output) if "train/contrastive_loss" in line]
    assert sum(losses[-6:]) < 0.6 * sum(losses[:6])
    skipped = [json.loads(line) for line in (output / "skipped_rows.jsonl").read_text().splitlines()]
    assert [row["file_name"] for row in skipped] == ["broken.png"]
    assert {path.name for path in (output / "checkpoints").iterdir()} == {"best", "last"}
    for folder in (hub, output / "checkpoints" / "best", output / "checkpoints" / "last"):
        model = PedCLIPModel.from_pretrained(folder)
        inputs = PedCLIPProcessor.from_pretrained(folder)(
            images=torch.zeros(3, 20, 20), text=["chest"], return_tensors="pt"
        )
        assert model(**inputs).logits_per_image.isfinite().all()
    assert json.loads((hub / "training_labels.json").read_text())["body_part"] == ["chest", "hand", "knee"]


def test_a_trained_model_goes_on_with_fields_of_its_config_changed(recipe, tmp_path):
    first = run(recipe, "epochs=1")
    on = ["model.text=null", "model.vision_config={}", f"model.pretrained={first}", f"output={tmp_path / 'second'}"]
    second = run(recipe, *on, "model.config={mask_identical_texts: false}", "learning_rate=0", "epochs=1")

    before, after = PedCLIPModel.from_pretrained(first), PedCLIPModel.from_pretrained(second)
    assert before.config.mask_identical_texts and not after.config.mask_identical_texts
    for name, weight in after.state_dict().items():  # a learning rate of 0: what was loaded is what was saved
        torch.testing.assert_close(weight, before.state_dict()[name])


def test_the_schedule_is_the_papers(recipe, tmp_path):
    run(recipe)
    lines = [line for line in metrics_of(tmp_path / "run") if "train/loss" in line]
    forced = [line["train/teacher_forcing"] for line in lines]
    weights = [line["train/gate_weight"] for line in lines]

    assert forced == [1.0] * 6 + [0.0] * 6  # half of 4 epochs of 3 steps
    assert weights[:7] == [1.0] * 7  # lambda falls from 1 where the teacher stops
    assert weights[6:] == pytest.approx([1 - step / 6 for step in range(6)])
    config = load_recipe(recipe)
    assert config.gate_weight_at(4) == 0.0
    for line in lines:
        total = line["train/contrastive_loss"] + line["train/gate_weight"] * line["train/gate_loss"]
        assert line["train/loss"] == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("teacher_forcing", [True, False])
def test_compiled_layers_break_no_graph_and_change_nothing(make_model, make_batch, teacher_forcing):
    asked = {**make_batch(), "return_loss": True, "teacher_forcing": teacher_forcing}
    plain, compiled = make_model().train(), make_model().train()
    training.compile_layers(compiled, backend="aot_eager", fullgraph=True)
    layers = [module for module in compiled.modules() if module._compiled_call_impl is not None]
    assert len(layers) == 4  # two towers of two
    for model in (plain, compiled):
        model(**asked).loss.backward()
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    for (name, own), other in zip(plain.named_parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(other.grad, own.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_two_processes_train_as_one(recipe, tmp_path):
    settings = ["--set", "model.vision_config.hidden_dropout_prob=0", "--set", "epochs=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1", "HF_HUB_OFFLINE": "1"}
    bert_without_dropout = tmp_path / "bert"
    config = load_recipe(recipe)
    model = PedCLIPModel.from_vision_text_pretrained(None, config.model.text, vision_mobe_layers=[11]).text_model
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.0
    model.save_pretrained(bert_without_dropout)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (bert_without_dropout / name).write_bytes(Path(config.model.text, name).read_bytes())
    settings += ["--set", f"model.text={bert_without_dropout}"]

    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_machines", "1", "--mixed_precision", "no"]
    for processes in (1, 2):
        command = [sys.executable, *launch, "--num_processes", str(processes), str(ROOT / "train.py"), str(recipe)]
        command += ["--output", str(tmp_path / f"run{processes}"), *settings]
        if processes == 1:
            command = [sys.executable, str(ROOT / "train.py"), str(recipe), *command[command.index("--output") :]]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]

    one, two = (
        [line["train/loss"] for line in metrics_of(tmp_path / f"run{n}") if "train/loss" in line] for n in (1, 2)
    )
    assert two == pytest.approx(one, rel=1e-4)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epoch=3", "did you mean 'epochs'"),
        ("data.colums={}", "did you mean 'columns'"),
        ("batch_size=1", "at least 2 pairs"),
        ("precision=fp16", "choose one of fp32, bf16"),
        ("batch_size=two", "which is no int"),
        ("model.pretrained=somewhere", "give exactly one"),
        ("teacher_forcing=2", "from 0 to 1"),
        ("epochs", "has no '='"),
    ],
)
def test_a_recipe_that_is_wrong_says_what_and_what_to_do(recipe, override, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(recipe, [override])


def test_a_learning_rate_without_a_dot_is_still_a_number(recipe):
    assert load_recipe(recipe, ["learning_rate=1e-5"]).learning_rate == 1e-5


def test_the_papers_recipe_reads_and_says_what_the_paper_states():
    config = load_recipe(ROOT / "configuration" / "recipes" / "pexr.yaml")

    assert (config.epochs, config.batch_size, config.learning_rate, config.max_text_tokens) == (50, 256, 1e-5, 120)
    assert config.teacher_forcing_epochs == 10
    assert [config.gate_weight_at(epoch) for epoch in (0, 10, 30, 50)] == [1.0, 1.0, 0.5, 0.0]
    assert config.model.vision_config == {"image_size": 224, "mobe_layers": [11], "num_experts": 23}
    assert not config.data.augment.enabled


def test_a_missing_package_is_named_with_the_way_out():
    with pytest.raises(ValueError, match="pip install no-such-package"):
        training.resolve("package://no_such_package/model")


def test_the_command_says_a_wrong_model_in_one_line(recipe, capsys):
    assert training.main([str(recipe), "--set", "model.vision_config.mobe_layers=[7]"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("train.py: ") and "mobe_layers holds [7], but the tower has 2 layers" in said
