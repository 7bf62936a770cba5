"""A run small enough to be repeated: 24 pictures of three body parts, a BERT of one layer, a ViT of two."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

SMALL = dict(hidden_size=16, num_attention_heads=2, intermediate_size=32)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory) -> Path:
    """Noise with a bright stripe whose place is the body part; every fourth picture is for validation."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    rows = []
    for number in range(32):
        stripe = number % 3
        picture = random.integers(0, 80, (24, 30), dtype=np.uint8)
        picture[:, stripe * 10 : stripe * 10 + 10] += 120
        Image.fromarray(picture).save(folder / f"{number}.png")
        split = "validation" if number % 4 == 3 else "train"
        part = ("chest", "hand", "knee")[stripe]
        rows.append({"file_name": f"{number}.png", "body_part": part, "patient_id": f"p{number}", "split": split})
    (folder / "broken.png").write_bytes(b"no picture")
    rows.append({"file_name": "broken.png", "body_part": "chest", "patient_id": "p99", "split": "train"})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def recipe(tmp_path, bert_folder, image_folder) -> Path:
    path = tmp_path / "recipe.yaml"
    values = {
        "output": str(tmp_path / "run"),
        "model": {
            "text": str(bert_folder),
            "vision_config": {
                **SMALL,
                "num_hidden_layers": 2,
                "image_size": 16,
                "patch_size": 8,
                "mobe_layers": [1],
                "hidden_dropout_prob": 0.1,
            },
            "config": {"mask_identical_texts": True},
        },
        "data": {"path": str(image_folder), "augment": {"rotation_degrees": 5.0, "brightness": 0.1}},
        "epochs": 4,
        "batch_size": 8,
        "learning_rate": 3e-3,
        "teacher_forcing": 0.5,
        "log_every": 1,
        "checkpoint_every": 2,
    }
    path.write_text(yaml.safe_dump(values))
    return path
