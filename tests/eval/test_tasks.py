"""Tasks run from one line, say what they depended on, and claim zero-shot only where it is."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from pedclip.cli import main
from pedclip.configuration.data import DataConfig
from pedclip.eval.embeddings import load_model, model_hash
from pedclip.eval.gate import gate_accuracy
from pedclip.eval.prompt_classification import SEEN, UNKNOWN, ZERO_SHOT, _seen, prompt_classification
from pedclip.eval.prompts import PROMPTS, questions
from pedclip.eval.tasks import TASKS, data_hash, run_task, table
from pedclip.eval.training import evaluate
from pedclip.processing.data.captions import Captions
from pedclip.processing.data.dataset import PairDataset
from pedclip.processing.data.folder import read_folder

FEW = {"resamples": 50}


@pytest.mark.parametrize("name", list(TASKS))
def test_every_task_gives_a_value_with_its_interval_and_where_it_comes_from(name, tested, collection):
    result = run_task(name, tested, collection, **FEW)
    assert 0 <= result["low"] <= result["value"] <= result["high"] <= 1
    assert result["task"] == name and result["split"] == "test" and result["seed"] == 0
    assert result["n"] >= result["patients"] > 1
    assert set(result["versions"]) >= {"python", "torch", "transformers"}
    assert len(result["data_hash"]) == 64
    assert json.loads(json.dumps(result)) == result
    assert f"n {result['n']}" in table(result)


def test_an_unknown_task_lists_those_there_are(tested, collection):
    with pytest.raises(ValueError, match="unknown task 'bodypart'; there are body-part, pneumonia"):
        run_task("bodypart", tested, collection)


def test_prompt_classification_equals_the_slow_way(tested, collection):
    result = run_task("pneumonia", tested, collection, where={"source": ["other"]}, **FEW)
    samples = read_folder(DataConfig(path=str(collection)), split="test")
    samples = [s for s in samples if s.body_part == "chest" and s.row["source"] == "other"]
    scores = []
    with torch.no_grad():
        classes = []
        for row in result["classes"]:
            inputs = tested.processor(text=row["prompts"], return_tensors="pt", padding=True)
            embeds = tested.model.get_text_features(**inputs).pooler_output
            classes.append((embeds / embeds.norm(dim=-1, keepdim=True)).mean(0))
            classes[-1] = classes[-1] / classes[-1].norm()
        for sample in samples:
            pixel_values = tested.processor.image_processor(str(sample.path), return_tensors="pt").pixel_values
            image = tested.model.get_image_features(pixel_values=pixel_values).pooler_output[0]
            scores.append(float((image / image.norm()) @ (classes[0] - classes[1])))
    expected = roc_auc_score(["pneumonia" in sample.findings for sample in samples], scores)
    assert result["value"] == pytest.approx(expected, abs=1e-6)
    assert result["n"] == len(samples) == 24


def test_a_prompt_may_name_the_body_part_of_each_image(tested, collection, tmp_path):
    """Pneumonia and scoliosis as one question: chests are asked as chests and spines as spines."""
    path = tmp_path / "own.yaml"
    path.write_text(
        "sick:\n  asks: whether it is ill\n  column: findings\n  classes:\n"
        "    sick: {is: [pneumonia, scoliosis], words: [disease]}\n"
        "    well: {without: [pneumonia, scoliosis], words: [nothing]}\n"
        '  prompts: ["{body_part} with {words}", "{words} of the {body_part}"]\n',
        encoding="utf-8",
    )
    question = questions(path)["sick"]
    config = DataConfig(path=str(collection), body_part_words={"spine": "whole back"})
    samples = read_folder(config, split="test", need_caption=False)
    samples[0] = replace(samples[0], body_part=None)  # nobody can say its sentence
    images = tested.embed_images(samples, config)
    answer = prompt_classification(tested, images, question, config, **FEW)
    expected, sick = [], []
    for sample, embed in list(zip(samples, images.embeds, strict=True))[1:]:
        part = {"spine": "whole back"}.get(sample.body_part, sample.body_part)
        means = [
            tested.embed_texts([f"{part} with {word}", f"{word} of the {part}"]).mean(0)
            for word in ("disease", "nothing")
        ]
        there, not_there = (float(embed @ (mean / np.linalg.norm(mean))) for mean in means)
        expected.append(there - not_there)
        sick.append(bool({"pneumonia", "scoliosis"} & set(sample.findings)))
    assert answer.result["value"] == pytest.approx(roc_auc_score(sick, expected), abs=1e-6)
    assert answer.result["left_out"] == 1 and answer.result["n"] == len(samples) - 1
    assert answer.result["classes"][0]["prompts"] == ["{body_part} with disease", "disease of the {body_part}"]


def test_zero_shot_is_said_only_where_no_class_was_seen_in_training(tested, collection):
    labels = {"body_part": ["chest"], "findings": ["pneumonia"], "captions": 2}
    reports = {"body_part": [], "findings": [], "captions": 9, "captions_from_text": 9}  # which may have named it
    for training_labels, task, kind in (
        (labels, "body-part", SEEN),
        (labels, "pneumonia", SEEN),
        (labels, "scoliosis", ZERO_SHOT),
        (reports, "scoliosis", UNKNOWN),
        (None, "scoliosis", UNKNOWN),
    ):
        result = run_task(task, replace(tested, training_labels=training_labels), collection, **FEW)
        assert result["kind"] == kind
    assert [row["seen_in_training"] for row in result["classes"]] == [None, None]


def test_a_split_with_one_class_is_refused_with_what_it_holds(tested, collection):
    with pytest.raises(ValueError, match=r"needs two classes .* the images are \{'hand': 12\}"):
        run_task("body-part", tested, collection, where={"body_part": ["hand"]}, **FEW)


def test_images_that_fit_no_class_or_two_are_left_out_and_counted(tested, collection):
    result = run_task("viral-bacterial", tested, collection, **FEW)
    assert result["n"] == 24
    assert result["left_out"] == 36
    assert [row["n"] for row in result["classes"]] == [12, 12]


def test_retrieval_says_how_many_captions_there_are_and_what_chance_would_reach(tested, collection):
    result = run_task("retrieval", tested, collection, **FEW)
    samples = read_folder(DataConfig(path=str(collection)), split="test")
    captions = [Captions(DataConfig(path="x")).caption(sample) for sample in samples]
    assert result["distinct_captions"] == len(set(captions))
    shares = np.mean([captions.count(caption) / len(captions) for caption in captions])
    assert result["chance"] == pytest.approx(shares)
    for direction in ("image_to_text", "text_to_image"):
        values = [result[direction][f"R@{k}"]["value"] for k in (1, 5, 10)]
        assert values == sorted(values)


def test_the_gates_accuracy_counts_only_images_with_an_expert(tested, collection):
    config = DataConfig(path=str(collection), body_part_experts={"hand": None})
    samples = read_folder(config, split="test")
    images = tested.embed_images(samples, config)
    result = gate_accuracy(images, tested.body_parts, resamples=0)
    kept = [index for index, sample in enumerate(samples) if sample.body_part != "hand"]
    truth = np.array([{"chest": 0, "spine": 2}[samples[index].body_part] for index in kept])
    assert result["n"] == len(kept) and result["without_expert"] == len(samples) - len(kept)
    assert result["value"] == pytest.approx((images.gates[0][kept].argmax(1) == truth).mean())
    assert np.sum(result["confusion"]["counts"]) == len(kept)


def test_a_saved_model_scores_as_the_open_one_and_brings_its_training_labels(model_folder, collection, make_model):
    samples_config = DataConfig(path=str(collection), body_part_experts={"spine": None})
    (model_folder / "training_labels.json").write_text(json.dumps({"body_part": [], "findings": [], "captions": 0}))
    result = run_task("body-part", model_folder, samples_config, **FEW)
    assert result["kind"] == ZERO_SHOT
    assert result["value"] == run_task("body-part", load_model(model_folder), samples_config, **FEW)["value"]
    with pytest.raises(FileNotFoundError, match=r"no model folder.*config\.json"):
        load_model(collection)


def test_the_data_hash_changes_with_a_label_and_not_with_the_order(collection):
    samples = read_folder(DataConfig(path=str(collection)), split="test")[:5]
    other = replace(samples[0], row={**samples[0].row, "findings": ["other"]})
    assert data_hash(samples) == data_hash(samples[::-1])
    assert data_hash(samples) != data_hash([other, *samples[1:]])


def test_the_evaluation_after_an_epoch_gives_plain_numbers(tested, collection):
    config = DataConfig(path=str(collection))
    held_out = PairDataset(read_folder(config, split="validation"), tested.processor, config, tested.body_parts)
    scores = evaluate(tested.model, tested.processor, held_out, config, tested.training_labels)
    assert {"body_part_auc", "pneumonia_auc", "scoliosis_auc", "gate_accuracy", "retrieval_r1"} <= set(scores)
    assert all(isinstance(value, float) and 0 <= value <= 1 for value in scores.values())


def test_mistakes_in_the_prompts_file_are_named(tmp_path):
    text = PROMPTS.read_text(encoding="utf-8")
    for old, new, message in (
        ("min_images: 10", "min_image: 10", "unknown key 'min_image'; did you mean 'min_images'"),
        ("column: findings", "column: finding", "column 'finding'"),
        (
            "{words} x-ray",
            "{words} of the {body_part}",
            "body-part asks for the body part, and its prompts give it away",
        ),
    ):
        path = tmp_path / f"{new[:9]}.yaml"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            questions(path)


def test_similarities_are_scaled_as_the_model_scales_them(tested):
    with torch.no_grad():
        tested.model.logit_scale.fill_(9.0)  # above the limit
    inputs = tested.processor(images=[np.zeros((40, 40), np.uint8)], text=["chest x - ray"], return_tensors="pt")
    output = tested.model(**inputs)
    cosine = (output.image_embeds @ output.text_embeds.T).item()
    assert output.logits_per_image.item() == pytest.approx(tested.temperature_factor * cosine, rel=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_every_result_has_predictions_and_hashes_and_no_identifier(name, tested, collection, tmp_path):
    model_folder = tmp_path / "model"
    tested.model.save_pretrained(model_folder)
    tested.processor.save_pretrained(model_folder)
    out = tmp_path / "result.json"
    command = ["eval", "--model", str(model_folder), "--task", name, "--data", str(collection), "--out", str(out)]
    assert main(command) == 0
    result = json.loads(out.read_text())
    assert result["model_hash"] == model_hash(model_folder) and len(result["data_hash"]) == 64
    columns = result["predictions"]
    assert len({len(column) for column in columns.values()}) == 1 and len(columns["patient"]) >= result["n"] > 0
    written = out.read_text()
    assert '"p1"' not in written and ".png" not in written and str(collection) not in written


def test_predictions_give_the_value_again(tested, collection):
    told = run_task("scoliosis", tested, collection, resamples=0)
    columns = told["predictions"]
    margin = np.subtract(columns["score: scoliosis"], columns["score: normal spine"])
    truth = np.array(columns["label"]) == "scoliosis"
    assert told["value"] == pytest.approx(roc_auc_score(truth, margin), abs=1e-3)
    gate = run_task("gate", tested, collection, resamples=0)
    said = [(one, two) for one, two in zip(gate["predictions"]["label"], gate["predictions"]["chosen"], strict=True)]
    assert gate["value"] == pytest.approx(np.mean([one == two for one, two in said if one is not None]))


def test_a_class_asked_in_words_of_a_training_label_was_seen(tested, collection, tmp_path):
    file = tmp_path / "questions.yaml"
    file.write_text(
        "lung:\n  asks: x\n  column: findings\n  min_images: 1\n  prompts: ['{words}']\n  classes:\n"
        "    pneumonia: {is: [pneumonia], words: [a consolidation]}\n    healthy: {is: [no finding], words: [clear]}\n"
    )
    question = questions(file)["lung"]
    assert [_seen(question, name, {"findings": ["consolidation"]}) for name in question.classes] == [True, False]
    assert _seen(question, "pneumonia", {"findings": ["solid"]}) is False  # whole words
