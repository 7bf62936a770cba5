"""The fingerprint: the same wherever it is made, and a change of image, text or weights is reported by name."""

import copy
import hashlib
import importlib.util
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import BertTokenizer

from pedclip import PedCLIPForImageClassification, PedCLIPImageProcessor, PedCLIPProcessor, fingerprint
from pedclip.card import CardFacts
from pedclip.check import check_folder
from pedclip.fingerprint import FILE, compare, images
from pedclip.fresh_process import Checks, open_as_a_stranger
from pedclip.hub import export_folder, write_hub_folder

# of the arrays among the test images: where this fails the images have changed, and FORMAT has to rise
ARRAYS = "dcd5a26db84118dc"


@pytest.fixture(scope="module")
def model(make_model, tokenizer):
    return make_model(text={"vocab_size": len(tokenizer)}, num_labels=2)


@pytest.fixture
def processor(tokenizer) -> PedCLIPProcessor:
    """Large enough for most of the test images to shrink and some to grow."""
    return PedCLIPProcessor(PedCLIPImageProcessor(size={"height": 32, "width": 32}), tokenizer)


@pytest.fixture
def saved(model, processor) -> dict:
    return json.loads(json.dumps(fingerprint.fingerprint(model, processor)))


def rows(saved: dict, model, processor) -> dict[str, tuple[bool, str]]:
    return {
        row["name"]: (row["ok"], row["detail"]) for row in compare(saved, fingerprint.fingerprint(model, processor))
    }


def test_the_same_model_and_processor_have_the_same_fingerprint(saved, model, processor):
    found = rows(saved, model, processor)
    assert found["same pixels"] == (True, f"{len(images())} images, bit for bit")
    assert found["same tokens"] == (True, f"{len(fingerprint.TEXTS)} texts")
    assert found["same outputs"][0]
    assert len(saved["outputs"]["JPEG"].split()) == len(fingerprint.TEXTS)


def test_an_adapter_for_volumes_has_a_row_of_its_own(make_model, tokenizer, processor):
    model = make_model(text={"vocab_size": len(tokenizer)}, volume_pooling="attention")
    saved = fingerprint.fingerprint(model, processor)
    assert list(saved["outputs"]) == [*images(), "volume"]
    assert rows(saved, model, processor)["same outputs"][0]

    with torch.no_grad():
        model.slice_pooling.score.weight[0, 0] += 3
    ok, detail = rows(saved, model, processor)["same outputs"]
    assert not ok and "(volume with " in detail


def test_the_images_never_change_unnoticed():
    arrays = b"".join(image.tobytes() for image in images().values() if isinstance(image, np.ndarray))
    assert hashlib.sha256(arrays).hexdigest()[:16] == ARRAYS


def test_the_files_among_the_images_hold_what_they_should():
    with Image.open(io.BytesIO(images()["16-bit PNG"])) as png:
        np.testing.assert_array_equal(np.asarray(png), images()["16-bit"][::2, ::3])
    with Image.open(io.BytesIO(images()["JPEG"])) as jpeg:
        assert (jpeg.mode, jpeg.size) == ("RGB", (56, 40))
    pydicom = pytest.importorskip("pydicom")
    film = pydicom.dcmread(io.BytesIO(images()["DICOM"]))
    assert (film.PhotometricInterpretation, film.BitsStored, film.WindowCenter) == ("MONOCHROME1", 12, 1500)
    assert film.pixel_array.shape == (60, 46)
    assert 700 <= film.pixel_array.min() < film.pixel_array.max() < 4096


def true_change(before: PedCLIPProcessor, after: PedCLIPProcessor, name: str) -> float:
    """In steps of 255 of the processor before, over all pixels."""
    image = images()[name]
    first, second = (one.image_processor(image, return_tensors="pt").pixel_values for one in (before, after))
    return float((first - second).abs().max()) * 127.5


@pytest.mark.parametrize(
    "change",
    [
        {"resample": Image.Resampling.BILINEAR},
        {"image_mean": [0.48, 0.48, 0.48]},
        {"image_std": [0.25, 0.25, 0.25]},
        {"do_rescale": False},
        {"keep_aspect_ratio": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_changed_pixels_are_reported_image_by_image_with_how_far_they_moved(
    saved, model, processor, tokenizer, change
):
    changed = PedCLIPProcessor(PedCLIPImageProcessor(size={"height": 32, "width": 32}, **change), tokenizer)
    found = rows(saved, model, changed)
    ok, detail = found["same pixels"]
    assert not ok
    assert found["same tokens"][0]
    assert not found["same outputs"][0]
    said = dict(
        part.rsplit(" by ", 1) for part in detail.removeprefix("moved: ").replace("grey, ", "grey ").split(", ")
    )
    for name in ("16-bit", "JPEG", "DICOM"):
        reported, true = float(said[name].removesuffix("/255")), true_change(processor, changed, name)
        assert 0.1 * true < reported <= 1.01 * true + 0.05  # as shown, to one decimal


def test_a_change_as_small_as_rounding_passes_and_is_mentioned(saved, model, processor, tokenizer):
    sizes = {"size": {"height": 32, "width": 32}}
    nearly = PedCLIPImageProcessor(**sizes, rescale_factor=1 / 255 * (1 + 1e-6))
    ok, detail = rows(saved, model, PedCLIPProcessor(nearly, tokenizer))["same pixels"]
    assert ok
    assert detail.startswith("moved, by no more than rounding: ")
    further = PedCLIPImageProcessor(**sizes, rescale_factor=1 / 255 * (1 + 1e-3))
    assert not rows(saved, model, PedCLIPProcessor(further, tokenizer))["same pixels"][0]


def test_another_output_size_is_reported_as_such(saved, processor):
    shapes = copy.deepcopy(saved)
    for image in shapes["images"].values():
        image["shape"] = [3, 64, 64]
    ok, detail = next((row["ok"], row["detail"]) for row in compare(shapes, saved) if row["name"] == "same pixels")
    assert not ok
    assert "JPEG is [3, 32, 32], was [3, 64, 64]" in detail


def test_a_changed_vocabulary_is_reported_text_by_text(saved, model, processor, tokenizer, tmp_path):
    words = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    chest, hand = words.index("chest"), words.index("hand")
    words[chest], words[hand] = words[hand], words[chest]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    processor.tokenizer = BertTokenizer(vocab=str(tmp_path / "vocab.txt"))
    found = rows(saved, model, processor)
    ok, detail = found["same tokens"]
    assert not ok
    assert f"'plain' has token {hand} at place 1, had {chest}" in detail
    assert "'long' has token" in detail
    assert "'empty'" not in detail
    assert found["same pixels"][0]


def test_texts_cut_elsewhere_are_reported_with_their_lengths(saved, model, processor):
    assert len(saved["texts"]["long"].split()) == 120
    processor.tokenizer.init_kwargs["max_length"] = 100
    try:
        assert "'long' has 100 tokens, had 120" in rows(saved, model, processor)["same tokens"][1]
    finally:
        del processor.tokenizer.init_kwargs["max_length"]


def test_changed_weights_are_reported_and_nothing_else_is(saved, model, processor):
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.vision_model.get_input_embeddings().weight.mul_(1.05)
    found = rows(saved, other, processor)
    assert found["same pixels"][0]
    assert found["same tokens"][0]
    ok, detail = found["same outputs"]
    assert not ok
    largest = float(detail.split("largest difference ")[1].split()[0])
    assert largest > float(detail.split("allowed ")[1])


def test_outputs_that_are_not_numbers_never_pass(saved, model, processor):
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.logit_scale.fill_(float("nan"))
    assert not rows(saved, broken, processor)["same outputs"][0]
    assert not rows(fingerprint.fingerprint(broken, processor), broken, processor)["same outputs"][0]


def test_versions_are_named_where_something_moved_and_only_there(saved, model, processor):
    saved["versions"]["pillow"] = "1.7"
    assert not any("pillow" in detail for _, detail in rows(saved, model, processor).values())
    processor.image_processor.resample = Image.Resampling.BILINEAR
    found = rows(saved, model, processor)
    assert "saved with pillow 1.7, here " in found["same pixels"][1]
    assert "numpy" not in found["same pixels"][1]
    assert "pillow" not in found["same tokens"][1]


def test_without_pydicom_the_rest_is_compared(saved, model, processor, monkeypatch):
    pytest.importorskip("pydicom")
    monkeypatch.setattr(
        fingerprint, "find_spec", lambda name: None if name == "pydicom" else importlib.util.find_spec(name)
    )
    found = rows(saved, model, processor)
    for name in ("same pixels", "same outputs"):
        ok, detail = found[name]
        assert ok
        assert "not compared: DICOM; saved with pydicom " in detail
    nothing = {**saved, "images": {}, "outputs": {}}
    assert [row["ok"] for row in compare(saved, nothing)] == [False, True, False]


def test_another_format_is_not_compared(saved):
    (row,) = compare({**saved, "format": 0}, saved)
    assert not row["ok"]
    assert "`pedclip export`" in row["detail"]


def test_towers_and_classifiers_have_one_too(model, processor, make_model, tokenizer):
    classifier = PedCLIPForImageClassification(model.config)
    found = fingerprint.fingerprint(classifier, processor)
    assert len(found["outputs"]["grey"].split()) == 2
    tower = fingerprint.fingerprint(model.vision_model, processor.image_processor)
    assert len(tower["outputs"]["grey"].split()) == 32
    assert "texts" not in tower
    assert all(ok for ok, _ in rows(tower, model.vision_model, processor.image_processor).values())
    assert not all(row["ok"] for row in compare(tower, found))


def test_a_model_in_half_precision_is_asked_in_float32_and_stays_as_it_is(model, processor):
    half = copy.deepcopy(model).to(torch.bfloat16)
    asked = fingerprint.fingerprint(half, processor)
    assert half.dtype == torch.bfloat16
    assert asked["outputs"] == fingerprint.fingerprint(copy.deepcopy(half).float(), processor)["outputs"]


def test_check_reports_what_moved_in_a_folder(model, processor, tmp_path):
    folder = write_hub_folder(model, processor, tmp_path / "folder", CardFacts(training_data="Nothing."))
    settings = json.loads((folder / "processor_config.json").read_text())
    settings["image_processor"]["image_mean"] = [0.4, 0.4, 0.4]
    (folder / "processor_config.json").write_text(json.dumps(settings))
    failed = {check.name: check.detail for check in check_folder(folder) if not check.ok}
    assert set(failed) == {"same pixels", "same outputs"}
    assert "JPEG by 25.5/255" in failed["same pixels"]  # (0.5 - 0.4) of 255


def test_a_folder_without_one_fails_and_is_told_how_to_get_one(model, processor, tmp_path):
    folder = write_hub_folder(model, processor, tmp_path / "folder", CardFacts(training_data="Nothing."))
    (folder / FILE).unlink()
    checks = Checks()
    open_as_a_stranger(str(folder), checks, fingerprint)  # here and not in a process of its own: seconds less
    failed = {check["name"]: check["detail"] for check in checks if not check["ok"]}
    assert set(failed) == {"fingerprint"}
    assert "`pedclip export DIR OUT`" in failed["fingerprint"]
    assert (export_folder(folder, tmp_path / "again") / FILE).is_file()
