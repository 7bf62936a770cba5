"""What each data set is asked by probes: its labels or classes, and which images have which."""

# Shapes: N images, C labels
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...processing.data.official.arthritis import CONCEPTS
from ...processing.data.official.chd_cxr import CLASSES
from ...processing.data.official.vindr_pcxr import LABELS
from ...processing.data.sample import Sample

COLUMNS = ("findings", "body_part")


@dataclass(frozen=True)
class ProbeTask:
    """A row: labels that an image may have several of, or classes of which it has exactly one."""

    name: str
    asks: str
    labels: tuple[str, ...]  # as the samples spell them
    exclusive: bool = False  # classes
    column: str = "findings"  # or body_part: where a sample has them
    min_images: int = 5  # with a label, and without it, in train and in test each; ours, as in prompts.yaml

    def __post_init__(self):
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"{self.name}: the labels are {self.labels}; give at least one, each once")
        if self.exclusive and len(self.labels) < 2:
            raise ValueError(f"{self.name}: {self.labels[0]!r} is the only class; classes are told from each other")
        if self.column not in COLUMNS:
            raise ValueError(f"{self.name}: the column is {self.column!r}; it is one of {', '.join(COLUMNS)}")
        if self.min_images < 1:
            raise ValueError(f"{self.name}: min_images is {self.min_images}; an AUC needs one image of each kind")


QUESTIONS: Mapping[str, ProbeTask] = {
    task.name: task
    for task in (
        ProbeTask(
            "vindr-pcxr",
            "which of 14 diagnoses a child's chest has",
            tuple(name for name in LABELS.values() if name != "no finding"),
        ),
        ProbeTask(
            "chd-cxr", "which congenital heart defect a child has, or none", tuple(CLASSES.values()), exclusive=True
        ),
        ProbeTask("arthritis", "whether a joint shows arthritis", ("arthritis",)),
        ProbeTask("grazpedwri-dx", "whether a wrist is fractured", ("fracture",)),
        ProbeTask("arthritis-concepts", "which of six signs of arthritis a joint shows", CONCEPTS),
    )
}


def labels_of(task: ProbeTask, samples: Sequence[Sample]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Which image has which label, as bools (N, C), and the labels' names.

    An image with none of the labels is a negative of each. Raises ValueError where an image has not exactly one of the
    classes of an exclusive task.
    """
    has = np.zeros((len(samples), len(task.labels)), dtype=bool)
    for place, sample in enumerate(samples):
        own = sample.findings if task.column == "findings" else (sample.body_part,)
        has[place] = [label in own for label in task.labels]
    if task.exclusive and (wrong := int((has.sum(1) != 1).sum())):
        raise ValueError(
            f"{wrong} of {len(samples)} images have none or several of the classes {', '.join(task.labels)} in their "
            f"{task.column}, and {task.name} tells classes apart; leave them out, or ask for labels (exclusive=False)"
        )
    return has, task.labels


def body_part_task(samples: Sequence[Sample]) -> ProbeTask:
    """The question which body part an image shows, of those that these samples have."""
    parts = tuple(sorted({sample.body_part for sample in samples if sample.body_part}))
    if len(parts) < 2:
        raise ValueError(
            f"{len(samples)} images show {', '.join(parts) or 'no named body part'}; telling parts apart takes two"
        )
    return ProbeTask("body-part", "which body part an image shows", parts, column="body_part")
