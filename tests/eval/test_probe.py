"""Probes find what was planted, no more, and never look at the test labels."""

import json
from dataclasses import replace

import numpy as np
import pytest
from planted import asked_of, auc_of_gaussians, dealt, gaussians, phantom_tree, sample, scores_of, with_samples
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pedclip.eval.bench.label_auc import macro_auc
from pedclip.eval.bench.probe import STRENGTHS, draw_share, fit_probes, linear_probe
from pedclip.eval.bench.questions import QUESTIONS, ProbeTask, body_part_task, labels_of
from pedclip.eval.bench.running import shuffled
from pedclip.eval.bench.zero_shot import askings

ONE = ProbeTask("one", "whether there is pneumonia", ("pneumonia",))
THREE = ProbeTask("three", "which of three", ("a", "b", "c"))
FOUR = ("east", "north", "west", "south")


def four_classes(distance: float = 3.0, seed: int = 0):
    """Four classes in the four directions of a plane, of quite different sizes."""
    random = np.random.default_rng(seed)
    embeds, samples = {}, {}
    for split in ("train", "validation", "test"):
        which = random.choice(4, 400, p=(0.4, 0.3, 0.2, 0.1))
        angle = which * np.pi / 2
        embeds[split] = random.standard_normal((400, 6))
        embeds[split][:, :2] += distance * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        samples[split] = [sample(number, split, findings=(FOUR[one],)) for number, one in enumerate(which)]
    return asked_of(embeds, samples)


def test_labels_are_what_the_samples_say():
    samples = [sample(0, findings=("a", "c")), sample(1, findings=("no finding",)), sample(2)]
    has, names = labels_of(THREE, samples)
    assert names == ("a", "b", "c")
    assert has.tolist() == [[True, False, True], [False, False, False], [False, False, False]]
    parts = body_part_task([sample(0, body_part="hip"), sample(1, body_part="knee"), sample(2, body_part=None)])
    assert labels_of(replace(parts, exclusive=False), [sample(0, body_part="knee")])[0].tolist() == [[False, True]]


def test_an_image_of_two_classes_is_refused_where_classes_are_told_apart():
    task = ProbeTask("four", "where", FOUR, exclusive=True)
    with pytest.raises(ValueError, match="2 of 3 images have none or several of the classes east, north, west, south"):
        labels_of(task, [sample(0, findings=("east",)), sample(1, findings=("east", "west")), sample(2)])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": ()}, "give at least one"),
        ({"labels": ("a", "a")}, "each once"),
        ({"labels": ("a",), "exclusive": True}, "'a' is the only class"),
        ({"labels": ("a",), "column": "text"}, "it is one of findings, body_part"),
        ({"labels": ("a",), "min_images": 0}, "needs one image of each kind"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ProbeTask("x", "x", **wrong)


def test_a_body_part_question_needs_two_body_parts():
    with pytest.raises(ValueError, match="2 images show chest"):
        body_part_task([sample(0), sample(1)])


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_probes_and_prompts_ask_for_the_same_labels(name):
    asking = askings()[name]
    prompted = [label for one in asking.questions for label in (one.classes if not asking.several else [one.name])]
    assert list(QUESTIONS[name].labels) == prompted
    assert QUESTIONS[name].exclusive is not asking.several
    assert {one.min_images for one in asking.questions} == {QUESTIONS[name].min_images}


@pytest.mark.parametrize("distance", [0.0, 0.8, 1.5])
def test_a_planted_signal_is_found_to_the_theoretical_auc(distance):
    answer = linear_probe(gaussians(distance=distance, sizes=(2000, 500, 4000)), ONE)
    # the standard error of an AUC of 2,000 against 2,000 is below .01
    assert answer.result["value"] == pytest.approx(auc_of_gaussians(distance), abs=0.025)


def test_the_auc_is_that_of_scikit_learn_by_label_and_macro():
    answer = linear_probe(gaussians(("a", "b", "c"), sizes=(200, 100, 150), common=0.3), THREE)
    one_by_one = [
        roc_auc_score(answer.predictions[f"label: {name}"], answer.predictions[f"score: {name}"]) for name in "abc"
    ]
    assert [row["value"] for row in answer.result["classes"]] == pytest.approx(one_by_one, abs=1e-4)
    assert answer.result["value"] == pytest.approx(np.mean(one_by_one), abs=1e-4)
    assert answer.metric(np.ones((1, 150)))[0] == answer.result["value"]
    assert answer.result["metric"] == "macro AUC" and answer.result["chance"] == 0.5


def test_folded_probes_give_the_decisions_of_the_pipeline():
    asked = gaussians(("a", "b"), sizes=(120, 60, 50))
    train, validation, test = (asked.splits[name] for name in ("train", "validation", "test"))
    shifted = {id(images): images.embeds * [5, 1, 1, 1, 1, 1, 1, 0.01] + 7 for images in (train, validation, test)}
    truth = labels_of(replace(THREE, labels=("a", "b")), train.samples)[0]
    own = labels_of(replace(THREE, labels=("a", "b")), validation.samples)[0]
    probes = fit_probes(shifted[id(train)], truth, shifted[id(validation)], own, [0.1])
    for place in (0, 1):
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        pipeline.fit(shifted[id(train)], truth[:, place])
        expected = pipeline.decision_function(shifted[id(test)])
        np.testing.assert_allclose(probes.scores(shifted[id(test)])[:, place], expected, rtol=1e-8, atol=1e-8)


def test_the_strength_is_the_one_that_validation_likes_best():
    asked = gaussians(("a", "b", "c"), sizes=(40, 150, 50), width=30)
    train, validation = asked.splits["train"], asked.splits["validation"]
    truth, own = (labels_of(THREE, images.samples)[0] for images in (train, validation))
    quality = {}
    for strength in STRENGTHS:
        aucs = []
        for place in range(3):
            pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
            pipeline.fit(train.embeds, truth[:, place])
            aucs.append(roc_auc_score(own[:, place], pipeline.decision_function(validation.embeds)))
        quality[strength] = np.mean(aucs)
    assert len(set(quality.values())) > 2  # else there was nothing to choose
    probes = fit_probes(train.embeds, truth, validation.embeds, own)
    assert probes.quality == pytest.approx(max(quality.values()))
    assert linear_probe(asked, THREE).result["strength"] == [max(quality, key=quality.__getitem__)]


def test_scores_do_not_move_when_the_test_labels_do():
    asked = gaussians(("a", "b", "c"), sizes=(200, 100, 100))
    truth = linear_probe(asked, THREE, share=0.1)
    moved = linear_probe(dealt(asked, "test"), THREE, share=0.1)
    assert scores_of(moved.predictions) == scores_of(truth.predictions)
    assert moved.result["strength"] == truth.result["strength"]
    assert moved.result["value"] < truth.result["value"] - 0.15
    few = with_samples(
        asked,
        "test",
        [
            replace(one, findings=("a",) if place < 50 else ())
            for place, one in enumerate(asked.splits["test"].samples)
        ],
    )
    assert scores_of(linear_probe(few, THREE, share=0.1).predictions) == scores_of(truth.predictions)


def test_labels_dealt_out_anew_leave_nothing_to_find():
    asked = gaussians(distance=2.0, sizes=(400, 200, 800))
    control = replace(
        asked, splits={name: shuffled(images, 3) for name, images in asked.splits.items()}, resamples=200
    )
    result = linear_probe(control, ONE).result
    assert result["low"] < 0.5 < result["high"]
    assert linear_probe(asked, ONE).result["low"] > 0.85


def test_classes_count_one_against_the_rest():
    asked = four_classes()
    answer = linear_probe(asked, ProbeTask("four", "where", FOUR, exclusive=True))
    labels = np.array(answer.predictions["label"])
    expected = [roc_auc_score(labels == name, answer.predictions[f"score: {name}"]) for name in FOUR]
    assert answer.result["value"] == pytest.approx(np.mean(expected), abs=1e-4)
    assert answer.result["value"] > 0.95
    assert [row["n"] for row in answer.result["classes"]] == [int((labels == name).sum()) for name in FOUR]


def test_a_share_is_drawn_by_patient_and_keeps_the_labels_shares():
    random = np.random.default_rng(0)
    patients = [f"p{number // 3}" for number in range(3000)]
    truth = np.repeat(random.random((1000, 2)) < (0.3, 0.004), 3, axis=0)
    rows = draw_share(patients, truth, 0.1, (0, 0))
    drawn = {patients[row] for row in rows}
    assert len(drawn) == 100 and len(rows) == 300  # all three images of each
    assert truth[rows, 0].mean() == pytest.approx(truth[:, 0].mean(), abs=0.011)
    assert truth[rows, 1].any()
    assert np.array_equal(rows, draw_share(patients, truth, 0.1, (0, 0)))
    assert not np.array_equal(rows, draw_share(patients, truth, 0.1, (0, 1)))
    assert np.array_equal(draw_share(patients, truth, 1.0, (0, 0)), np.arange(3000))


@pytest.mark.parametrize(
    ("patients", "share", "wanted"), [(1000, 0.01, 10), (30, 0.01, 2), (3, 1 / 3, 2), (2, 0.9, 2)]
)
def test_a_share_has_the_size_asked_for_and_both_kinds(patients, share, wanted):
    truth = (np.arange(patients) % 3 == 0)[:, None]
    rows = draw_share([str(number) for number in range(patients)], truth, share, (5,))
    assert len(rows) == wanted == len(set(rows))
    assert truth[rows].any() and not truth[rows].all()


def test_few_labels_are_drawn_several_times_and_the_value_is_their_mean():
    asked = gaussians(sizes=(1000, 200, 300), images_of_a_patient=2)
    for share, draws, patients in ((0.01, 5, 5), (0.1, 3, 50), (1.0, 1, 500)):
        result = linear_probe(asked, ONE, share).result
        found = result["training_draws"]
        assert len(found["values"]) == len(result["strength"]) == draws
        assert found["patients"] == [patients] * draws and found["images"] == [2 * patients] * draws
        assert result["value"] == pytest.approx(np.mean(found["values"]))
        assert found["lowest"] == min(found["values"]) and found["highest"] == max(found["values"])
        assert (found["standard_deviation"] is None) == (draws == 1)
    one_percent, everything = (linear_probe(asked, ONE, share).result["value"] for share in (0.01, 1.0))
    assert one_percent < everything


def test_each_draw_can_be_counted_again_from_the_predictions():
    answer = linear_probe(gaussians(sizes=(300, 100, 200)), ONE, 0.1)
    again = [
        roc_auc_score(answer.predictions["label: pneumonia"], answer.predictions[f"score: pneumonia, draw {draw}"])
        for draw in (1, 2, 3)
    ]
    assert answer.result["training_draws"]["values"] == pytest.approx(again, abs=1e-4)


def test_a_label_with_too_few_images_is_listed_and_not_counted():
    asked = gaussians(("a", "b"), sizes=(200, 100, 100))
    rare = [
        replace(one, findings=(*one.findings, *(["c"] if place < 4 else [])))
        for place, one in enumerate(asked.splits["test"].samples)
    ]
    asked = with_samples(asked, "test", rare)
    rows = {row["class"]: row for row in linear_probe(asked, THREE).result["classes"]}
    assert not rows["c"]["in_mean"] and "value" not in rows["c"] and rows["c"]["n"] == 4
    assert rows["c"]["too_few"] == "train has 0 images with it, fewer than 5"
    assert rows["a"]["in_mean"] and rows["a"]["n"] + rows["a"]["without"] == 100
    with pytest.raises(ValueError, match=r"three: no label has enough images; a: \w+ has \d+ images with"):
        linear_probe(asked, replace(THREE, min_images=101))


def test_a_label_that_a_share_lacks_in_a_draw_is_in_no_draws_mean():
    asked = gaussians(("a", "b", "c"), sizes=(300, 100, 100))
    train = [
        replace(one, findings=("a",) if place % 2 else ("b", "c") if place < 40 else ("b",))
        for place, one in enumerate(asked.splits["train"].samples)
    ]
    result = linear_probe(with_samples(asked, "train", train), THREE, 0.01).result
    rows = {row["class"]: row for row in result["classes"]}
    assert rows["a"]["in_mean"]
    left_out = [row for row in rows.values() if not row["in_mean"]]
    assert all(row["too_few"] == "the part of train that was drawn has images of one kind only" for row in left_out)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="it is a part of the training patients, above 0 and at most 1"):
        linear_probe(gaussians(sizes=(20, 20, 20)), ONE, share)


def test_without_labels_in_validation_no_strength_can_be_chosen():
    asked = gaussians(sizes=(50, 20, 50))
    same = [replace(one, findings=("pneumonia",)) for one in asked.splits["validation"].samples]
    with pytest.raises(ValueError, match="20 validation images, and there is no label that some of them have"):
        linear_probe(with_samples(asked, "validation", same), ONE)
    with pytest.raises(ValueError, match="strengths is empty"):
        linear_probe(asked, ONE, strengths=())


def test_the_macro_auc_of_labels_that_all_or_none_have_is_not_counted():
    truth = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1], [0, 0, 1]], dtype=bool)
    scores = np.array([[0.9, 0, 0], [0.8, 1, 0], [0.7, 0, 1], [0.1, 0, 0]])
    assert macro_auc(truth, scores) == 0.75
    assert np.isnan(macro_auc(truth[:, 1:], scores[:, 1:]))


def test_a_tree_in_an_official_layout_goes_through_and_no_patient_is_named(tmp_path, tested):
    asked = phantom_tree("chd-cxr", tmp_path, tested, patients=80)
    answer = linear_probe(asked, replace(QUESTIONS["chd-cxr"], min_images=1))
    written = json.dumps([answer.result, answer.predictions], allow_nan=False)
    assert len(answer.predictions["label"]) == len(asked.splits["test"].samples) == answer.result["n"]
    assert 0 <= answer.result["low"] <= answer.result["value"] <= answer.result["high"] <= 1
    assert not [one for one in asked.splits["test"].samples if f'"{one.patient_id}"' in written]
