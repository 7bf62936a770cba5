"""Questions whose answers are known: embeddings, or small images, in which labels were planted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from PIL import Image

from pedclip.configuration.data import DataConfig
from pedclip.eval.bench.asked import Asked
from pedclip.eval.embeddings import EmbeddedImages
from pedclip.processing.data.official.readers import official_reader
from pedclip.processing.data.sample import Sample
from pedclip.processing.phantom.official import write_official

SPLITS = ("train", "validation", "test")


def auc_of_gaussians(distance: float) -> float:
    """The best AUC between two round Gaussians of unit variance whose means are that far apart."""
    return NormalDist().cdf(distance / 2**0.5)


def sample(number: int, split: str = "test", patient: str | None = None, **known: Any) -> Sample:
    return Sample(
        path=Path(f"{split}{number}.png"),
        file_name=f"{split}{number}.png",
        body_part=known.pop("body_part", "chest"),
        patient_id=patient or f"{split}-{number}",
        split=split,
        **known,
    )


def asked_of(embeds: Mapping[str, np.ndarray], samples: Mapping[str, Sequence[Sample]], **settings: Any) -> Asked:
    """Embeddings by split as a method is given them; no model, no files."""
    splits = {
        split: EmbeddedImages(list(samples[split]), embeds[split], [], [-100] * len(samples[split]))
        for split in embeds
    }
    settings = {"tested": None, "data": DataConfig(path="nowhere"), "resamples": 50, **settings}
    return Asked(splits=splits, **settings)


def gaussians(
    labels: Sequence[str] = ("pneumonia",),
    distance: float = 1.5,
    sizes: Sequence[int] = (1000, 300, 1000),
    width: int = 8,
    seed: int = 0,
    images_of_a_patient: int = 1,
    common: float = 0.5,
) -> Asked:
    """Each label moves the embedding by `distance` along an axis of its own."""
    random = np.random.default_rng(seed)
    embeds, samples = {}, {}
    for split, size in zip(SPLITS, sizes, strict=True):
        has = random.random((size, len(labels))) < common
        embeds[split] = random.standard_normal((size, width))
        embeds[split][:, : len(labels)] += distance * has
        samples[split] = [
            sample(
                number,
                split,
                f"{split}-{number // images_of_a_patient}",
                findings=tuple(label for label, here in zip(labels, row, strict=True) if here) or ("no finding",),
            )
            for number, row in enumerate(has)
        ]
    return asked_of(embeds, samples)


def with_samples(asked: Asked, split: str, samples: Sequence[Sample]) -> Asked:
    """The same embeddings, with other samples in one split."""
    return replace(asked, splits={**asked.splits, split: replace(asked.splits[split], samples=list(samples))})


def dealt(asked: Asked, split: str, seed: int = 1) -> Asked:
    """The labels of one split dealt out anew among its images."""
    images = asked.splits[split].samples
    order = np.random.default_rng(seed).permutation(len(images))
    return with_samples(
        asked,
        split,
        [
            replace(
                one,
                findings=images[other].findings,
                bone_age_months=images[other].bone_age_months,
                sex=images[other].sex,
            )
            for one, other in zip(images, order, strict=True)
        ],
    )


def scores_of(predictions: Mapping[str, Sequence[Any]]) -> dict[str, list[float]]:
    return {name: list(column) for name, column in predictions.items() if name.startswith("score")}


def stripes(folder: Path, tested: Any, images: int = 48, seed: int = 0) -> Asked:
    """Noisy images with stripes across (fracture) or down (no fracture); their contrast is the bone age."""
    random = np.random.default_rng(seed)
    samples: dict[str, list[Sample]] = {split: [] for split in SPLITS}
    for split in SPLITS:
        for number in range(images):
            across = number % 2 == 0
            strength = random.uniform(20, 60)
            wave = strength * np.sign(np.sin(np.arange(32) * np.pi / 2 + random.uniform(0, 6)))
            pixels = 128 + (wave[:, None] if across else wave[None]) + random.normal(0, 40, (32, 32))
            one = sample(
                number,
                split,
                findings=("fracture",) if across else ("no fracture",),
                body_part="wrist",
                sex="male" if number % 3 else "female",
                bone_age_months=3 * strength,
            )
            one = replace(one, path=folder / one.file_name)
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(one.path)
            samples[split].append(one)
    return embedded(tested, samples, DataConfig(path=str(folder)))


def embedded(tested: Any, samples: Mapping[str, Sequence[Sample]], data: DataConfig) -> Asked:
    splits = {split: tested.embed_images(list(samples[split]), data, labelled=False) for split in SPLITS}
    return Asked(tested, splits, data, resamples=50)


def phantom_tree(name: str, folder: Path, tested: Any, patients: int, seed: int = 0, side: int = 32) -> Asked:
    """A small official tree, written, read and embedded."""
    write_official(name, folder / name, patients=patients, seed=seed, side=side)
    samples = official_reader(name).read(folder / name).samples
    by_split = {split: [one for one in samples if one.split == split] for split in SPLITS}
    return embedded(tested, by_split, DataConfig(path=str(folder / name)))
