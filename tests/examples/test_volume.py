"""examples/volume.py: what it says of a phantom and of a file, and the picture that it writes."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("matplotlib", reason="the extra `eval` is not installed")

from pedclip import PedCLIPImageProcessor, PedCLIPProcessor
from pedclip.card import checkout_file
from pedclip.examples import volume  # a checkout has it; an installed copy does not


@pytest.fixture(scope="module")
def folders(make_model, tmp_path_factory):
    """Tiny models that read the phantom's words: with slice attention that has learnt something, without, and mean."""
    from transformers import AutoTokenizer

    where = tmp_path_factory.mktemp("models")
    tokenizer = AutoTokenizer.from_pretrained(checkout_file("processing/phantom/tokenizer/tokenizer.json").parent)
    processor = PedCLIPProcessor(PedCLIPImageProcessor(size={"height": 32, "width": 32}), tokenizer)
    for name, pooling in (("learnt", "attention"), ("new", "attention"), ("mean", "mean")):
        model = make_model(volume_pooling=pooling, text={"vocab_size": len(tokenizer)})
        if name == "new":  # as from_pretrained gives it
            torch.nn.init.zeros_(model.slice_pooling.score.weight)
        model.save_pretrained(where / name)
        processor.save_pretrained(where / name)
    return where


@pytest.fixture
def folder(folders):
    return str(folders / "learnt")


def test_a_phantom_is_embedded_scored_and_drawn(folder, tmp_path, capsys):
    volume.main([folder, "--picture", str(tmp_path / "study.png")])
    said = capsys.readouterr().out
    assert "onsolidation" in said.splitlines()[0]
    scores = [float(share) for share in re.findall(r"^ *([\d.]+)%  chest, ", said, re.MULTILINE)]
    assert len(scores) == 3 and sum(scores) == pytest.approx(100, abs=0.3)
    assert re.search(r"Of 24 slices these counted most: (\d+ \([\d.]+%\)(, )?){5}\n", said)
    lies = re.search(r"The consolidation lies in slices ([\d, ]+)\.", said)
    assert lies and 1 <= len(lies[1].split(", ")) <= 9
    with Image.open(tmp_path / "study.png") as picture:
        assert min(picture.size) > 200 and len(np.unique(np.asarray(picture))) > 50


def test_ones_own_volume_and_texts_are_taken(folder, tmp_path, capsys):
    pages = [Image.fromarray(np.full((20, 20), shade, np.uint8)) for shade in (10, 90, 200)]
    pages[0].save(tmp_path / "own.tif", save_all=True, append_images=pages[1:])
    volume.main([folder, "--volume", str(tmp_path / "own.tif"), "--text", "chest", "knee"])
    said = capsys.readouterr().out
    assert re.findall(r"%  (\w+)$", said, re.MULTILINE) == ["chest", "knee"]
    assert "Of 3 slices" in said and "consolidation" not in said


@pytest.mark.parametrize(
    ("name", "why"), [("new", "its slice attention is not trained"), ("mean", "it pools by the mean")]
)
def test_slices_that_all_count_the_same_are_not_listed_as_if_some_did(folders, capsys, name, why):
    volume.main([str(folders / name)])
    said = capsys.readouterr().out
    assert f"All 24 slices counted the same: {why}. A model with trained slice attention is" in said
    assert "counted most" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--volume", "absent/series"], "volume.py: absent/series is no file"),
        (["--volume", __file__], "volume.py: the file is no image that is read"),
        (["--volume", __file__, "--window", "brain"], "volume.py: window is 'brain'; it is one of lung"),
        (["--window", "lung"], "--window is lung, which is for --volume"),
        (["--picture", "picture.txt"], "--picture is picture.txt; it ends in .png or .svg"),
    ],
)
def test_what_cannot_be_read_is_one_line(folder, capsys, arguments, said):
    with pytest.raises(SystemExit) as ended:
        volume.main([folder, *arguments])
    last = capsys.readouterr().err.splitlines()[-1]
    assert ended.value.code == 2 and said in last


def test_a_model_that_is_not_there_is_one_line(capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        volume.main([str(tmp_path / "absent")])
    assert ended.value.code == 2 and capsys.readouterr().err.splitlines()[-1].startswith("volume.py: ")
