"""Neighbours vote as a slow count says, and captions are matched as in eval/retrieval.py."""

import json
from dataclasses import replace

import numpy as np
import pytest
from planted import dealt, gaussians, phantom_tree, scores_of, with_samples
from sklearn.metrics import roc_auc_score

from pedclip.eval.bench.questions import ProbeTask, body_part_task, labels_of
from pedclip.eval.bench.radclip_tasks import image_only, image_text_matching
from pedclip.eval.retrieval import retrieval

TWO = ProbeTask("two", "which of two", ("a", "b"))


def votes(asked, task, split, count):
    """Each image's nearest training images, one by one, weighted by one over the distance."""
    train = asked.splits["train"]
    truth = labels_of(task, train.samples)[0]
    found = []
    for embed in asked.splits[split].embeds:
        distances = np.array([np.sqrt(((embed - other) ** 2).sum()) for other in train.embeds])
        nearest = np.argsort(distances)[:count]
        found.append(np.average(truth[nearest], axis=0, weights=1 / distances[nearest]))
    return np.array(found)


def test_neighbours_vote_as_a_slow_count_says():
    asked = gaussians(("a", "b"), sizes=(90, 60, 70))
    answer = image_only(asked, TWO, neighbours=[7])
    expected = votes(asked, TWO, "test", 7)
    found = np.stack([answer.predictions[f"score: {name}"] for name in "ab"], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    truth = labels_of(TWO, asked.splits["test"].samples)[0]
    by_label = [roc_auc_score(truth[:, place], expected[:, place]) for place in (0, 1)]
    assert answer.result["value"] == pytest.approx(np.mean(by_label))


def test_the_number_of_neighbours_is_chosen_on_validation():
    asked = gaussians(("a", "b"), sizes=(90, 60, 70), distance=1.0)
    truth = labels_of(TWO, asked.splits["validation"].samples)[0]
    quality = {}
    for count in (1, 5, 30):
        scores = votes(asked, TWO, "validation", count)
        quality[count] = np.mean([roc_auc_score(truth[:, place], scores[:, place]) for place in (0, 1)])
    assert len(set(quality.values())) == 3
    assert image_only(asked, TWO, neighbours=[30, 1, 5]).result["neighbours"] == max(quality, key=quality.__getitem__)


def test_more_neighbours_than_images_are_all_of_them():
    assert image_only(gaussians(("a", "b"), sizes=(20, 30, 30)), TWO).result["neighbours_tried"] == [1, 5, 10, 20]


def test_scores_do_not_move_when_the_test_labels_do():
    asked = gaussians(("a", "b"), sizes=(90, 60, 70))
    answer, moved = image_only(asked, TWO), image_only(dealt(asked, "test"), TWO)
    assert scores_of(answer.predictions) == scores_of(moved.predictions)
    assert moved.result["value"] < answer.result["value"] - 0.1


def test_body_parts_are_told_apart():
    asked = gaussians(("a",), distance=4.0, sizes=(120, 60, 60))
    for split, images in asked.splits.items():
        parts = ["hip" if "a" in one.findings else "knee" for one in images.samples]
        samples = [replace(one, body_part=part) for one, part in zip(images.samples, parts, strict=True)]
        asked = with_samples(asked, split, samples)
    answer = image_only(asked, body_part_task(asked.splits["train"].samples))
    assert [row["class"] for row in answer.result["classes"]] == ["hip", "knee"]
    assert answer.result["value"] > 0.95


def test_bad_numbers_and_labels_are_refused():
    asked = gaussians(("a", "b"), sizes=(20, 20, 20))
    with pytest.raises(ValueError, match=r"neighbours is .*; give numbers of 1 and more"):
        image_only(asked, TWO, neighbours=[0])
    same = [replace(one, findings=("a", "b")) for one in asked.splits["validation"].samples]
    with pytest.raises(ValueError, match="20 validation images, and there is no label that some of them have"):
        image_only(with_samples(asked, "validation", same), TWO)


@pytest.fixture
def chests(tmp_path, tested):
    return phantom_tree("chd-cxr", tmp_path, tested, patients=80)


def test_matching_is_retrieval_with_all_that_an_answer_has(chests):
    answer = image_text_matching(chests)
    expected = retrieval(chests.tested, chests.splits["test"], chests.data, resamples=50)
    assert answer.result == expected
    assert answer.metric(np.ones((1, answer.result["n"])))[0] == pytest.approx(expected["value"])
    ranks = np.array(answer.predictions["text_to_image_rank"])
    assert expected["text_to_image"]["R@5"]["value"] == pytest.approx((ranks < 5).mean())
    json.dumps([answer.result, answer.predictions], allow_nan=False)


def test_an_image_without_a_caption_stays_without_a_rank(chests):
    test = chests.splits["test"].samples
    asked = with_samples(chests, "test", [replace(test[0], body_part=None, findings=()), *test[1:]])
    answer = image_text_matching(asked)
    assert answer.predictions["image_to_text_rank"][0] is None
    assert answer.result["n"] == len(test) - 1
    weights = np.ones((1, len(test)))
    weights[0, 0] = 5.0
    assert answer.metric(weights)[0] == pytest.approx(answer.result["value"])


def test_captions_that_are_all_alike_are_refused(chests):
    alike = [replace(one, findings=("no finding",)) for one in chests.splits["test"].samples]
    with pytest.raises(ValueError, match="captions are the same; images with different ones are needed"):
        image_text_matching(with_samples(chests, "test", alike))
