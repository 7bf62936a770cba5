"""A saved folder opens by itself: in a fresh process without PedCLIP, without a network, in another directory."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from pedclip import (
    PedCLIPConfig,
    PedCLIPForImageClassification,
    PedCLIPImageProcessor,
    PedCLIPModel,
    PedCLIPProcessor,
)

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 41), dtype=np.uint8))
TEXTS = ["hand x-ray", "a radiograph of the chest, normal", "skull"]
LABELS = ["hand", "chest", "skull"]
VOLUME = np.random.default_rng(1).integers(0, 256, (5, 50, 41), dtype=np.uint8)
TEMPLATE = "a radiograph of the {}"


@pytest.fixture(scope="module")
def here(make_model, tokenizer, tmp_path_factory):
    """The folders that the stranger opens, and what this process makes of the same image and texts."""
    folder = tmp_path_factory.mktemp("hub")
    processor = PedCLIPProcessor(
        PedCLIPImageProcessor(size={"height": 32, "width": 32}, keep_aspect_ratio=True), tokenizer
    )
    model = make_model(text={"vocab_size": len(tokenizer)}, volume_pooling="attention")
    model.save_pretrained(folder / "whole")
    processor.save_pretrained(folder / "whole")

    classifier = PedCLIPForImageClassification.from_pretrained(folder / "whole", num_labels=3)
    torch.nn.init.normal_(classifier.classifier.weight)
    classifier.save_pretrained(folder / "classifier")
    processor.save_pretrained(folder / "classifier")

    model.vision_model.save_pretrained(folder / "tower")
    processor.image_processor.save_pretrained(folder / "tower")

    batch = processor(images=IMAGE, text=TEXTS, return_tensors="pt")
    prompts = processor(images=IMAGE, text=[TEMPLATE.format(label) for label in LABELS], return_tensors="pt")
    with torch.no_grad():
        return {
            "folder": folder,
            "config": PedCLIPConfig.from_pretrained(folder / "whole").to_dict(),
            "batch": dict(batch),
            "logits": model(**batch).logits_per_image,
            "scores": model(**prompts).logits_per_image[0].softmax(-1),
            "volume": model.get_image_features(**processor(volumes=VOLUME)).pooler_output,
            "features": model.vision_model(batch["pixel_values"]).pooler_output,
            "classes": classifier(batch["pixel_values"]).logits,
        }


@pytest.fixture(scope="module")
def stranger(here, tmp_path_factory) -> dict:
    """The answers of the fresh process."""
    work = tmp_path_factory.mktemp("stranger")
    folders = {kind: str(here["folder"] / kind) for kind in ("whole", "classifier", "tower")}
    inputs = {"image": IMAGE, "volume": VOLUME, "texts": TEXTS, "labels": LABELS, "template": TEMPLATE, **folders}
    torch.save(inputs, work / "inputs.pt")
    script = Path(__file__).with_name("open_as_a_stranger.py")
    ran = subprocess.run(
        [sys.executable, "-I", str(script), str(work / "inputs.pt"), str(work / "answers.pt")],
        cwd=work,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(work),
            "HF_HOME": str(work / "cache"),  # empty: no code from an earlier run
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    return torch.load(work / "answers.pt", weights_only=False)


def assert_same(ours: torch.Tensor, theirs: torch.Tensor):
    """Up to float32's rounding: weights from a file lie elsewhere in memory, and sums run in another order."""
    torch.testing.assert_close(theirs, ours, rtol=0, atol=5e-6)


@pytest.mark.parametrize("auto_class", ["AutoModel", "AutoModelForZeroShotImageClassification", "saved again"])
def test_the_whole_model_opens_with_the_same_logits(here, stranger, auto_class):
    assert_same(here["logits"], stranger["whole"][auto_class])
    assert stranger["whole"]["same weights"]


def test_a_volume_has_the_same_embedding(here, stranger):
    assert_same(here["volume"], stranger["whole"]["volume"])


def test_the_classes_come_from_the_folder_and_not_from_an_installed_package(stranger):
    classes = stranger["whole"]["classes"]

    assert {name: kind for name, (kind, _) in classes.items()} == {
        "config": "PedCLIPConfig",
        "processor": "PedCLIPProcessor",
        "images": "PedCLIPImageProcessor",
        "AutoModel": "PedCLIPModel",
        "AutoModelForZeroShotImageClassification": "PedCLIPModel",
        "saved again": "PedCLIPModel",
    }
    assert all(module.startswith("transformers_modules.") for _, module in classes.values())
    assert classes["saved again"][1] != classes["AutoModel"][1]  # its own copy of the code, not the first folder's


def test_config_processor_tokenizer_and_image_processor_say_the_same(here, stranger):
    whole = stranger["whole"]

    assert whole["config"] | {"_name_or_path": ""} == here["config"] | {"_name_or_path": ""}
    assert whole["batch"].keys() == here["batch"].keys()
    for key, value in here["batch"].items():
        torch.testing.assert_close(whole["batch"][key], value, rtol=0, atol=0)
        if key != "pixel_values":
            torch.testing.assert_close(whole["AutoTokenizer"][key], value)
    torch.testing.assert_close(whole["AutoImageProcessor"], here["batch"]["pixel_values"], rtol=0, atol=0)


def test_the_whole_model_opens_as_a_classifier_on_its_image_tower(here, stranger):
    assert_same(here["features"], stranger["whole"]["AutoModelForImageClassification"])


def test_the_zero_shot_pipeline_gives_the_models_own_probabilities(here, stranger):
    scores = {row["label"]: row["score"] for row in stranger["whole"]["pipeline"]}

    assert list(scores) == sorted(LABELS, key=scores.get, reverse=True)
    assert_same(here["scores"], torch.tensor([scores[label] for label in LABELS]))


def test_a_checkpoint_saved_from_the_classifier_opens_with_the_same_logits(here, stranger):
    answers = stranger["classifier"]
    probabilities = {row["label"]: row["score"] for row in answers["pipeline"]}

    assert_same(here["classes"], answers["logits"])
    assert_same(here["classes"], answers["saved again"])
    assert answers["same weights"]
    assert_same(here["classes"][0].softmax(-1), torch.tensor([probabilities[f"LABEL_{index}"] for index in range(3)]))


def test_the_image_tower_alone_opens_with_the_same_features(here, stranger):
    assert stranger["tower"]["class"] == "PedCLIPVisionModel"
    assert_same(here["features"], stranger["tower"]["features"])
    assert_same(here["features"], stranger["tower"]["saved again"])
    assert stranger["tower"]["same weights"]


def test_a_folder_that_lacks_a_code_file_does_not_open_by_itself(here, tmp_path):
    """The check above can fail: what the folder lacks is not silently found elsewhere."""
    folder = shutil.copytree(here["folder"] / "whole", tmp_path / "whole")
    (folder / "mobe_pedclip.py").unlink()
    with pytest.raises((OSError, ImportError)):
        get_class_from_dynamic_module("modeling_pedclip.PedCLIPModel", str(folder))


def test_the_installed_package_opens_the_folder_by_its_own_classes(here):
    model = PedCLIPModel.from_pretrained(here["folder"] / "whole")

    assert type(model).__module__.startswith("pedclip.")
    with torch.no_grad():
        assert_same(here["logits"], model(**here["batch"]).logits_per_image)
