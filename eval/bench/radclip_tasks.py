"""RadCLIP's two tasks on single images: classification by images alone, and matching of images and texts.

RadCLIP's own data and protocols are not public; what is measured here is of the same kind and ours.
"""

# Shapes: N images, C labels
from collections.abc import Sequence

import numpy as np
from sklearn.neighbors import KNeighborsRegressor

from ..retrieval import KS, matching, retrieval_result
from ..statistics import among, share_metric
from .asked import Answer, Asked
from .label_auc import label_answer, macro_auc, mixed
from .questions import ProbeTask, labels_of

NEIGHBOURS = (1, 5, 10, 20, 50)


def image_only(asked: Asked, task: ProbeTask, *, neighbours: Sequence[int] = NEIGHBOURS) -> Answer:
    """AUC of a label's share among the nearest training images, each weighted by one over its distance.

    How many neighbours count is chosen by macro AUC on validation. `questions.body_part_task` asks for body parts;
    `probe.linear_probe` is the same with a fitted line in place of neighbours.
    """
    train, validation, test = (asked.splits[name] for name in ("train", "validation", "test"))
    truth, of_validation = (labels_of(task, images.samples)[0] for images in (train, validation))
    usable = sorted({min(count, len(truth)) for count in neighbours})
    if not usable or usable[0] < 1:
        raise ValueError(f"neighbours is {tuple(neighbours)}; give numbers of 1 and more")
    fitted = {
        count: KNeighborsRegressor(count, weights="distance").fit(train.embeds, truth.astype(float))
        for count in usable
    }
    quality = {count: macro_auc(of_validation, _shares(fitted[count], validation.embeds)) for count in usable}
    if np.isnan(list(quality.values())).all():
        raise ValueError(
            f"the number of neighbours is chosen by AUC on {len(of_validation)} validation images, and there is no "
            "label that some of them have and some have not; take more images"
        )
    chosen = max(usable, key=lambda count: quality[count])
    about = {
        "kind": "image-only classification: nearest neighbours on frozen embeddings",
        "neighbours": chosen,
        "neighbours_tried": usable,
        "chosen_on": f"{len(of_validation)} validation images, by macro AUC",
    }
    return label_answer(
        asked, task, [_shares(fitted[chosen], test.embeds)], mixed(truth), about, lambda shares: shares.clip(0, 1)
    )


def image_text_matching(asked: Asked) -> Answer:
    """R@1, 5 and 10 in both directions among the test images and their captions; the headline is image to text R@1.

    Captions are the data's texts, or sentences made from their labels, where equal ones count as right.
    """
    images = asked.splits["test"]
    found = matching(asked.tested, images, asked.data)
    if len(set(found.texts)) < 2:
        raise ValueError(f"all {len(found.texts)} captions are the same; images with different ones are needed")
    result = retrieval_result(found, images, asked.data, resamples=asked.resamples, seed=asked.seed)
    groups = np.unique(found.texts, return_inverse=True)[1]
    columns = {"caption_group": groups, **{f"{way}_rank": ranks for way, ranks in found.ranks.items()}}
    predictions: dict[str, list[int | None]] = {name: [None] * len(images.samples) for name in columns}
    for name, values in columns.items():
        for row, value in zip(found.indices, values.tolist(), strict=True):
            predictions[name][row] = value  # an image without a caption stays None
    metric = among(share_metric(found.ranks["image_to_text"] < KS[0]), found.indices)
    return Answer(result, dict(predictions), metric, images.patients)


def _shares(fitted: KNeighborsRegressor, embeds: np.ndarray) -> np.ndarray:
    """(N, C); scikit-learn leaves out the axis of a single label."""
    return fitted.predict(embeds).reshape(len(embeds), -1)
