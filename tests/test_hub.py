"""The Hub folder: it loads where PedCLIP is not installed, and `pedclip check` sees what would spoil that."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BertTokenizer

from pedclip import (
    PedCLIPConfig,
    PedCLIPForImageClassification,
    PedCLIPImageProcessor,
    PedCLIPModel,
    PedCLIPProcessor,
    PedCLIPVisionModel,
)
from pedclip.card import CardFacts, CardResult
from pedclip.check import check_card, check_files, check_folder, check_no_machine_paths, check_no_pickle
from pedclip.cli import main
from pedclip.hub import export_folder, load_folder, write_hub_folder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "-", "chest", "ray", "wrist", "x"]


def tiny_config() -> PedCLIPConfig:
    tower = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    return PedCLIPConfig(
        vision_config={**tower, "image_size": 32, "mobe_layers": [0], "num_experts": 2},
        text_config={**tower, "vocab_size": len(WORDS)},
        body_parts=["chest", "wrist"],
        num_labels=2,
    )


def tiny_processor() -> PedCLIPProcessor:
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(WORDS)})
    return PedCLIPProcessor(PedCLIPImageProcessor(size={"height": 32, "width": 32}), tokenizer)


def tiny_model() -> PedCLIPModel:
    torch.manual_seed(0)
    return PedCLIPModel(tiny_config())


@pytest.fixture(scope="module")
def good_folder(tmp_path_factory) -> Path:
    return write_hub_folder(tiny_model(), tiny_processor(), tmp_path_factory.mktemp("hub") / "good")


@pytest.fixture
def folder(good_folder, tmp_path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(good_folder, tmp_path / "folder"))


def failed(checks) -> dict[str, str]:
    return {check.name: check.detail for check in checks if not check.ok}


def test_a_folder_loads_in_a_process_without_pedclip_and_network(good_folder, capsys):
    assert main(["check", str(good_folder)]) == 0
    shown = capsys.readouterr().out
    for name in (
        "AutoConfig",
        "AutoModel",
        "AutoProcessor",
        "AutoTokenizer",
        "AutoImageProcessor",
        "AutoModelForZeroShotImageClassification",
        "AutoModelForImageClassification",
        'pipeline("zero-shot-image-classification")',
        "saved and loaded again",
    ):
        assert f"ok    {name}" in shown
    assert "largest difference 0\n" in shown


@pytest.mark.parametrize("architecture", [PedCLIPVisionModel, PedCLIPForImageClassification])
def test_a_tower_and_a_classifier_load_by_themselves_too(architecture, tmp_path):
    config, processor = tiny_config(), tiny_processor()
    if architecture is PedCLIPVisionModel:
        config, processor = config.vision_config, processor.image_processor
    out = write_hub_folder(architecture(config), processor, tmp_path / "out")
    checks = check_folder(out)
    assert not failed(checks)
    assert any(architecture.__name__ in check.detail for check in checks)
    assert type(load_folder(out)[0]) is architecture


def test_what_is_exported_again_is_the_same(good_folder, tmp_path):
    write_hub_folder(*load_folder(good_folder), tmp_path / "once")
    export_folder(tmp_path / "once", tmp_path / "twice")
    for path in (tmp_path / "once").iterdir():
        assert path.read_bytes() == (tmp_path / "twice" / path.name).read_bytes(), path.name


def test_a_bare_save_pretrained_becomes_a_complete_folder(tmp_path, capsys):
    model = tiny_model()
    model.save_pretrained(tmp_path / "bare")
    tiny_processor().save_pretrained(tmp_path / "bare")
    (tmp_path / "data.md").write_text("Sixteen wrists.")
    arguments = ["--name", "Tiny", "--license", "cc-by-4.0", "--training-data", str(tmp_path / "data.md")]
    assert main(["export", str(tmp_path / "bare"), str(tmp_path / "out"), *arguments]) == 0
    assert "AutoModel.from_pretrained(" in capsys.readouterr().out

    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert (card.data.model_name, card.data.license) == ("Tiny", "cc-by-4.0")
    assert "Sixteen wrists." in card.text
    for check in (check_files, check_no_pickle, check_no_machine_paths, check_card):
        assert not failed([check(tmp_path / "out")])
    same = AutoModel.from_pretrained(tmp_path / "out").state_dict()
    torch.testing.assert_close(same, model.state_dict(), rtol=0, atol=0)


def test_files_can_be_read_by_others_and_say_nothing_about_the_machine(good_folder, tmp_path):
    out = export_folder(good_folder, tmp_path / "out")
    assert {oct(path.stat().st_mode & 0o777) for path in out.iterdir()} == {"0o644"}
    settings = json.loads((out / "tokenizer_config.json").read_text())
    assert not {"is_local", "local_files_only"} & set(settings)


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(PedCLIPProcessor, "save_pretrained", fail)
    with pytest.raises(OSError, match="disk full"):
        write_hub_folder(tiny_model(), tiny_processor(), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_only_a_model_folder_is_replaced_and_only_when_asked(good_folder, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.txt").write_text("meow")
    with pytest.raises(FileExistsError, match="not a model folder"):
        export_folder(good_folder, tmp_path / "photos", overwrite=True)

    out = export_folder(good_folder, tmp_path / "out")
    with pytest.raises(FileExistsError, match="--overwrite"):
        export_folder(good_folder, out)
    export_folder(good_folder, out, facts=CardFacts(name="Second"), overwrite=True)
    assert ModelCard.load(out / "README.md").data.model_name == "Second"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]


def test_a_folder_keeps_its_card_unless_told_otherwise(folder, tmp_path):
    (folder / "README.md").write_text((folder / "README.md").read_text() + "\nA line of my own.\n")
    assert "A line of my own." in (export_folder(folder, tmp_path / "kept") / "README.md").read_text()
    new = export_folder(folder, tmp_path / "new", facts=CardFacts(name="New"))
    assert "A line of my own." not in (new / "README.md").read_text()


def test_results_stand_in_the_card_with_their_n_and_interval(tmp_path):
    row = CardResult(
        task="body part", metric="macro AUC", value="0.990", interval="0.98 - 1.00", n="380", data="xr, test"
    )
    facts = CardFacts(results=[row], result_notes=["Image shape alone reaches 0.9."])
    text = (write_hub_folder(tiny_model(), tiny_processor(), tmp_path / "out", facts) / "README.md").read_text()
    assert "| body part | macro AUC | 0.990 | 0.98 - 1.00 | 380 | xr, test |\n\nImage shape alone" in text


def test_check_sees_a_pickle_under_any_name(folder):
    torch.save({}, folder / "optimizer.pt")
    (folder / "state").write_bytes(b"\x80\x04.")
    check = check_no_pickle(folder)
    assert not check.ok
    assert check.detail == "optimizer.pt, state"


@pytest.mark.parametrize(
    ("text", "ok"),
    [
        ('"/home/ann/data/xr"', False),
        ("cd /root/run1", False),
        (r'"C:\\Users\\ann"', False),
        (f'"{Path.home()}/x"', False),
        ("https://example.org/home/page", True),
        ("either/or, ../shared/data/xr, ~/models", True),
    ],
)
def test_check_sees_paths_of_a_machine(folder, text, ok):
    (folder / "notes.txt").write_text(text)
    assert check_no_machine_paths(folder).ok is ok


def test_check_sees_what_is_missing_from_card_and_files(folder):
    card = folder / "README.md"
    card.write_text(card.read_text().replace("license: apache-2.0\n", "").replace("Not a medical device", "A device"))
    assert check_card(folder).detail == "missing: license, not a medical device"
    (folder / "LICENSE").unlink()
    (folder / "mobe_pedclip.py").unlink()
    (folder / "modeling_pedclip.py").unlink()
    assert check_files(folder).detail == "missing: LICENSE, modeling_pedclip.py"


def test_check_sees_code_that_leans_on_the_installed_package(folder, capsys):
    code = folder / "losses_pedclip.py"
    code.write_text(code.read_text() + "\nfrom pedclip import PedCLIPConfig\n")
    assert main(["check", str(folder)]) == 1
    shown = capsys.readouterr().out
    assert "FAIL  AutoModel " in shown
    assert "pedclip" in shown


def test_check_sees_weights_that_are_not_numbers(folder):
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "logit_scale": torch.tensor(float("nan"))}, folder / "model.safetensors", {"format": "pt"})
    assert "not finite" in failed(check_folder(folder))["AutoModel"]
