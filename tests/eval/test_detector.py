"""The gate as a detector: numbers equal slow and known versions, on gates that are made by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pedclip.eval.calibration import calibration
from pedclip.eval.detector import (
    HEADLINE,
    NO_XRAY,
    UNKNOWN_PART,
    aurc_metric,
    embed_no_xray,
    gate_detector,
    known_scores,
    mean_gate,
    risk_coverage,
    selective,
    split_by_training,
)
from pedclip.eval.embeddings import EmbeddedImages
from pedclip.eval.no_xray import KINDS, no_xray_pictures
from pedclip.eval.plots import reliability_plot, risk_coverage_plot
from pedclip.eval.tasks import run_task
from pedclip.processing.data.sample import Sample


def images(logits: np.ndarray, experts: list[int], parts: list[str | None] | None = None) -> EmbeddedImages:
    """As if a model with two MoBE layers had seen them, the second half as sure."""
    parts = parts or ["chest"] * len(experts)
    samples = [Sample(Path("x.png"), "x.png", part, f"p{n}", None) for n, part in enumerate(parts)]
    layers = [logits, logits / 2]
    gates = [np.exp(layer) / np.exp(layer).sum(1, keepdims=True) for layer in layers]
    energies = [np.log(np.exp(layer).sum(1)) for layer in layers]
    return EmbeddedImages(samples, np.zeros((len(experts), 2)), gates, experts, energies)


@pytest.fixture
def known():
    random = np.random.default_rng(0)
    experts = random.integers(0, 4, 120)
    return images(random.normal(size=(120, 4)) + 3 * np.eye(4)[experts], experts.tolist())


@pytest.fixture
def strange():
    return images(np.random.default_rng(1).normal(size=(60, 4)), [-100] * 60)


def test_every_score_of_every_kind_equals_scikit_learn(known, strange):
    other = images(np.random.default_rng(2).normal(size=(30, 4)) * 4, [-100] * 30)
    found = gate_detector(known, {UNKNOWN_PART: strange, NO_XRAY: other}, resamples=50)
    gate = np.mean(known.gates, axis=0)
    for name, slow in (
        (HEADLINE, lambda one: np.mean(one.gates, 0).max(1)),
        ("negative entropy", lambda one: (np.mean(one.gates, 0) * np.log(np.mean(one.gates, 0))).sum(1)),
        ("negative energy", lambda one: np.mean(one.energies, 0)),
    ):
        for kind, parts in ((UNKNOWN_PART, [strange]), (NO_XRAY, [other]), ("all", [strange, other])):
            scores = [slow(known), *(slow(part) for part in parts)]
            labels = np.repeat([1] + [0] * len(parts), [len(part) for part in scores])
            row = found["abstention"][kind][name]
            assert row["value"] == pytest.approx(roc_auc_score(labels, np.concatenate(scores)))
            threshold = np.sort(scores[0])[int(0.05 * 120)]
            rejected = (np.concatenate(scores[1:]) < threshold).mean()
            assert row["rejected_at_95%_kept"] == pytest.approx(rejected, abs=0.05)
    assert found["value"] == found["abstention"]["all"][HEADLINE]["value"]
    assert (found["known"], found["unknown"]) == (120, {UNKNOWN_PART: 60, NO_XRAY: 30})
    alone = calibration(known.experts, gate, known.patients, resamples=50)
    assert found["calibration"]["value"] == pytest.approx(alone["value"])
    assert json.loads(json.dumps(found)) == found


def test_a_gate_that_is_surer_of_strangers_is_below_chance(known, strange):
    found = gate_detector(strange_as_known(strange), {UNKNOWN_PART: known}, resamples=100)
    assert found["value"] < 0.5 and found["below_chance"] and found["interval_below_chance"]


def strange_as_known(strange: EmbeddedImages) -> EmbeddedImages:
    return EmbeddedImages(strange.samples, strange.embeds, strange.gates, [0] * 60, strange.energies)


def test_the_aurc_equals_a_loop_and_a_hand_worked_case():
    # right, wrong, right, right: risks 0, 1/2, 1/3, 1/4
    got = aurc_metric(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, True]))(np.ones((1, 4)))[0]
    assert got == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    random = np.random.default_rng(3)
    scores, right = random.normal(size=50), random.random(50) < 0.7
    order = np.argsort(-scores)
    slow = np.mean([np.mean(~right[order[: kept + 1]]) for kept in range(50)])
    assert aurc_metric(scores, right)(np.ones((1, 50)))[0] == pytest.approx(slow)


def test_of_equal_scores_none_is_kept_without_the_others():
    scores, right = np.array([0.9, 0.5, 0.5, 0.5]), np.array([True, True, False, False])
    expected = (0 + 3 * (2 / 4)) / 4
    for order in ([0, 1, 2, 3], [0, 3, 2, 1]):
        assert aurc_metric(scores[order], right[order])(np.ones((1, 4)))[0] == pytest.approx(expected)
    assert risk_coverage(scores, right) == {"coverage": [0.25, 1.0], "risk": [0.0, 0.5]}


def test_weights_of_the_aurc_are_repeated_images():
    random = np.random.default_rng(4)
    scores, right, times = random.integers(0, 6, 40).astype(float), random.random(40) < 0.6, random.integers(0, 4, 40)
    times[scores == 5] = 0  # the surest are not drawn at all
    repeated = aurc_metric(np.repeat(scores, times), np.repeat(right, times))(np.ones((1, times.sum())))[0]
    assert aurc_metric(scores, right)(times[None].astype(float))[0] == pytest.approx(repeated)


def test_no_order_is_better_than_the_perfect_one_and_one_score_for_all_is_the_error_rate():
    random = np.random.default_rng(5)
    right = random.random(80) < 0.8
    patients = [str(n) for n in range(80)]
    found = selective({"random": random.random(80), "none": np.ones(80)}, right, patients, resamples=50)
    values = {name: row["aurc"]["value"] for name, row in found["scores"].items()}
    assert found["aurc_of_a_perfect_order"] < values["random"]
    assert values["none"] == pytest.approx(found["error_rate"]["value"]) == pytest.approx(1 - right.mean())


def test_images_are_known_where_their_part_was_trained_and_without_a_part_in_neither():
    parts = ["chest", "hand", "tail", None, "chest"]
    all_images = images(np.random.default_rng(0).normal(size=(5, 3)), [0, 1, -100, -100, 0], parts)
    known, strange = split_by_training(all_images, ["chest"])
    assert [sample.patient_id for sample in known.samples] == ["p0", "p4"]
    assert [sample.patient_id for sample in strange.samples] == ["p1", "p2"]
    np.testing.assert_array_equal(strange.gates[1], all_images.gates[1][[1, 2]])
    np.testing.assert_array_equal(known.energies[0], all_images.energies[0][[0, 4]])
    assert len(split_by_training(all_images, None)[0].samples) == 3


def test_what_cannot_be_asked_is_an_error(known, strange):
    with pytest.raises(ValueError, match="there is no unknown image"):
        gate_detector(known, {NO_XRAY: split_by_training(known, None)[1]})
    with pytest.raises(ValueError, match="60 of 60 known images have no expert"):
        gate_detector(strange, {NO_XRAY: known})
    with pytest.raises(ValueError, match="so it has no gate"):
        gate_detector(EmbeddedImages(known.samples, known.embeds, [], known.experts), {NO_XRAY: strange})


def test_energies_are_of_the_routers_own_logits(tested, collection):
    from pedclip.configuration.data import DataConfig
    from pedclip.processing.data.folder import read_folder

    config = DataConfig(path=str(collection))
    samples = read_folder(config, split="test", need_caption=False)[:3]
    seen = tested.embed_images(samples, config)
    pixels = tested.processor.image_processor([str(one.path) for one in samples], return_tensors="pt").pixel_values
    logits = tested.model.get_image_features(pixel_values=pixels).router_logits[0]
    np.testing.assert_allclose(seen.energies[0], logits.logsumexp(-1).detach(), atol=1e-5)
    assert set(known_scores(seen)) == {HEADLINE, "negative entropy", "negative energy"}


def test_pictures_that_are_no_radiographs_differ_and_come_again_with_the_same_seed():
    pictures = no_xray_pictures(40, seed=1, side=64)
    again = no_xray_pictures(40, seed=1, side=64)
    assert all(pixels.shape == (64, 64) and pixels.dtype == np.uint8 for _, pixels in pictures)
    assert all(pixels.std() > 1 for _, pixels in pictures)
    assert [name for name, _ in pictures] == [name for name, _ in again]
    assert all((one == two).all() for (_, one), (_, two) in zip(pictures, again, strict=True))
    assert len({pixels.tobytes() for _, pixels in pictures}) == 40
    assert {name.split()[0] for name, _ in pictures} == {"noise", "gradient", "text", "texture"} and len(KINDS) == 4
    with pytest.raises(ValueError, match="count is 0"):
        no_xray_pictures(0)


def test_crops_of_one_photograph_are_one_patient(tested):
    from pedclip.configuration.data import DataConfig

    seen = embed_no_xray(tested, DataConfig(path="."), count=80)
    assert len(seen.samples) == 80 and set(seen.experts) == {-100}
    textures = [patient for patient in seen.patients if "texture" in patient]
    assert len(textures) == 20 and len(set(textures)) <= 12
    assert mean_gate(seen).sum(1) == pytest.approx(1)


def test_the_task_says_which_images_were_strange(tested, collection):
    result = run_task("gate-detector", tested, collection, resamples=50)
    # twelve of each kind: five of chests and one of hands, which the tiny model was trained on, and two of spines
    assert result["known"] == 12 * 6 and result["unknown"] == {UNKNOWN_PART: 12 * 2, NO_XRAY: 120}


def test_plots_are_pictures_that_say_what_they_show(known, strange):
    found = gate_detector(known, {UNKNOWN_PART: strange}, resamples=20)
    for picture in (
        reliability_plot(found["calibration"]["reliability"], "gate"),
        risk_coverage_plot(found["selective"], "gate"),
    ):
        assert picture.startswith("<img alt=") and "svg" in picture
    assert reliability_plot(found["calibration"]["reliability"], "gate") == reliability_plot(
        found["calibration"]["reliability"], "gate"
    )
