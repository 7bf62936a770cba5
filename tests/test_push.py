"""`pedclip push`, through huggingface_hub's own client, to a server of the tests: it is not the real Hub."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from local_hub import LocalHub

from pedclip.card import CardFacts
from pedclip.cli import main
from pedclip.hub import load_folder, update_card, write_hub_folder
from pedclip.processing.data.official import terms
from pedclip.publishing import NotForPublicationError, check_terms, patient_data_in
from pedclip.push import content_tag, push_folder

NAME = "somebody/pedclip-tiny"
FACTS = CardFacts(name="Tiny", training_data="Nothing: random weights.", datasets=("phantom",))


@pytest.fixture(scope="module")
def made(make_model, make_processor, tmp_path_factory):
    processor = make_processor()
    model = make_model(text={"vocab_size": len(processor.tokenizer)})
    return write_hub_folder(model, processor, tmp_path_factory.mktemp("push") / "hub", FACTS)


@pytest.fixture
def folder(made, tmp_path):
    """A good folder, which a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "hub"))


@pytest.fixture
def hub(monkeypatch):
    with LocalHub() as running:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", running.endpoint)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", running.endpoint)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
        yield running


@pytest.fixture
def looked_through(monkeypatch):
    """Leaves the slow look in a fresh process out, where a test is about something else."""
    monkeypatch.setattr("pedclip.push.check_folder", lambda folder: [])


LOAD = """
import sys
import torch
from transformers import AutoModel, AutoProcessor
name, revision, film = sys.argv[1:]
model = AutoModel.from_pretrained(name, revision=revision, trust_remote_code=True)
processor = AutoProcessor.from_pretrained(name, revision=revision, trust_remote_code=True)
inputs = processor(images=film, text=["wrist x-ray", "chest"], return_tensors="pt")
with torch.no_grad():
    print([float(one).hex() for one in model(**inputs).logits_per_image.flatten()])
"""


def loaded_from(hub: LocalHub, name: str, revision: str, film: Path, home: Path) -> torch.Tensor:
    """The logits of the model that the server gives, in a process of its own, with an empty cache."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.endpoint,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(home),
    }
    command = [sys.executable, "-I", "-c", LOAD, name, revision, str(film)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=home)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.tensor([float.fromhex(one) for one in eval(done.stdout.strip().splitlines()[-1])])


def test_a_push_is_one_private_commit_with_the_card_last_and_loads_by_its_id(hub, folder, tmp_path):
    done = push_folder(folder, NAME)
    repository = hub.repositories[NAME]
    _, commit = repository.commits
    assert repository.private and done.private
    assert (commit["commit"], commit["branch"]) == (done.commit, "main")
    operations = [path for _, path in commit["operations"]]
    assert operations == list(done.files) and operations[-1] == "README.md"
    assert {"config.json", "model.safetensors", "handler.py", "requirements.txt", "LICENSE"} < set(operations)
    assert repository.references[done.tag] == done.commit

    pushed = repository.at("main")[1]
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "README.md":
            assert pushed[str(path.relative_to(folder))] == path.read_bytes(), path.name
    card = ModelCard(pushed["README.md"].decode())
    assert f'model_id, revision = "{NAME}", "{done.tag}"' in card.text
    assert "or its id on the Hub" not in card.text
    source = card.data.widget[0]["src"]
    assert source == f"https://huggingface.co/{NAME}/resolve/{done.tag}/samples/phantom_wrist.png"

    model, processor = load_folder(folder)
    film = folder / "samples" / "phantom_wrist.png"
    with torch.no_grad():
        inputs = processor(images=str(film), text=["wrist x-ray", "chest"], return_tensors="pt")
        expected = model(**inputs).logits_per_image.flatten()
    found = loaded_from(hub, NAME, done.tag, film, tmp_path)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_a_second_push_takes_away_what_the_folder_no_longer_has(hub, folder, looked_through):
    hub.put(NAME, {".gitattributes": b"", "config.json": b'{"model_type": "pedclip"}', "old_pedclip.py": b"x = 1"})
    done = push_folder(folder, NAME)
    assert done.deleted == ("old_pedclip.py",)
    assert {".gitattributes", *done.files} == set(hub.repositories[NAME].at("main")[1])


def test_the_same_content_pushed_twice_is_the_same_tag(hub, folder, looked_through):
    first, second = push_folder(folder, NAME), push_folder(folder, NAME)
    assert first.tag == second.tag == content_tag(folder)
    (folder / "mobe_pedclip.py").write_text("# another\n")
    assert push_folder(folder, NAME).tag != first.tag


def test_a_branch_gets_the_commit_and_main_stays(hub, folder, looked_through):
    done = push_folder(folder, NAME, revision="try-1", message="A try")
    repository = hub.repositories[NAME]
    assert repository.references["try-1"] == done.commit != repository.references["main"]
    assert repository.commits[-1]["summary"] == "A try"
    assert set(repository.at("main")[1]) == {".gitattributes"}


def test_a_dry_run_contacts_nobody(hub, folder, capsys):
    assert main(["push", str(folder), NAME, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert (
        "would push" in shown and "Nothing was sent" in shown and shown.index("config.json") < shown.index("README.md")
    )
    assert hub.requests == []


def test_public_has_to_be_said(hub, folder, looked_through):
    hub.put(NAME, {".gitattributes": b""}, private=False)
    with pytest.raises(ValueError, match="is public; pass --public"):
        push_folder(folder, NAME)
    assert push_folder(folder, NAME, public=True).private is False
    push_folder(folder, "somebody/new", public=True)
    assert not hub.repositories["somebody/new"].private


def test_a_repository_of_something_else_is_left_alone(hub, folder, looked_through):
    files = {"config.json": b'{"model_type": "bert"}', "model.safetensors": b"weights"}
    hub.put(NAME, files)
    with pytest.raises(ValueError, match=r"holds another model \(bert\)"):
        push_folder(folder, NAME)
    assert hub.repositories[NAME].at("main")[1] == files


def test_a_refused_tag_says_that_the_files_are_there(hub, folder, looked_through):
    hub.refuse_tags = True
    with pytest.raises(OSError, match="the files are in somebody/pedclip-tiny"):
        push_folder(folder, NAME)


@pytest.mark.parametrize("name", ["pedclip", "a/b/c", "../x/y", "some body/x", "somebody/x.git"])
def test_a_wrong_id_is_refused_before_anything_is_sent(hub, folder, looked_through, name):
    with pytest.raises(ValueError, match="organization/name"):
        push_folder(folder, name)
    assert hub.requests == []


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("film.png", b"\x89PNG\r\n\x1a\n0000", "film.png is a picture"),
        ("samples/phantom_wrist.png", b"\x89PNG\r\n\x1a\nother", "samples/phantom_wrist.png is a picture"),
        ("map.private.png", b"\x89PNG\r\n\x1a\n0000", "map.private.png is private"),
        ("samples/map.PRIVATE.html", b"<html>", "map.PRIVATE.html is private"),
        ("notes.txt", b"\xff\xd8\xff\xe0", "notes.txt is a picture"),
        ("one.dcm", bytes(128) + b"DICM", "one.dcm is a DICOM file"),
        ("study", bytes(128) + b"DICM", "study is a DICOM file"),
        ("train.parquet", b"PAR1", "train.parquet is a picture or packed"),
        ("scan", b"\x08\x00\x05\x00CS", "scan is a DICOM file"),
        ("films.safetensors", bytes(16), "films.safetensors is no part of a model folder"),
        ("rows.csv", b"patient_id,report\n", "rows.csv is no part of a model folder"),
        ("training_labels.json", b'{"test": [{"Patient ID": "p1"}]}', "labels.json has the key 'Patient ID'"),
        ("vocab.txt", b"1.2.840.113619.2.55.3.604688119.969.1268071029.320", "vocab.txt has a DICOM UID"),
        ("merges.txt", b"2.25.329800735698586612345678", "merges.txt has a DICOM UID"),
        ("NOTICE", "Nguyễn^An".encode(), "NOTICE has what looks like a person's name"),
        ("NOTICE", b"![film](data:image/png;base64,AAAA)", "NOTICE has a picture inside its text"),
    ],
)
def test_data_of_patients_stay_at_home(hub, folder, name, content, said):
    write(folder / name, content)
    with pytest.raises(NotForPublicationError, match=said):
        push_folder(folder, NAME, permission="everybody")
    assert hub.requests == []


def test_what_lies_in_a_linked_folder_or_below_a_cache_is_looked_at_too(hub, folder, tmp_path):
    films = tmp_path / "films"
    write(films / "anna.png", b"\x89PNG\r\n\x1a\n0000")
    (folder / "more").symlink_to(films)
    with pytest.raises(NotForPublicationError, match=r"anna\.png is a picture"):
        push_folder(folder, NAME, dry_run=True)
    (folder / "more").unlink()
    below = tmp_path / ".cache" / "hub"
    below.parent.mkdir()
    folder.rename(below)
    write(below / "anna.png", b"\x89PNG\r\n\x1a\n0000")
    with pytest.raises(NotForPublicationError, match=r"anna\.png is a picture"):
        push_folder(below, NAME, dry_run=True)


def test_what_a_header_of_the_weights_says_is_read(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    save_file(weights, folder / "model.safetensors", {"format": "pt", "from": "Muster^Anna"})
    assert patient_data_in(folder) == ["model.safetensors has what looks like a person's name"]


def test_innocent_folders_raise_no_alarm(folder):
    innocent = {
        "vocab.txt": "[PAD]\npatient\n##s\n",
        "merges.txt": "#version: 0.2\np a\n",
        "added_tokens.json": '{"patient": 30522}',
        "NOTICE": "BMI is not used. softmax(QK^T)V, version 1.2.3.4, explicit little endian is 1.2.840.10008.1.2.1.",
    }
    for name, text in innocent.items():
        (folder / name).write_text(text)
    write(folder / ".cache" / "refs", b"\x89PNG\r\n")  # what a download leaves; it is not pushed
    assert patient_data_in(folder) == []


def test_a_push_from_somebody_else_in_between_is_not_overwritten(hub, folder, looked_through, monkeypatch):
    from huggingface_hub import HfApi

    real = HfApi.create_commit

    def late(self, *args, **kwargs):
        repository = hub.repositories[NAME]
        repository.add("main", {**repository.at("main")[1], "theirs.txt": b"x"}, {"summary": "theirs"})
        return real(self, *args, **kwargs)

    monkeypatch.setattr(HfApi, "create_commit", late)
    with pytest.raises(OSError, match="somebody pushed in between"):
        push_folder(folder, NAME)
    assert "theirs.txt" in hub.repositories[NAME].at("main")[1]


def test_a_branch_of_another_model_is_left_alone(hub, folder, looked_through):
    push_folder(folder, NAME)
    hub.repositories[NAME].add("bert", {"config.json": b'{"model_type": "bert"}', "w.bin": b"1"}, {"summary": "bert"})
    with pytest.raises(ValueError, match=r"branch bert, holds another model \(bert\)"):
        push_folder(folder, NAME, revision="bert")


def test_a_hub_that_cannot_be_reached_is_said_in_one_line(folder, looked_through, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", "http://127.0.0.1:9")
    assert main(["push", str(folder), NAME]) == 2
    said = capsys.readouterr().err
    assert "is the network there?" in said and len(said.strip().splitlines()) == 1


def test_a_card_that_cannot_be_read_is_named(folder, capsys):
    (folder / "README.md").write_text("---\na: [\n---\n")
    assert main(["export", str(folder), str(folder.parent / "out")]) == 2
    assert "README.md cannot be read" in capsys.readouterr().err


def test_a_folder_that_fails_its_check_is_not_pushed(hub, folder):
    (folder / "LICENSE").unlink()
    with pytest.raises(NotForPublicationError, match="missing: LICENSE"):
        push_folder(folder, NAME)
    assert hub.requests == []


def test_terms_decide_and_what_nobody_knows_needs_a_permission(monkeypatch):
    check_terms(["phantom", "grazpedwri-dx"], None)
    with pytest.raises(NotForPublicationError, match="vindr-pcxr may be published"):
        check_terms(["phantom", "vindr-pcxr"], None)
    check_terms(["vindr-pcxr"], "the data's committee, 2026-11-01")
    with pytest.raises(NotForPublicationError, match="our-wrists may be published"):
        check_terms(["our-wrists"], " ")
    with pytest.raises(NotForPublicationError, match="not named"):
        check_terms([], None)
    table = terms.all_terms()
    forbidden = {**table, "rsna-boneage": replace(table["rsna-boneage"], may_publish_weights="no")}
    monkeypatch.setattr(terms, "all_terms", lambda: forbidden)
    for name in ("rsna-boneage", "mednist-hand"):  # the second was made from the first
        with pytest.raises(NotForPublicationError, match="rsna-boneage forbid it"):
            check_terms([name], "everybody")


def test_a_permission_stands_in_the_commit(hub, make_model, folder, looked_through):
    update_card(folder, datasets=("phantom", "rsna-boneage"))
    with pytest.raises(NotForPublicationError, match="rsna-boneage"):
        push_folder(folder, NAME)
    push_folder(folder, NAME, permission="RSNA, by mail, 2026-11-02")
    assert "RSNA, by mail" in hub.repositories[NAME].commits[-1]["description"]


def test_export_refuses_what_must_not_be_handed_on(folder, tmp_path, monkeypatch):
    table = terms.all_terms()
    forbidden = {**table, "rsna-boneage": replace(table["rsna-boneage"], may_publish_weights="no")}
    monkeypatch.setattr(terms, "all_terms", lambda: forbidden)
    update_card(folder, datasets=("mednist-hand",))
    assert main(["export", str(folder), str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
