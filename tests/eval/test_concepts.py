"""Concepts are found where they were planted, and along their words without any training."""

import json

import numpy as np
import pytest
from planted import gaussians, phantom_tree
from sklearn.metrics import roc_auc_score

from pedclip.eval.bench.concepts import concept_alignment, concept_directions
from pedclip.eval.bench.probe import linear_probe
from pedclip.eval.bench.questions import QUESTIONS
from pedclip.eval.bench.zero_shot import askings
from pedclip.processing.data.official.arthritis import CONCEPTS


def test_six_planted_concepts_are_found_each_by_itself():
    answer = concept_alignment(gaussians(CONCEPTS, distance=2.5, sizes=(400, 200, 400), common=0.3))
    assert [row["class"] for row in answer.result["classes"]] == list(CONCEPTS)
    assert all(row["value"] > 0.9 for row in answer.result["classes"])
    assert answer.result["kind"].startswith("concept alignment")


def test_alignment_is_the_linear_probe_on_the_concepts():
    asked = gaussians(CONCEPTS, distance=1.0, sizes=(150, 80, 150), common=0.3)
    probe = linear_probe(asked, QUESTIONS["arthritis-concepts"])
    answer = concept_alignment(asked)
    assert answer.predictions == probe.predictions and answer.result["value"] == probe.result["value"]


@pytest.fixture(scope="module")
def joints(tmp_path_factory, make_model, make_processor):
    from pedclip.configuration.configuration_pedclip import BODY_PARTS
    from pedclip.eval.embeddings import ModelUnderTest

    processor = make_processor()
    model = make_model(
        body_parts=list(BODY_PARTS),
        vision={"num_experts": len(BODY_PARTS)},
        text={"vocab_size": len(processor.tokenizer)},
    )
    return phantom_tree("arthritis", tmp_path_factory.mktemp("joints"), ModelUnderTest(model, processor), patients=130)


def test_directions_are_the_difference_of_the_mean_words(joints):
    answer = concept_directions(joints)
    assert answer.result["kind"].startswith("concept alignment without training (ours, not the paper's)")
    test = joints.splits["test"]
    question = askings()["arthritis-concepts"].questions[3]
    assert question.name == "joint space narrowing"
    scores = []
    for one, embed in zip(test.samples, test.embeds, strict=True):
        sides = []
        for words in (question.classes[question.name]["words"], question.classes[f"not {question.name}"]["words"]):
            sentences = [
                prompt.format(words=word, body_part=one.body_part.replace("_", " "))
                for prompt in question.prompts
                for word in words
            ]
            mean = np.mean([joints.tested.embed_texts([sentence])[0] for sentence in sentences], axis=0)
            sides.append(mean / np.linalg.norm(mean))
        scores.append(embed @ (sides[0] - sides[1]))
    truth = ["joint space narrowing" in one.findings for one in test.samples]
    row = next(row for row in answer.result["classes"] if row["class"] == "joint space narrowing")
    assert row["value"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-3)


def test_an_arthritis_tree_goes_through(joints):
    answer = concept_alignment(joints)
    json.dumps([answer.result, answer.predictions], allow_nan=False)
    assert answer.result["n"] == len(joints.splits["test"].samples)
