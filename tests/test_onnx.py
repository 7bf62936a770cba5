"""Both towers outside of PyTorch: torch.export and ONNX give the model's numbers for any batch and any length."""

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pedclip import PedCLIPForImageClassification, PedCLIPModel, PedCLIPProcessor, onnx_export
from pedclip.cli import main
from pedclip.eval.embeddings import model_hash
from pedclip.hub import export_folder
from pedclip.onnx_export import PARITY, ImageTower, TextTower, export_towers, write_onnx

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

ROOT = Path(__file__).resolve().parents[1]
TOWERS = {
    "BERT, experts in the last layer": {},
    "experts in every layer": {"vision": {"mobe_layers": [0, 1]}},
    "no experts": {"vision": {"mobe_layers": []}},
    "RoBERTa, whose positions skip the padding": {"text": {"model_type": "roberta", "pad_token_id": 1}},
    "CamemBERT, of RoBERTa's kind by another name": {"text": {"model_type": "camembert", "pad_token_id": 1}},
    "a projection, and convolutions before the patches": {"vision": {"stem_channels": [4, 8]}, "projection_dim": 20},
}


def inputs_of(model, batch: int, length: int):
    generator = torch.Generator().manual_seed(batch)
    mask = torch.ones(batch, length, dtype=torch.long)
    mask[-1, length // 2 :] = 0
    ids = torch.randint(5, 60, (batch, length), generator=generator)
    return (
        torch.randn(batch, 3, 32, 32, generator=generator),
        torch.where(mask == 1, ids, model.config.text_config.pad_token_id or 0),
        mask,
    )


@pytest.mark.parametrize("name", TOWERS)
def test_an_exported_program_takes_any_batch_and_length(make_model, name, tmp_path):
    model = make_model(**TOWERS[name])
    programs = export_towers(model)
    for side, program in programs.items():
        torch.export.save(program, tmp_path / f"{side}.pt2")
    image, text = (torch.export.load(tmp_path / f"{side}.pt2").module() for side in ("image", "text"))
    for batch, length in ((1, 9), (2, 4), (7, 30)):
        pixels, ids, mask = inputs_of(model, batch, length)
        with torch.no_grad():
            for own, other in zip(ImageTower(model)(pixels), image(pixels), strict=True):
                torch.testing.assert_close(other, own, rtol=0, atol=1e-6)
            torch.testing.assert_close(text(ids, mask), TextTower(model)(ids, mask), rtol=0, atol=1e-6)


def test_both_towers_are_one_graph_to_dynamo(make_model):
    for tower, arguments, shapes in onnx_export._towers(make_model()).values():
        with torch.no_grad():  # strict: a graph break is an error
            program = torch.export.export(tower, arguments, dynamic_shapes=shapes, strict=True)
            for own, other in zip(tower(*arguments), program.module()(*arguments), strict=True):
                torch.testing.assert_close(other, own, rtol=0, atol=1e-6)


def test_the_limit_of_all_experts_at_once_does_not_reach_an_exported_program(make_model, monkeypatch):
    model = make_model()
    inner, experts = model.config.vision_config.expert_intermediate_size, model.config.vision_config.num_experts
    monkeypatch.setattr("pedclip.modeling_pedclip.experts_pedclip.FEW", 4 * inner * experts)  # four images
    image = export_towers(model)["image"].module()
    for batch in (1, 4, 5, 9):  # the model goes another way from five on
        pixels, *_ = inputs_of(model, batch, 4)
        with torch.no_grad():
            for own, other in zip(ImageTower(model)(pixels), image(pixels), strict=True):
                torch.testing.assert_close(other, own, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", TOWERS)
def test_onnx_runtime_gives_the_models_numbers(make_model, processor, name, tmp_path):
    changes = dict(TOWERS[name])
    changes["text"] = {"vocab_size": len(processor.tokenizer), **changes.get("text", {})}
    model = make_model(**changes)
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    described = write_onnx(tmp_path / "model", tmp_path / "onnx")
    sessions = {
        side: onnxruntime.InferenceSession(tmp_path / "onnx" / f"{side}.onnx", providers=["CPUExecutionProvider"])
        for side in ("image", "text")
    }
    for batch, length in ((1, 9), (3, 4), (6, 21)):
        pixels, ids, mask = inputs_of(model, batch, length)
        found = sessions["image"].run(None, {"pixel_values": pixels.numpy()})
        texts = sessions["text"].run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        with torch.no_grad():
            expected = [*ImageTower(model)(pixels), *TextTower(model)(ids, mask)]
        for one, own in zip([*found, *texts], expected, strict=True):
            np.testing.assert_allclose(one, own.numpy(), rtol=0, atol=PARITY)
    has_experts = name != "no experts"
    assert described["files"]["image.onnx"]["outputs"] == ["image_embeds", *(["router_probs"] if has_experts else [])]
    assert json.loads((tmp_path / "onnx" / "onnx.json").read_text()) == described
    assert described["model_hash"] == model_hash(tmp_path / "model")
    assert (tmp_path / "onnx" / "config.json").read_bytes() == (tmp_path / "model" / "config.json").read_bytes()
    settings = json.loads((tmp_path / "onnx" / "tokenizer_config.json").read_text())
    assert not {"is_local", "local_files_only"} & set(settings)
    assert PedCLIPProcessor.from_pretrained(tmp_path / "onnx").tokenizer is not None


def test_a_classifier_gives_its_logits(make_config, processor, tmp_path):
    torch.manual_seed(0)
    labels = {0: "normal", 1: "fracture", 2: "cast"}
    model = PedCLIPForImageClassification(make_config(id2label=labels)).eval()
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    described = write_onnx(tmp_path / "model", tmp_path / "onnx")
    assert described["labels"] == list(labels.values())
    assert list(described["files"]) == ["image.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "image.onnx", providers=["CPUExecutionProvider"])
    for batch in (1, 2, 5):
        pixels = torch.randn(batch, 3, 32, 32)
        with torch.no_grad():
            expected = model(pixel_values=pixels).logits.numpy()
        (found,) = session.run(["logits"], {"pixel_values": pixels.numpy()})
        np.testing.assert_allclose(found, expected, rtol=0, atol=PARITY)


def test_half_precision_is_exported_in_float32(model_folder, tmp_path):
    PedCLIPModel.from_pretrained(model_folder, dtype=torch.bfloat16).save_pretrained(model_folder)
    described = write_onnx(model_folder, tmp_path / "onnx")
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "text.onnx", providers=["CPUExecutionProvider"])
    assert {one.type for one in session.get_outputs()} == {"tensor(float)"}
    assert max(file["largest_difference"] for file in described["files"].values()) <= PARITY


def test_weights_beyond_the_limit_of_a_file_lie_beside_it(model_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("torch.onnx._internal.exporter._onnx_program._LARGE_MODEL_THRESHOLD", 0)
    assert main(["onnx", str(model_folder), str(tmp_path / "onnx")]) == 0
    (tmp_path / "onnx").rename(tmp_path / "moved")  # a path in the graph would be lost now
    assert (tmp_path / "moved" / "image.onnx.data").is_file()
    session = onnxruntime.InferenceSession(tmp_path / "moved" / "image.onnx", providers=["CPUExecutionProvider"])
    assert session.run(None, {"pixel_values": np.zeros((1, 3, 32, 32), np.float32)})[0].shape == (1, 24)


def test_a_graph_that_differs_is_not_left_behind(model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("pedclip.onnx_export._difference", lambda *given: 2 * PARITY)
    with pytest.raises(ValueError, match=r"image.onnx differs from the model by 2.0e-04.*Nothing was written"):
        write_onnx(model_folder, tmp_path / "onnx")
    assert [path.name for path in tmp_path.iterdir()] == [model_folder.name]


def test_a_difference_is_seen(model_folder, tmp_path, monkeypatch):
    model = PedCLIPModel.from_pretrained(model_folder)
    tower, arguments, shapes = onnx_export._towers(model)["image"]
    onnx_export._trace(tower, arguments, shapes, tmp_path / "image.onnx")
    session = onnx_export.session_of(tmp_path / "image.onnx")
    assert onnx_export._difference(session, tower, arguments) <= PARITY
    with torch.no_grad():
        model.vision_model.layernorm.weight[0] += 1
    assert onnx_export._difference(session, tower, arguments) > PARITY


def test_the_command_runs_in_a_fresh_process_and_refuses_a_folder_that_is_there(model_folder, tmp_path, capsys):
    command = ["onnx", str(model_folder), str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-m", "pedclip.cli", *command], capture_output=True, text=True, check=True)
    assert "image.onnx" in done.stdout and "pixel_values -> image_embeds, router_probs" in done.stdout
    assert main(command) == 2
    assert "is there already" in capsys.readouterr().err


def test_the_snippets_of_the_docs_run_and_print_what_they_say(model_folder, tmp_path, monkeypatch):
    docs = (ROOT / "docs" / "inference.md").read_text(encoding="utf-8")
    found = re.findall(r"<!-- snippet: \w+ -->\n```python\n(.*?)```\n```\n(.*?)```", docs, flags=re.DOTALL)
    assert len(found) == docs.count("<!-- snippet")
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    export_folder(model_folder, tmp_path / "runs" / "demo" / "hub")
    monkeypatch.chdir(tmp_path)
    write_onnx("runs/demo/hub", "demo-onnx")
    for code, printed in found:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, "docs/inference.md", "exec"), {})
        assert out.getvalue() == printed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "is not a model folder"),
        (lambda folder: set_config(folder, architectures=["BertModel"]), "names the architectures ['BertModel']"),
        (lambda folder: tower_alone(folder), "holds a PedCLIPVisionModel"),
        (lambda folder: set_skip(folder), "skip_experts_below is 0.01"),
    ],
)
def test_what_cannot_be_exported_is_said_and_nothing_is_written(model_folder, tmp_path, capsys, change, message):
    change(model_folder)
    assert main(["onnx", str(model_folder), str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def set_config(folder, **fields):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))


def set_skip(folder):
    vision = json.loads((folder / "config.json").read_text())["vision_config"]
    set_config(folder, vision_config=vision | {"skip_experts_below": 0.01})


def tower_alone(folder):
    model, processor = PedCLIPModel.from_pretrained(folder), PedCLIPProcessor.from_pretrained(folder)
    shutil.rmtree(folder)
    model.vision_model.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)


def test_a_tower_that_torch_cannot_trace_is_said_and_nothing_is_left(model_folder, tmp_path, monkeypatch, capsys):
    def looks_at_values(self, pixel_values):
        return (pixel_values.mean(dim=(1, 2)) if pixel_values.sum() > 0 else pixel_values[:, 0, 0],)

    monkeypatch.setattr(ImageTower, "forward", looks_at_values)
    assert main(["onnx", str(model_folder), str(tmp_path / "out")]) == 2
    assert "image.onnx cannot be written: torch does not trace this tower" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [model_folder.name]


def test_a_missing_package_is_named_with_the_way_out(model_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("pedclip.onnx_export.find_spec", lambda name: None if name == "onnxscript" else object())
    assert main(["onnx", str(model_folder), str(tmp_path / "out")]) == 2
    assert "onnxscript is needed" in capsys.readouterr().err
