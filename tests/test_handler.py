"""The endpoint's handler: the model's own answers for what is asked, one clear refusal for everything else."""

import base64
import io
import json
import threading
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from endpoint_requests import HOSTILE, IMAGES, LABELS
from PIL import Image

from pedclip.handler import MAX_LABELS, EndpointHandler
from pedclip.hub import write_hub_folder


@pytest.fixture(scope="module")
def opened(make_model, make_processor, tmp_path_factory):
    processor = make_processor()
    folder = tmp_path_factory.mktemp("endpoint") / "hub"
    model = make_model(text={"vocab_size": len(processor.tokenizer)})
    write_hub_folder(model, processor, folder)
    return EndpointHandler(str(folder)), model, processor, folder


def test_scores_are_the_models_own_for_every_form_of_image(opened):
    handler, model, processor, _ = opened
    for name, content in IMAGES.items():
        with torch.no_grad():
            inputs = processor(images=content, text=LABELS, return_tensors="pt")
            expected = model(**inputs).logits_per_image.softmax(-1)[0].tolist()
        text = base64.b64encode(content).decode()
        for given in (content, bytearray(content), text, f"data:image/png;base64,{text}", {"image": text}):
            answer = handler({"inputs": given, "parameters": {"candidate_labels": LABELS}})
            scores = {row["label"]: row["score"] for row in json.loads(json.dumps(answer))}
            assert [scores[label] for label in LABELS] == pytest.approx(expected, abs=1e-5), name
            assert [row["score"] for row in answer] == sorted(scores.values(), reverse=True)
    picture = Image.open(io.BytesIO(IMAGES["8 bits"]))
    assert handler({"inputs": picture, "parameters": {"candidate_labels": "hand, wrist x-ray"}})[0]["label"] in LABELS
    beside = {"image": IMAGES["8 bits"], "candidate_labels": LABELS}
    assert len(handler({"inputs": beside})) == 3


def test_templates_batches_and_embeddings(opened):
    handler, model, processor, _ = opened
    asked = {"candidate_labels": ["wrist", "chest"], "hypothesis_template": "{} x-ray"}
    plain = {"candidate_labels": ["wrist x-ray", "chest x-ray"]}
    batch = list(IMAGES.values())
    with_template = handler({"inputs": batch, "parameters": asked})
    written_out = handler({"inputs": batch, "parameters": plain})
    assert [[row["score"] for row in one] for one in with_template] == [
        pytest.approx([row["score"] for row in one]) for one in written_out
    ]
    embeds = handler({"inputs": batch, "parameters": {"task": "image-embedding"}})
    with torch.no_grad():
        pixel_values = processor.image_processor(batch, return_tensors="pt").pixel_values
        expected = torch.nn.functional.normalize(model.get_image_features(pixel_values=pixel_values).pooler_output)
        texts = processor(text=LABELS, return_tensors="pt")
        expected_texts = torch.nn.functional.normalize(model.get_text_features(**texts).pooler_output)
    torch.testing.assert_close(torch.tensor(embeds), expected, rtol=0, atol=1e-5)
    found = handler({"inputs": LABELS, "parameters": {"task": "text-embedding"}})
    torch.testing.assert_close(torch.tensor(found), expected_texts, rtol=0, atol=1e-5)
    one = handler({"inputs": LABELS[0], "parameters": {"task": "text-embedding"}})
    assert one == pytest.approx(found[0], abs=1e-5)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_requests_are_refused_in_words_and_soon(opened, name):
    began = time.process_time()  # the work it made, not what else the machine did
    answer = opened[0](HOSTILE[name])
    assert time.process_time() - began < 2
    assert set(answer) == {"error"} and answer["error"]["type"] in ("refused", "unreadable")
    assert 10 < len(answer["error"]["message"]) <= 500
    assert "root:" not in json.dumps(answer)
    assert len(HOSTILE) >= 30 and MAX_LABELS < 10_000


def test_large_images_together_are_refused_before_they_are_read(opened, monkeypatch):
    monkeypatch.setattr("pedclip.handler.MAX_REQUEST_BYTES", 3 * len(IMAGES["DICOM"]))
    asked = {"task": "image-embedding"}
    assert len(opened[0]({"inputs": [IMAGES["DICOM"]] * 3, "parameters": asked})) == 3
    answer = opened[0]({"inputs": [IMAGES["DICOM"]] * 4, "parameters": asked})
    assert "together; a request has at most" in answer["error"]["message"]


def test_an_image_over_the_limit_is_refused(opened, monkeypatch):
    monkeypatch.setattr("pedclip.handler.MAX_IMAGE_BYTES", len(IMAGES["DICOM"]) - 1)
    for given in (IMAGES["DICOM"], base64.b64encode(IMAGES["DICOM"]).decode()):
        answer = opened[0]({"inputs": given, "parameters": {"task": "image-embedding"}})
        assert "bytes" in answer["error"]["message"] and answer["error"]["type"] == "refused"


def test_base64_in_lines_and_the_keys_that_an_endpoint_leaves_alone(opened):
    asked = {"candidate_labels": LABELS}
    text = base64.encodebytes(IMAGES["16 bits"]).decode()
    expected = opened[0]({"inputs": IMAGES["16 bits"], "parameters": asked})
    assert opened[0]({"inputs": {"radiograph": text}, "parameters": asked}) == expected
    one = opened[0]({"inputs": {"text": LABELS[0]}, "parameters": {"task": "text-embedding"}})
    assert one == opened[0]({"inputs": LABELS[0], "parameters": {"task": "text-embedding"}})


@pytest.mark.parametrize("broken", ["logit_scale", "visual_projection.weight"])
def test_a_broken_model_gives_no_nan(opened, broken):
    folder = opened[3]
    handler = EndpointHandler(str(folder))
    with torch.no_grad():
        handler.model.get_parameter(broken).fill_(float("nan"))
    answer = handler({"inputs": IMAGES["8 bits"], "parameters": {"candidate_labels": LABELS}})
    assert answer["error"]["type"] == "internal"


def test_a_mistake_of_the_handlers_own_is_told_without_its_inside(opened, monkeypatch, caplog):
    def fail(*args, **kwargs):
        raise RuntimeError("at address 0x1234")

    monkeypatch.setattr(opened[0].model, "get_image_features", fail)
    answer = opened[0]({"inputs": IMAGES["8 bits"], "parameters": {"candidate_labels": LABELS}})
    assert answer["error"]["type"] == "internal" and "0x1234" not in json.dumps(answer)
    assert "0x1234" in caplog.text


def test_requests_at_the_same_time_get_the_answers_they_would_get_alone(opened):
    handler = opened[0]
    requests = [
        {
            "inputs": content,
            "parameters": {"candidate_labels": LABELS[:number], "hypothesis_template": "{}" + " film" * number},
        }
        for content in IMAGES.values()
        for number in (1, 2, 3)
    ]
    alone = [handler(request) for request in requests]
    assert not any("error" in answer for answer in alone)
    wrong, finished = [], []

    def client(first: int) -> None:
        for step in range(30):
            number = (first + step) % len(requests)
            answer = handler(requests[number])
            if [row["label"] for row in answer] != [row["label"] for row in alone[number]] or not np.allclose(
                [row["score"] for row in answer], [row["score"] for row in alone[number]], atol=1e-5
            ):
                wrong.append((number, answer))
        finished.append(first)

    threads = [threading.Thread(target=client, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and sorted(finished) == [0, 1, 2, 3]


def test_the_folder_carries_the_handler_and_what_it_needs(opened):
    folder = opened[3]
    assert "class EndpointHandler" in (folder / "handler.py").read_text(encoding="utf-8")
    asked = {line for line in (folder / "requirements.txt").read_text().splitlines() if not line.startswith("#")}
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = {*project["dependencies"], *project["optional-dependencies"]["dicom"]}
    assert asked and asked <= known
