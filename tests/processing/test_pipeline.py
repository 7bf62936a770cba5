"""`pipeline("zero-shot-image-classification")`: the processor's and model's own answer, whatever form an image has."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from dicom_reference import as_bytes, make, reference
from PIL import Image
from transformers import AutoConfig, AutoModelForZeroShotImageClassification, AutoProcessor, pipeline

from pedclip import (
    PedCLIPForImageClassification,
    PedCLIPImageProcessor,
    PedCLIPModel,
    PedCLIPProcessor,
    PedCLIPVisionModel,
)
from pedclip.processing.pipeline_pedclip import PedCLIPZeroShotImageClassificationPipeline

TASK = "zero-shot-image-classification"
LABELS = ["hand", "chest", "skull, lateral"]
DEEP = (np.add.outer(np.arange(70) ** 2 * 5, np.arange(50) * 300) + 9000).astype(np.uint16)  # a stock reading is white
GREY = (DEEP // 256).astype(np.uint8)
DICOM = make((DEEP // 16).astype(np.uint16), bits=12, photometric="MONOCHROME1", WindowCenter=1500, WindowWidth=1800)


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folder(make_model, tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline") / "model"
    make_model(text={"vocab_size": len(tokenizer)}).save_pretrained(folder)
    PedCLIPProcessor(PedCLIPImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def classify(folder) -> PedCLIPZeroShotImageClassificationPipeline:
    return pipeline(TASK, model=str(folder), pipeline_class=PedCLIPZeroShotImageClassificationPipeline)


def scores(answer: list[dict], labels: list[str] = LABELS) -> torch.Tensor:
    assert [row["score"] for row in answer] == sorted((row["score"] for row in answer), reverse=True)
    found = {row["label"]: row["score"] for row in answer}
    assert len(answer) == len(labels)
    return torch.tensor([found[label] for label in labels])


def own(folder: Path, image, texts: list[str] = LABELS) -> torch.Tensor:
    """What processor and model say without a pipeline."""
    model, processor = PedCLIPModel.from_pretrained(folder), PedCLIPProcessor.from_pretrained(folder)
    with torch.no_grad():
        return model(**processor(images=image, text=texts, return_tensors="pt")).logits_per_image[0].softmax(-1)


@pytest.mark.parametrize("task", [TASK, "pedclip-zero-shot"])
def test_a_saved_folder_brings_its_own_pipeline_for_both_names(folder, task, caplog):
    theirs = pipeline(task, model=str(folder), trust_remote_code=True)
    assert type(theirs).__name__ == "PedCLIPZeroShotImageClassificationPipeline"
    assert type(theirs).__module__.startswith("transformers_modules.")
    assert not [record.message for record in caplog.records if "not supported" in record.message]
    assert torch.equal(scores(theirs(DEEP, candidate_labels=LABELS)), own(folder, DEEP))


def test_without_trust_the_folder_is_refused_and_not_opened_by_the_stock_pipeline(folder):
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        pipeline(TASK, model=str(folder))


FORMS = {
    "16-bit array": lambda tmp: DEEP,
    "16-bit tensor": lambda tmp: torch.from_numpy(DEEP.astype(np.int32)),
    "16-bit PIL": lambda tmp: Image.fromarray(DEEP),
    "16-bit PNG, bytes": lambda tmp: png(DEEP),
    "16-bit PNG, Path": lambda tmp: tmp / "deep.png",
    "16-bit PNG, text": lambda tmp: str(tmp / "deep.png"),
    "16-bit PNG, base64": lambda tmp: base64.b64encode(png(DEEP)).decode(),
    "8-bit array": lambda tmp: GREY,
    "8-bit PIL": lambda tmp: Image.fromarray(GREY),
    "8-bit PNG, bytes": lambda tmp: png(GREY),
    "8-bit colour": lambda tmp: np.stack([GREY] * 3, axis=-1),
    "DICOM, bytes": lambda tmp: as_bytes(DICOM),
    "DICOM, text": lambda tmp: str(tmp / "film.dcm"),
    "DICOM, no suffix": lambda tmp: str(tmp / "film"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_image_gives_the_models_own_probabilities(classify, folder, tmp_path, form):
    (tmp_path / "deep.png").write_bytes(png(DEEP))
    for name in ("film.dcm", "film"):
        (tmp_path / name).write_bytes(as_bytes(DICOM))
    image = FORMS[form](tmp_path)
    answer = scores(classify(image, candidate_labels=LABELS))
    assert torch.equal(answer, own(folder, image))
    # and the same as the picture's plain values, of whatever file they came in
    plain = {"1": DEEP, "8": GREY, "D": reference(DICOM).astype(np.float32)}[form[0]]
    torch.testing.assert_close(answer, own(folder, plain), rtol=0, atol=2e-4)


def test_deep_and_shallow_images_differ_so_that_the_comparison_can_fail(folder):
    white = np.full_like(GREY, 255)
    assert (own(folder, DEEP) - own(folder, white)).abs().max() > 2e-3
    assert (own(folder, reference(DICOM).astype(np.float32)) - own(folder, white)).abs().max() > 2e-3


def test_a_label_of_any_length_is_cut_as_the_processor_cuts_it(classify, folder):
    long = "a radiograph of the hand, normal, no acute fracture " * 60
    labels = ["chest", long]
    whole = scores(classify(GREY, candidate_labels=labels), labels)
    torch.testing.assert_close(whole, own(folder, GREY, labels), rtol=0, atol=1e-6)
    short = scores(classify(GREY, candidate_labels=labels, tokenizer_kwargs={"max_length": 8}), labels)
    assert not torch.equal(short, own(folder, GREY, labels))


def test_the_label_stands_for_itself_unless_a_template_is_given(classify, folder):
    bare = classify(GREY, candidate_labels=LABELS)
    assert torch.equal(scores(bare), own(folder, GREY))
    filled = classify(GREY, candidate_labels=LABELS, hypothesis_template="a radiograph of the {}")
    assert torch.equal(scores(filled), own(folder, GREY, [f"a radiograph of the {label}" for label in LABELS]))
    assert bare != filled


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_lists_generators_and_batches_answer_as_one_by_one(classify, batch_size):
    images = [DEEP, png(GREY), as_bytes(DICOM), DEEP[::2], Image.fromarray(GREY)]
    singly = torch.stack([scores(classify(image, candidate_labels=LABELS)) for image in images])
    for given in (images, tuple(images), (image for image in images)):
        answers = classify(given, candidate_labels=LABELS, batch_size=batch_size)
        together = torch.stack([scores(answer) for answer in answers])
        torch.testing.assert_close(together, singly, rtol=0, atol=1e-6)
    assert classify([], candidate_labels=LABELS) == []


def test_labels_may_be_given_once_and_for_all(folder):
    fixed = pipeline(TASK, model=str(folder), trust_remote_code=True, candidate_labels=LABELS)
    assert torch.equal(scores(fixed(GREY)), own(folder, GREY))
    assert len(fixed(GREY, candidate_labels=["hand"])) == 1


def test_a_model_in_half_precision_gets_pixels_in_half_precision(folder):
    half = pipeline(TASK, model=str(folder), trust_remote_code=True, dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(scores(half(DEEP, candidate_labels=LABELS)), own(folder, DEEP), rtol=0, atol=0.02)


def test_model_and_processor_in_memory_need_no_folder(folder):
    model = AutoModelForZeroShotImageClassification.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    classify = PedCLIPZeroShotImageClassificationPipeline(model=model, processor=processor, task=TASK)
    assert torch.equal(scores(classify(DEEP, candidate_labels=LABELS)), own(folder, DEEP))
    with pytest.raises(ValueError, match="pass processor="):
        PedCLIPZeroShotImageClassificationPipeline(model=model, tokenizer=processor.tokenizer, task=TASK)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (dict(), "candidate_labels is None; pass a list"),
        (dict(candidate_labels="hand"), "candidate_labels is 'hand'; pass a list"),
        (dict(candidate_labels=[]), "pass a list"),
        (dict(candidate_labels=["hand", 3]), "candidate_labels holds 3"),
        (dict(candidate_labels=["hand", " "]), "candidate_labels holds ' '"),
        (dict(candidate_labels=LABELS, hypothesis_template="an x-ray"), "needs {} where the label goes"),
    ],
)
def test_labels_and_templates_that_mean_nothing_are_refused(classify, call, message):
    with pytest.raises(ValueError, match=message):
        classify(GREY, **call)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.stack([GREY, GREY])[:, None], ValueError, "one image was expected and a batch of 2 came"),
        (b"", ValueError, "empty"),
        (as_bytes(DICOM)[:-100], ValueError, "cut short"),
        ("no/such/film.dcm", Exception, "no/such/film.dcm"),
        (3, TypeError, "a int is no image"),
    ],
)
def test_an_image_that_is_none_gets_the_processors_error(classify, image, error, message):
    with pytest.raises(error, match=message):
        classify(image, candidate_labels=LABELS)


def test_a_folder_that_the_pipeline_saved_opens_again(classify, folder, tmp_path):
    classify.save_pretrained(tmp_path / "again")
    again = pipeline(TASK, model=str(tmp_path / "again"), trust_remote_code=True)
    assert torch.equal(scores(again(DEEP, candidate_labels=LABELS)), own(folder, DEEP))


def test_a_config_says_the_same_after_a_pipeline_and_a_round_trip(folder, tmp_path):
    before = json.loads((folder / "config.json").read_text())
    assert set(before["custom_pipelines"]) == {TASK, "pedclip-zero-shot"}
    opened = pipeline(TASK, model=str(folder), trust_remote_code=True)
    opened.model.save_pretrained(tmp_path / "model")
    AutoConfig.from_pretrained(folder).save_pretrained(tmp_path / "config")
    for name in ("model", "config"):
        after = json.loads((tmp_path / name / "config.json").read_text())
        assert after["custom_pipelines"] == before["custom_pipelines"]
        assert after["auto_map"] == before["auto_map"]
    assert str(folder.parent) not in (tmp_path / "model" / "config.json").read_text()


def test_only_the_whole_model_names_a_zero_shot_pipeline(folder, tmp_path):
    PedCLIPForImageClassification.from_pretrained(folder).save_pretrained(tmp_path / "classifier")
    PedCLIPVisionModel.from_pretrained(folder).save_pretrained(tmp_path / "tower")
    for name in ("classifier", "tower"):
        assert "custom_pipelines" not in json.loads((tmp_path / name / "config.json").read_text())
