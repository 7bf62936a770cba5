"""`pedclip explain`: one file without others; a patient's film only on request, under a name that stays at home."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pedclip.cli import main
from pedclip.eval.relevance import METHODS, Relevance
from pedclip.eval.relevance_page import write_relevance
from pedclip.explain_command import METHODS as NAMED
from pedclip.explain_command import is_generated
from pedclip.publishing import NotForPublicationError, check_files, patient_data_in
from pedclip.samples import sample_files

TEXT = "chest x-ray"


@pytest.fixture
def film(tmp_path) -> Path:
    """Nobody's, but the command cannot know that."""
    path = tmp_path / "anna_muster.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 32), dtype=np.uint8)).save(path)
    return path


def explain(model: Path, image: Path, out: Path, *more: str) -> int:
    return main(["explain", str(model), str(image), TEXT, "--out", str(out), *more])


@pytest.mark.parametrize("method", METHODS)
def test_a_sample_film_becomes_one_page_that_needs_no_other_file(model_folder, tmp_path, method, capsys):
    out = tmp_path / "map.html"
    assert explain(model_folder, sample_files()[0], out, "--method", method) == 0
    html = out.read_text()
    assert html.count("<img") == 1 and 'src="data:image/png;base64,' in html
    assert '="http' not in html and "<script" not in html
    assert TEXT in html and "wrist" in html and "not a medical device" in html and "Private" not in html
    assert "wrote" in capsys.readouterr().out
    assert [path.name for path in tmp_path.glob(".map*")] == []


def test_a_picture_and_its_repetition_are_the_same_bytes(model_folder, tmp_path):
    for name in ("one.png", "two.png"):
        assert explain(model_folder, sample_files()[1], tmp_path / name, "--against", "normal chest") == 0
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.width > 2 * picture.height
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize(
    ("more", "name", "said"),
    [
        ((), "map.private.html", "--include-private"),
        (("--include-private",), "map.html", "call it map.private.html"),
        (("--include-private",), "map.png", "call it map.private.png"),
        (("--include-private",), "map.pdf", "neither .html nor .png"),
    ],
)
def test_a_film_of_unknown_origin_counts_as_a_patients(model_folder, film, tmp_path, capsys, more, name, said):
    assert explain(model_folder, film, tmp_path / name, *more) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("suffix", [".html", ".png"])
def test_a_private_figure_is_refused_by_export_check_and_push(model_folder, film, tmp_path, capsys, suffix):
    out = tmp_path / f"map.private{suffix}"
    assert explain(model_folder, film, out, "--include-private") == 0
    assert "anna_muster" not in out.read_text(errors="replace")
    assert out.stat().st_mode & 0o077 == 0
    if suffix == ".html":
        assert "Private: this file shows a patient" in out.read_text()
    shutil.copy(out, model_folder / out.name)
    assert [said for said in patient_data_in(model_folder) if out.name in said] == [
        f"{out.name} is private: it shows a patient"
    ]
    with pytest.raises(NotForPublicationError, match="is private"):
        check_files(model_folder)
    assert main(["export", str(model_folder), str(tmp_path / "exported")]) == 2
    assert "private by name" in capsys.readouterr().err
    assert not (tmp_path / "exported").exists()


def test_phantoms_are_told_by_the_table_that_names_them(tmp_path, film):
    folder = tmp_path / "phantom"
    (folder / "images").mkdir(parents=True)
    for name in ("named.png", "smuggled.png"):
        shutil.copy(film, folder / "images" / name)
    (folder / "phantom.json").write_text(json.dumps({"patients": 1, "seed": 0, "clinic": {}}))
    (folder / "metadata.jsonl").write_text(json.dumps({"file_name": "images/named.png"}) + "\n")
    assert is_generated(folder / "images" / "named.png")
    assert not is_generated(folder / "images" / "smuggled.png")
    (folder / "phantom.json").write_text("{}")
    assert not is_generated(folder / "images" / "named.png")
    assert all(is_generated(sample) for sample in sample_files())


def test_a_missing_film_is_said_in_one_line(model_folder, tmp_path, capsys):
    assert explain(model_folder, tmp_path / "none.png", tmp_path / "map.html") == 2
    assert "there is no film" in capsys.readouterr().err


def test_nothing_is_left_of_a_failure(tmp_path, monkeypatch):
    found = Relevance(np.eye(2), np.zeros((8, 8), np.uint8), [("chest", 1.0)], 0.5, "attention", TEXT)

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        write_relevance(found, tmp_path / "map.html", private=False)
    assert list(tmp_path.iterdir()) == []


def test_text_on_the_page_is_text(tmp_path):
    found = Relevance(-np.eye(2), np.zeros((8, 8, 3), np.uint8), [], 0.5, "attention", "<script>", "a & b")
    write_relevance(found, tmp_path / "map.html", private=False)
    html = (tmp_path / "map.html").read_text()
    assert "<script>" not in html and "&lt;script&gt;" in html and "a &amp; b" in html


def test_the_command_offers_the_methods_there_are():
    assert tuple(METHODS) == NAMED
