"""The phantom as a `datasets` data set with typed features, made on the fly from a seed."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image

from .folder import FolderSettings
from .parts import PARTS
from .records import ARTHRITIS_CONCEPTS, FINDINGS
from .rows import films_of, studies_in

SPLITS = ("train", "validation", "test")


def features() -> Features:
    """The columns: `masks` holds a bone's or a finding's outline by name; ages are months, `dose` a share."""
    return Features(
        {
            "image": ImageFeature(),
            "text": Value("string"),
            "body_part": ClassLabel(names=list(PARTS)),
            "findings": List(ClassLabel(names=list(FINDINGS))),
            "concepts": List(ClassLabel(names=list(ARTHRITIS_CONCEPTS))),
            "severity": List(Value("float32")),
            "age_months": Value("int32"),
            "bone_age_months": Value("float32"),
            "sex": ClassLabel(names=["female", "male"]),
            "patient_id": Value("string"),
            "study_id": Value("string"),
            "laterality": ClassLabel(names=["none", "left", "right"]),
            "view": Value("string"),
            "masks": List({"name": Value("string"), "mask": ImageFeature()}),
            "dose": Value("float32"),
        }
    )


def phantom_dataset(patients: int, seed: int = 0, **settings: Any) -> DatasetDict:
    """{train, validation, test} of `patients` generated children, split by patient.

    `settings` are those of FolderSettings: side, bits (8, or 16 for all twelve), masks, dose, clinic, splits. A split
    that so few patients leave empty is missing.
    """
    chosen = FolderSettings(patients=patients, seed=seed, **settings)
    found = {}
    for split in SPLITS if chosen.split is None else (chosen.split,):
        if any(True for _ in studies_in(range(patients), seed, chosen.clinic, chosen.splits, split)):
            found[split] = Dataset.from_generator(
                _rows, features=features(), gen_kwargs={"settings": chosen, "split": split}, split=split
            )
    return DatasetDict(found)


def _rows(settings: FolderSettings, split: str) -> Iterator[dict[str, Any]]:
    kept = features().keys()
    studies = studies_in(range(settings.patients), settings.seed, settings.clinic, settings.splits, split)
    for _, study in studies:
        for row, film in films_of(study, side=settings.side, dose=settings.dose, masks=settings.masks):
            pixels = film.pixels if settings.bits == 16 else (film.pixels >> 4).astype(np.uint8)
            named = {f"bone-{name}": mask for name, mask in film.bones.items()}
            named |= {f"finding-{name}": mask for name, mask in film.marks.items()}
            row |= {
                "image": Image.fromarray(pixels),
                "laterality": row["laterality"] or "none",
                "masks": [
                    {"name": name, "mask": Image.fromarray(mask.astype(np.uint8) * 255)}
                    for name, mask in named.items()
                ],
            }
            yield {key: row[key] for key in kept}
