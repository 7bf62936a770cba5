"""What the Space's page shows is worked out without gradio, and agrees with the model's own answers."""

import ast
import importlib.util
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from dicom_reference import as_bytes, make
from PIL import Image
from transformers import AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
SPACE = ROOT / "examples" / "space"
FINDINGS = "wrist fracture\nchest x-ray\nskull"
DEEP = np.add.outer(np.arange(60) * 40, np.arange(50) * 30).astype(np.uint16)


def loaded(path: Path):
    spec = importlib.util.spec_from_file_location(f"examples_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


app = loaded(ROOT / "examples" / "app.py")


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


FILMS = {
    "8 bits": png((DEEP // 16).astype(np.uint8)),
    "colour": png(np.repeat((DEEP // 16).astype(np.uint8)[..., None], 3, axis=2)),
    "16 bits": png(DEEP),
    "DICOM": as_bytes(make(DEEP, bits=12, photometric="MONOCHROME1", WindowCenter=2000, WindowWidth=3000)),
}


@pytest.fixture(scope="module")
def folder(make_model, make_processor, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("space") / "model"
    processor = make_processor()
    make_model(text={"vocab_size": len(processor.tokenizer)}).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def reader(folder):
    return app.Reader(str(folder))


def outputs(reader, content: bytes, texts: list[str]):
    with torch.no_grad():
        return reader.model(**reader.processor(images=content, text=texts, return_tensors="pt"))


@pytest.mark.parametrize("name", FILMS)
def test_scores_and_body_parts_are_the_models_own(reader, name):
    film, lines = reader.film(FILMS[name]), FINDINGS.splitlines()
    output = outputs(reader, FILMS[name], lines)
    among = reader.ask(film, f"\n  {FINDINGS} \n\nskull")  # a line counts once, and blank ones not at all
    assert list(among.scores) == lines
    assert list(among.scores.values()) == pytest.approx(output.logits_per_image.softmax(-1)[0].tolist(), abs=1e-6)

    pairs = reader.ask(film, FINDINGS, " no   finding ")
    for line in lines:  # each alone with the other text
        logits = outputs(reader, FILMS[name], [line, "no finding"]).logits_per_image
        assert pairs.scores[line] == pytest.approx(logits.softmax(-1)[0, 0].item(), abs=1e-6)
    assert "“no finding”" in pairs.meaning and "“" not in among.meaning

    involvement = output.router_logits[-1].softmax(-1)[0].tolist()
    ranked = sorted(zip(involvement, reader.model.config.body_parts, strict=True), reverse=True)
    assert list(among.body_parts) == [part for _, part in ranked][:5]
    assert list(among.body_parts.values()) == pytest.approx([share for share, _ in ranked][:5], abs=1e-6)


@pytest.mark.parametrize("against", ["", "no finding"])
def test_the_map_is_that_of_the_package_and_of_the_line_that_fits_best(reader, against):
    from pedclip.eval.relevance import relevance

    film = reader.film(FILMS["8 bits"])
    scores = reader.ask(film, FINDINGS, against).scores
    best = max(scores, key=scores.get)
    picture, said = reader.where(film, FINDINGS, against)
    assert f"“{best}”" in said and "not where a disease is" in said
    assert ("more than with “no finding”" in said) == bool(against)

    theirs = relevance(reader.model, reader.processor, FILMS["8 bits"], best, against=against or None).map
    texts = [best, *([against] if against else [])]
    inputs = reader.processor(text=texts, return_tensors="pt", padding=True)
    embeds = torch.nn.functional.normalize(reader.model.get_text_features(**inputs).pooler_output, dim=-1)
    direction = embeds[:1] - embeds[1:] if against else embeds
    np.testing.assert_allclose(app.relevance_map(reader.model, film.pixel_values, direction), theirs, atol=1e-6)

    # the hottest patch is the most orange one, and where the map is nothing the film is grey
    pixels = np.asarray(picture).astype(int)
    side = len(pixels) // len(theirs)
    row, column = np.unravel_index(theirs.argmax(), theirs.shape)
    orange = (pixels[..., 0] - pixels[..., 2]).reshape(len(theirs), side, len(theirs), side).mean((1, 3))
    assert np.unravel_index(orange.argmax(), orange.shape) == (row, column)
    assert all(weight.grad is None for weight in reader.model.parameters())


def test_a_map_of_nothing_leaves_the_film_grey():
    film = np.full((4, 4), 200.0)
    picture = np.asarray(app.drawn_over(film, np.zeros((2, 2), np.float32)))
    assert (picture == 200).all()


def test_the_picture_is_the_film_as_displayed(reader):
    film = reader.film(FILMS["DICOM"])
    shown = reader.processor.image_processor.fetch_images(FILMS["DICOM"])[0]
    assert shown.min() >= 0 and shown.max() - shown.min() > 100
    np.testing.assert_allclose(np.asarray(film.picture), shown, atol=0.51)
    large = reader.film(png(np.zeros((1400, 700), np.uint8)))
    assert large.picture.size == (320, 640)
    assert np.asarray(reader.film(FILMS["colour"]).picture).shape == (60, 50, 3)


def test_a_model_without_experts_has_no_body_parts(make_model, make_processor, tmp_path):
    processor = make_processor()
    plain = make_model(vision={"mobe_layers": []}, text={"vocab_size": len(processor.tokenizer)})
    plain.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    reader = app.Reader(str(tmp_path))
    assert reader.ask(reader.film(FILMS["8 bits"]), FINDINGS).body_parts == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"name,age\n", FILMS["16 bits"][:300], FILMS["DICOM"][:900], b"\0" * 128 + b"DICM"],
    ids=["empty", "text", "picture cut short", "DICOM cut short", "DICOM header"],
)
def test_what_is_no_film_is_refused_in_words(reader, content):
    with pytest.raises(app.RefusedError, match=r"^This file cannot be read as a radiograph: \S.{10,300}$"):
        reader.film(content)


def test_too_large_a_file_is_refused_unread(reader, monkeypatch):
    monkeypatch.setattr(app, "MAX_BYTES", 2**20)
    with pytest.raises(app.RefusedError, match="larger than 1 MiB"):
        reader.film(FILMS["8 bits"] + b"\0" * 2**20)


@pytest.mark.parametrize(
    ("findings", "against", "why"),
    [
        ("", "", "at least one"),
        (" \n ", "no finding", "at least one"),
        (None, None, "at least one"),
        ("fracture\nfracture", "", "One line alone"),
        ("\n".join(map(str, range(21))), "", "21 lines"),
        ("a" * 201, "no finding", "201 letters"),
        ("fracture", "a" * 300, "300 letters"),
    ],
)
def test_questions_without_an_answer_are_refused(reader, findings, against, why):
    with pytest.raises(app.RefusedError, match=why):
        reader.ask(reader.film(FILMS["8 bits"]), findings, against)


@pytest.mark.parametrize(
    ("vocabulary", "known", "unknown"),
    [
        ("phantom", "fractures pneumothorax Scoliosis tib 12 x", "qwzx chondromatosis bacterial cyst hello"),
        ("minilm", "fractures pneumonia spine rickets 12 x", "qwzx chondromatosis pneumothorax cardiomegaly cyst"),
    ],
)
def test_words_in_pieces_that_cannot_mean_them_are_unknown(vocabulary, known, unknown, request):
    phantom = ROOT / "processing" / "phantom" / "tokenizer"
    folder = phantom if vocabulary == "phantom" else request.getfixturevalue("minilm_folder")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = app.unknown_words(tokenizer, [f"the {word}, left" for word in (known + " " + unknown).split()])
    assert set(found) == set(unknown.split())
    for word, pieces in found.items():
        assert "".join(pieces) == word.lower()
    assert not app.unknown_words(tokenizer, [unknown.upper()], set(unknown.split()))


def test_a_word_that_gives_the_unknown_token_is_unknown(tokenizer):
    assert app.unknown_words(tokenizer, ["чест fracture"]) == {"чест": []}
    assert "чест</b> (not read)" in app.warning({"чест": []})
    assert "q · w</b>" not in app.warning({"qw": ["q", "w"]}) and "q · w" in app.warning({"qw": ["q", "w"]})
    assert app.warning({}) == ""


def test_the_models_own_labels_count_as_known(folder):
    question = "hand chondromatosis\nqwzx"
    without = app.Reader(str(folder))
    labels = {"body_part": ["left_hand"], "findings": ["synovial chondromatosis"]}
    (folder / "training_labels.json").write_text(json.dumps(labels))
    taught = app.Reader(str(folder))
    (folder / "training_labels.json").unlink()
    film = taught.film(FILMS["8 bits"])
    assert set(without.ask(film, question).unknown) == {"chondromatosis", "qwzx"} and without.findings == []
    assert set(taught.ask(film, question).unknown) == {"qwzx"}
    assert taught.findings == ["synovial chondromatosis"]


def test_the_card_tells_a_phantoms_model(folder):
    part = "# A card that shows phantom films\n<!-- training data -->\n{}\n<!-- end of training data -->\nphantom"
    for card, trained in ((None, False), ("(pedclip/phantom, synthetic)", True), ("Real ones.", False)):
        if card:
            (folder / "README.md").write_text(part.format(card))
        assert app.Reader(str(folder)).trained_on_phantoms == trained
    (folder / "README.md").unlink()


def test_an_upload_is_gone_once_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "upload"
    path.write_bytes(b"film")
    assert app.taken(str(path)) == b"film" and not path.exists()
    with pytest.raises(app.RefusedError, match="drop the file again"):
        app.taken(str(path))
    monkeypatch.setattr(app, "MAX_BYTES", 10)
    path.write_bytes(b"f" * 1000)
    assert len(app.taken(str(path))) == 11 and not path.exists()  # enough to see that it is too large


def test_the_page_imports_nothing_that_a_space_does_not_install():
    tops = set()
    for path in (ROOT / "examples" / "app.py", SPACE / "relevance_map.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        named |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        tops |= {name.split(".")[0] for name in named} - set(sys.stdlib_module_names)
    assert tops == {"gradio", "numpy", "PIL", "torch", "transformers", "relevance_map"}  # the last goes along


def test_the_space_says_to_the_hub_what_it_is():
    text = (SPACE / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(text.split("---")[1])
    assert (front["sdk"], front["app_file"], front["license"]) == ("gradio", "app.py", "apache-2.0")
    assert re.fullmatch(r"\d+\.\d+\.\d+", front["sdk_version"])
    assert len(front["short_description"]) <= 60  # the Hub's limit
    assert "Not a medical device" in text
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    asked = [line for line in (SPACE / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert {"torch", "transformers", "pydicom"} <= {re.split("[=<]", line)[0] for line in asked}
    for line in asked:  # what the tests run with, but for gradio's pillow
        name, _, version = line.partition("==")
        assert pins[name] == version if version else line == "pillow<13"


def test_the_samples_are_phantoms_and_drawn_again_alike(tmp_path):
    drawn = loaded(SPACE / "make_samples.py")
    drawn.main(tmp_path)
    kept = {path.name: path.read_bytes() for path in (SPACE / "samples").iterdir()}
    assert sum(map(len, kept.values())) < 300_000
    assert set(kept) == {path.name for path in tmp_path.iterdir()}
    for name, content in kept.items():
        again = (tmp_path / name).read_bytes()
        if name.endswith(".png"):  # another zlib packs the same pixels otherwise
            np.testing.assert_array_equal(*(np.asarray(Image.open(io.BytesIO(one))) for one in (content, again)))
        else:
            assert content == again
    rows = json.loads(kept["samples.json"])
    assert {row["file"] for row in rows} | {"samples.json"} == set(kept)
    assert b"PHANTOM" in kept["pleural-effusion.dcm"]
