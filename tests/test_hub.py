"""The Hub folder: it loads where PedCLIP is not installed, and `pedclip check` sees what would spoil that."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from pedclip import (
    PedCLIPForImageClassification,
    PedCLIPModel,
    PedCLIPProcessor,
    PedCLIPVisionModel,
)
from pedclip.card import CardFacts, facts_of
from pedclip.check import check_card, check_files, check_folder, check_no_machine_paths, check_no_pickle
from pedclip.cli import main
from pedclip.hub import export_folder, load_folder, write_hub_folder

FACTS = CardFacts(training_data="Nothing: random weights.")


@pytest.fixture
def model(make_model, processor) -> PedCLIPModel:
    return make_model(text={"vocab_size": len(processor.tokenizer)}, num_labels=2)


@pytest.fixture
def folder(model, processor, tmp_path) -> Path:
    """A good Hub folder, which a test may spoil."""
    return write_hub_folder(model, processor, tmp_path / "folder", FACTS)


def failed(checks) -> dict[str, str]:
    return {check.name: check.detail for check in checks if not check.ok}


def test_a_volume_that_comes_out_wrong_fails_the_check(folder):
    code = folder / "volume_pedclip.py"
    pools = "return (shares[:, None] @ tokens)[:, 0], shares"
    text = code.read_text(encoding="utf-8")
    assert text.count(pools) == 2
    code.write_text(text.replace(pools, "return 2 + (shares[:, None] @ tokens)[:, 0], shares"), encoding="utf-8")
    assert "a volume of one slice differs from that image" in failed(check_folder(folder))["a volume"]


def test_a_folder_loads_in_a_process_without_pedclip_and_network(folder, capsys):
    assert main(["check", str(folder)]) == 0
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
        'pipeline("pedclip-zero-shot")',
        "a volume",
        "saved and loaded again",
        "same tokens",
        "same outputs",
    ):
        assert f"ok    {name}" in shown
    assert "images, bit for bit\n" in shown  # what this process wrote down, made again in the other
    assert "largest difference 0\n" in shown


@pytest.mark.parametrize("architecture", [PedCLIPVisionModel, PedCLIPForImageClassification])
def test_a_tower_and_a_classifier_load_by_themselves_too(architecture, model, processor, tmp_path):
    if architecture is PedCLIPVisionModel:
        out = write_hub_folder(model.vision_model, processor.image_processor, tmp_path / "out", FACTS)
    else:
        out = write_hub_folder(PedCLIPForImageClassification(model.config), processor, tmp_path / "out", FACTS)
    checks = check_folder(out)
    assert not failed(checks)
    assert any(architecture.__name__ in check.detail for check in checks)
    assert type(load_folder(out)[0]) is architecture


def test_what_is_exported_again_is_the_same(folder, tmp_path):
    write_hub_folder(*load_folder(folder), tmp_path / "once")
    export_folder(tmp_path / "once", tmp_path / "twice")
    for path in (tmp_path / "once").rglob("*"):
        again = tmp_path / "twice" / path.relative_to(tmp_path / "once")
        assert again.exists() and (path.is_dir() or path.read_bytes() == again.read_bytes()), path.name


def test_a_bare_save_pretrained_becomes_a_complete_folder(model, processor, tmp_path, capsys):
    model.save_pretrained(tmp_path / "bare")
    processor.save_pretrained(tmp_path / "bare")
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


def test_files_can_be_read_by_others_and_say_nothing_about_the_machine(folder, tmp_path):
    out = export_folder(folder, tmp_path / "out")
    files = [path for path in out.rglob("*") if path.is_file()]
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o644"}
    settings = json.loads((out / "tokenizer_config.json").read_text())
    assert not {"is_local", "local_files_only"} & set(settings)


def test_a_failure_leaves_nothing_behind(model, processor, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(PedCLIPProcessor, "save_pretrained", fail)
    with pytest.raises(OSError, match="disk full"):
        write_hub_folder(model, processor, tmp_path / "new" / "out")
    assert not list((tmp_path / "new").iterdir())


def test_only_a_model_folder_is_replaced_and_only_when_asked(folder, tmp_path):
    photos = tmp_path / "new" / "photos"
    photos.mkdir(parents=True)
    (photos / "cat.txt").write_text("meow")
    with pytest.raises(FileExistsError, match="not a model folder"):
        export_folder(folder, photos, overwrite=True)

    out = export_folder(folder, tmp_path / "new" / "out")
    with pytest.raises(FileExistsError, match="--overwrite"):
        export_folder(folder, out)
    export_folder(folder, out, overwrite=True, name="Second")
    assert ModelCard.load(out / "README.md").data.model_name == "Second"
    assert sorted(path.name for path in out.parent.iterdir()) == ["out", "photos"]
    assert (photos / "cat.txt").read_text() == "meow"


def test_a_folder_keeps_its_card_but_for_what_is_replaced(model, processor, tmp_path):
    stated = CardFacts(
        name="Wrists", license="cc-by-4.0", training_data="Sixteen wrists.\n\nAll left.", results="None."
    )
    first = write_hub_folder(model, processor, tmp_path / "first", stated)
    card = first / "README.md"
    assert facts_of(ModelCard.load(card)) == stated
    new = export_folder(first, tmp_path / "new", results="| a | b |")
    assert facts_of(ModelCard.load(new / "README.md")) == replace(stated, results="| a | b |")

    card.write_text(card.read_text() + "\nA line of my own.\n")
    kept = export_folder(first, tmp_path / "kept")
    assert (kept / "README.md").read_text() == card.read_text()


def test_a_folder_can_be_exported_in_place(folder):
    before = load_file(folder / "model.safetensors")
    assert main(["export", str(folder), str(folder), "--overwrite", "--name", "Same place"]) == 0
    assert ModelCard.load(folder / "README.md").data.model_name == "Same place"
    torch.testing.assert_close(load_file(folder / "model.safetensors"), before, rtol=0, atol=0)


def test_results_stand_in_the_card_with_their_n_and_interval(folder, tmp_path):
    result = {
        "task": "body-part",
        "kind": "prompt classification, seen classes",
        "metric": "macro AUC",
        "value": 0.98765,
        "low": 0.98,
        "high": 0.99,
        "chance": 0.5,
        "n": 380,
        "split": "test",
    }
    (tmp_path / "one.json").write_text(json.dumps(result))
    (tmp_path / "two.json").write_text(json.dumps(result | {"task": "gate", "low": None, "high": None}))
    results = [str(tmp_path / "one.json"), str(tmp_path / "two.json")]
    assert main(["export", str(folder), str(tmp_path / "out"), "--results", *results]) == 0
    card = tmp_path / "out" / "README.md"
    rows = [line for line in card.read_text().splitlines() if line.startswith("|") and "macro AUC" in line]
    how = "prompt classification, seen classes | macro AUC | 0.988"
    assert rows == [
        f"| body-part | {how} | 0.980 to 0.990 | 0.500 | 380 | test | not named |",
        f"| gate | {how} | none | 0.500 | 380 | test | not named |",
    ]


def test_what_was_seen_in_training_goes_along(model, processor, tmp_path):
    seen = {"body_part": ["chest", "wrist"], "findings": ["pneumonia"], "captions": 2, "captions_from_text": 0}
    first = write_hub_folder(model, processor, tmp_path / "first", training_labels=seen)
    second = export_folder(first, tmp_path / "second", name="Second")
    assert json.loads((second / "training_labels.json").read_text()) == seen
    assert "| findings seen in training | pneumonia |" in (second / "README.md").read_text()


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
    card.write_text(card.read_text().replace("license: other\n", "").replace("Not a medical device", "A device"))
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


def test_check_leaves_the_folder_as_it_is(folder):
    before = sorted(folder.rglob("*"))
    check_folder(folder)
    assert sorted(folder.rglob("*")) == before
