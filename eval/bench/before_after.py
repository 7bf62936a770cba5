"""Do the last experts help to outline bones? The same decoder on the patches before them and after them."""

from typing import Any

from ..statistics import Difference, Estimate, paired_difference
from .asked import Answer, Asked
from .segmentation import segmentation


def before_against_after(asked: Asked, decoder: str = "setr", **settings: Any) -> tuple[Answer, Answer, Estimate]:
    """Both kinds of features with one decoder, and how much better "before" does on the same patients."""
    before, after = (segmentation(asked, decoder, features, **settings) for features in ("before", "after"))
    difference = paired_difference(before.metric, after.metric, before.patients, asked.resamples, asked.seed)
    return before, after, difference


def before_less_after(asked: Asked, decoder: str = "setr", **settings: Any) -> Answer:
    """The same as a row of the table: its value is the paired difference, and chance is none."""
    before, after, difference = before_against_after(asked, decoder, **settings)
    kept = ("value", "low", "high", "no_interval", "chance", "above_chance")
    result = {
        "asks": "how much better bones are outlined from patches before the last experts than after them",
        "kind": f"segmentation, frozen patches, {decoder}, one decoder for each; drawn together by patient",
        "metric": "difference, before less after",
        **difference.to_dict(),
        "chance": 0.0,
        "chance_is": "no difference",
        **{
            name: {key: answer.result[key] for key in kept if key in answer.result}
            for name, answer in (("before", before), ("after", after))
        },
        "images_used": after.result["images_used"],
        "settings": {key: value for key, value in after.result["settings"].items() if not key.startswith("features")},
    }
    predictions = {"dice before": before.predictions["dice"], "dice after": after.predictions["dice"]}
    return Answer(result, predictions, Difference(before.metric, after.metric), before.patients, before.rows)
