"""A small collection with two sources, findings and patients, and a tiny model to be tested on it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

KERMANY = "Kermany2018-chest_xray"


@pytest.fixture(scope="session")
def collection(tmp_path_factory) -> Path:
    """Chests of two sources, hands and spines; pneumonia and scoliosis are brighter, so that a baseline finds them."""
    folder = tmp_path_factory.mktemp("collection")
    random = np.random.default_rng(0)
    kinds = [
        ("chest", KERMANY, ["no finding"]),
        ("chest", KERMANY, ["pneumonia", "viral pneumonia"]),
        ("chest", KERMANY, ["pneumonia", "bacterial pneumonia"]),
        ("chest", "other", ["no finding"]),
        ("chest", "other", ["pneumonia"]),
        ("hand", "other", []),
        ("spine", "spines", ["scoliosis"]),
        ("spine", "spines", ["normal spine"]),
    ]
    rows = []
    for number in range(len(kinds) * 30):
        part, source, findings = kinds[number % len(kinds)]
        place = number // len(kinds)
        bright = 60 if {"pneumonia", "scoliosis"} & set(findings) else 0
        size = {"chest": (40, 32), "hand": (24, 40), "spine": (20, 48)}[part]
        pixels = random.integers(0, 120, (size[1], size[0])) + bright
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
        rows.append(
            {
                "file_name": f"{number}.png",
                "body_part": part,
                "findings": findings,
                "source": source,
                "patient_id": f"p{number // 2}",
                "split": "train" if place < 12 else "validation" if place < 18 else "test",
            }
        )
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def tested(make_model, processor):
    """A tiny model with random weights, which knows spines too."""
    from pedclip.eval.embeddings import ModelUnderTest

    parts = ["chest", "hand", "whole_spine", "hip", "skull"]
    model = make_model(body_parts=parts, text={"vocab_size": len(processor.tokenizer)})
    return ModelUnderTest(model, processor, {"body_part": ["chest", "hand"], "findings": ["pneumonia"], "captions": 9})
