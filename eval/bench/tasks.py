"""The table: eleven tasks of the paper, and the rows beside them. A new task is one row, and at most one function."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .asked import Answer, Asked
from .before_after import before_less_after
from .bone_age import bone_age, tuned_bone_age
from .concepts import concept_alignment, concept_directions
from .finetune import finetune
from .probe import linear_probe
from .questions import QUESTIONS, body_part_task
from .radclip_tasks import image_only, image_text_matching
from .segmentation import segmentation
from .zero_shot import zero_shot

Method = Callable[[Asked, Path], Answer]


@dataclass(frozen=True)
class BenchTask:
    """A row: `method(asked, prompts_file)` on one official data set."""

    name: str
    title: str
    data_set: str  # a reader of processing/data/official, and the name of its folder in the data root
    method: Method
    of_the_paper: bool = False  # one of the eleven
    lower_is_better: bool = False


CLASSIFIED = {
    "vindr-pcxr": "Pedi-CXR",
    "chd-cxr": "CHD-CXR",
    "arthritis": "arthritis",
    "grazpedwri-dx": "wrist fracture",
}
SHARES = {"1-percent": 0.01, "10-percent": 0.1}


def _asks(entry: str) -> Method:
    return lambda asked, prompts: zero_shot(asked, entry, prompts)


def _probes(entry: str, share: float = 1.0) -> Method:
    return lambda asked, prompts: linear_probe(asked, QUESTIONS[entry], share)


def _tunes(entry: str) -> Method:
    return lambda asked, prompts: finetune(asked, QUESTIONS[entry])


def _outlines(decoder: str, features: str, tuned: bool = False) -> Method:
    return lambda asked, prompts: segmentation(asked, decoder, features, tuned)


def _which_part(asked: Asked, prompts: Path) -> Answer:
    return image_only(asked, body_part_task(asked.splits["train"].samples))


TASKS = {
    task.name: task
    for task in (
        *(
            BenchTask(f"zero-shot-{name}", f"Zero-shot, {title}", name, _asks(name), of_the_paper=True)
            for name, title in CLASSIFIED.items()
        ),
        *(
            BenchTask(f"probe-{name}", f"Linear probe, {title}", name, _probes(name), of_the_paper=True)
            for name, title in CLASSIFIED.items()
        ),
        BenchTask(
            "segmentation", "Bones of the wrist", "grazpedwri-dx", _outlines("setr", "after"), of_the_paper=True
        ),
        BenchTask(
            "bone-age",
            "Bone age, months of error",
            "rsna-boneage",
            lambda asked, prompts: bone_age(asked),
            of_the_paper=True,
            lower_is_better=True,
        ),
        BenchTask(
            "concepts",
            "Concept alignment, arthritis",
            "arthritis",
            lambda asked, prompts: concept_alignment(asked),
            of_the_paper=True,
        ),
        # what stands beside the eleven, asked for by name
        *(
            BenchTask(
                f"probe-{name}-{share}", f"Linear probe, {title}, {share} of the labels", name, _probes(name, part)
            )
            for name, title in CLASSIFIED.items()
            for share, part in SHARES.items()
        ),
        *(
            BenchTask(f"finetune-{name}", f"Fine-tuned, {title}", name, _tunes(name))
            for name, title in CLASSIFIED.items()
        ),
        *(
            BenchTask(
                f"segmentation-{decoder}-{features}",
                f"Bones of the wrist, {decoder} on features {features} the last experts",
                "grazpedwri-dx",
                _outlines(decoder, features),
            )
            for decoder in ("setr", "unet")
            for features in ("before", "after")
            if (decoder, features) != ("setr", "after")
        ),
        BenchTask(
            "segmentation-before-less-after",
            "Bones of the wrist, features before less after the last experts",
            "grazpedwri-dx",
            lambda asked, prompts: before_less_after(asked),
        ),
        BenchTask(
            "segmentation-tuned", "Bones of the wrist, tower tuned", "grazpedwri-dx", _outlines("setr", "after", True)
        ),
        BenchTask(
            "bone-age-without-sex",
            "Bone age without the sex",
            "rsna-boneage",
            lambda asked, prompts: bone_age(asked, use_sex=False),
            lower_is_better=True,
        ),
        BenchTask(
            "bone-age-tuned",
            "Bone age, tower tuned",
            "rsna-boneage",
            lambda asked, prompts: tuned_bone_age(asked),
            lower_is_better=True,
        ),
        BenchTask("concepts-zero-shot", "Concepts by words", "arthritis", concept_directions),
        BenchTask("image-only", "RadCLIP: body part by neighbours", "arthritis", _which_part),
        BenchTask(
            "matching", "RadCLIP: image and text", "arthritis", lambda asked, prompts: image_text_matching(asked)
        ),
    )
}
