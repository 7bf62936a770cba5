"""examples/volume.py: what it says of a phantom and of a file, and the picture that it writes."""

import re

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="the extra `eval` is not installed")

from pedclip import PedCLIPImageProcessor, PedCLIPProcessor
from pedclip.card import checkout_file
from pedclip.examples import volume  # a checkout has it; an installed copy does not


@pytest.fixture(scope="module")
def folder(make_model, tmp_path_factory):
    """A tiny untrained model with slice attention that reads the phantom's words."""
    from transformers import AutoTokenizer

    out = tmp_path_factory.mktemp("model")
    tokenizer = AutoTokenizer.from_pretrained(checkout_file("processing/phantom/tokenizer/tokenizer.json").parent)
    make_model(volume_pooling="attention", text={"vocab_size": len(tokenizer)}).save_pretrained(out)
    PedCLIPProcessor(PedCLIPImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(out)
    return str(out)


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
