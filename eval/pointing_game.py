"""Does the map point at the finding? Its highest patch against the finding's outline, on phantom films with masks.

The pointing game (Zhang et al. 2016), by patches. A phantom's outline is known exactly; a hit shows that software and
map agree with it, and nothing about medicine.
"""

# Shapes: h and w the patches' grid
import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from ..configuration.data import DataConfig
from ..processing.data.sample import Sample
from .bench.masks import fit_mask
from .embeddings import ModelUnderTest
from .prompts import Question, question_file, questions
from .relevance import METHODS, relevance
from .statistics import RESAMPLES, estimate, paired_difference, share_metric

QUESTIONS = "phantom_prompts"
RULE = (
    "a hit: the map's highest patch is one that the finding's outline touches, or a neighbour of one (8 directions); "
    "of several highest patches the share that hits. Exact: without the neighbours. Off centre: the findings that the "
    "film's middle misses"
)


@dataclass(frozen=True)
class Target:
    """A film, a finding on it, and the patches that count as a hit."""

    sample: Sample
    finding: str
    text: str
    against: str
    hits: np.ndarray  # (h, w) bool, with the neighbours
    exact: np.ndarray  # (h, w) bool, without


def targets(
    tested: ModelUnderTest, samples: Sequence[Sample], data: DataConfig, asked: str = QUESTIONS
) -> list[Target]:
    """Every finding of every film that has its outline (`pedclip phantom OUT --masks`) and a question in `asked`.

    The text is the question's first prompt with the finding's first words, against the same prompt without a finding,
    as classification asks it.
    """
    by_finding = _by_finding(asked)
    config = tested.model.config.vision_config
    found = []
    for sample in samples:
        part = sample.body_part
        masks = sample.row.get("masks") or {}
        for finding in sample.findings:
            name = masks.get(f"finding-{finding}")
            question = by_finding.get(finding)
            if name is None or question is None or not question.select([sample]).indices:
                continue
            mask = fit_mask(
                _drawn(sample, name), config.image_size, tested.processor.image_processor.keep_aspect_ratio
            )
            if not mask.any():  # thinner than half a pixel of the model's input
                continue
            there, none = list(question.classes or {})  # the finding, and without it
            text, against = (
                question.prompts_of(one, data.body_part_words, body_part=part)[0] for one in (there, none)
            )
            found.append(
                Target(sample, finding, text, against, *(touched(mask, config.patch_size, by) for by in (1, 0)))
            )
    if not found:
        raise ValueError(
            f"none of the {len(samples)} films has a finding with an outline that {asked} asks about; draw films with "
            "`pedclip phantom OUT --masks` and read that folder"
        )
    return found


def touched(mask: np.ndarray, patch_size: int, dilation: int) -> np.ndarray:
    """(H, W) -> (h, w): the patches that hold a pixel of the mask, and those up to `dilation` patches away."""
    height, width = (side // patch_size for side in mask.shape)
    patches = mask[: height * patch_size, : width * patch_size].reshape(height, patch_size, width, patch_size)
    here = torch.from_numpy(patches.any((1, 3))).float()[None]
    return torch.nn.functional.max_pool2d(here, 2 * dilation + 1, stride=1, padding=dilation)[0].numpy() > 0


def hit(found: np.ndarray, hits: np.ndarray) -> float:
    """The share of the highest patches that hit: 0 or 1, but where patches tie."""
    return float(hits[found == found.max()].mean())


def centre(hits: np.ndarray) -> float:
    """What always pointing at the film's middle gives; between patches, the mean of those that meet there."""
    rows, columns = (slice((side - 1) // 2, side // 2 + 1) for side in hits.shape)
    return float(hits[rows, columns].mean())


def pointing_game(
    tested: ModelUnderTest,
    samples: Sequence[Sample],
    data: DataConfig,
    method: str = "attention",
    *,
    asked: str = QUESTIONS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """The hit rate of a method's maps over all findings, with its interval over patients and by finding.

    Beside it on the same films: pointing at the film's middle, a random map (by `seed`), and chance, the share of
    patches that would be a hit. On a coarse grid these are high, so the same is told of exact hits, and of the
    findings that the middle misses.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; choose one of {', '.join(METHODS)}")
    asked_of = targets(tested, samples, data, asked)
    found = [
        relevance(tested.model, tested.processor, str(one.sample.path), one.text, method, against=one.against).map
        for one in tqdm(asked_of, desc=f"Pointing, {method}", unit="map")
    ]
    patients = np.array([target.sample.patient_id for target in asked_of])
    random = np.random.default_rng(seed)
    noise = [random.random(one.shape) for one in found]

    def rates(areas: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        return {
            "map": np.array([hit(*pair) for pair in zip(found, areas, strict=True)]),
            "centre": np.array([centre(area) for area in areas]),
            "random_map": np.array([hit(*pair) for pair in zip(noise, areas, strict=True)]),
            "chance": np.array([area.mean() for area in areas]),
        }

    def told(rates: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, Any]:
        of_rows = patients[rows].tolist()
        metrics = {name: share_metric(values[rows]) for name, values in rates.items()}
        drawing = {"resamples": resamples, "seed": seed}
        return {
            **estimate(metrics["map"], of_rows, **drawing).to_dict(),
            "chance": float(rates["chance"][rows].mean()),
            **{name: estimate(metrics[name], of_rows, **drawing).to_dict() for name in ("centre", "random_map")},
            **{
                f"above_{name}": paired_difference(metrics["map"], metrics[name], of_rows, **drawing).to_dict()
                for name in ("chance", "centre")
            },
        }

    near, exact = rates([one.hits for one in asked_of]), rates([one.exact for one in asked_of])
    everything = np.arange(len(asked_of))
    off_centre = np.flatnonzero(near["centre"] == 0)
    names = np.array([target.finding for target in asked_of])
    return {
        "asks": "whether the map's highest patch lies on the finding",
        "kind": f"pointing game on phantom films, {method}: software, not medicine",
        "metric": "hit rate",
        **told(near, everything),
        "rule": RULE,
        "exact": told(exact, everything),
        "off_centre": {
            key: value
            for key, value in told(near, off_centre).items()
            if "centre" not in key  # 0 by the choice of rows
        }
        if len(off_centre)
        else None,
        "classes": [
            {"class": name, **told(near, np.flatnonzero(names == name))} for name in sorted(set(names.tolist()))
        ],
    }


def weights_matter(
    tested: ModelUnderTest,
    samples: Sequence[Sample],
    data: DataConfig,
    method: str = "attention",
    *,
    asked: str = QUESTIONS,
    seed: int = 0,
) -> float:
    """How alike the maps are to those of an image tower with shuffled weights: the mean rank correlation over films.

    The check of Adebayo et al. 2018: near 1, the map would show the film and not what the model learned. Each tensor's
    entries are shuffled among themselves, so that their sizes stay.
    """
    model = copy.deepcopy(tested.model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.vision_model.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    shuffled = replace(tested, model=model)
    likenesses = []
    for target in tqdm(targets(tested, samples, data, asked), desc=f"Shuffled weights, {method}", unit="map"):
        maps = [
            relevance(
                one.model, one.processor, str(target.sample.path), target.text, method, against=target.against
            ).map
            for one in (tested, shuffled)
        ]
        likenesses.append(rank_correlation(*maps))
    return float(np.mean(likenesses))


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, of two maps; patches that tie share their mean rank, and a flat map is like nothing (0)."""
    ranks = []
    for values in (one.ravel(), other.ravel()):
        _, of_value, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[of_value])
    if min(np.ptp(rank) for rank in ranks) == 0:
        return 0.0
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def _by_finding(asked: str) -> dict[str, Question]:
    found = {}
    for question in questions(question_file(asked)).values():
        if question.column == "findings" and question.classes and len(question.classes) == 2:
            rule = next(iter(question.classes.values()))
            for finding in rule.get("is", ()):
                found[finding] = question
    return found


def _drawn(sample: Sample, name: str) -> np.ndarray:
    """A mask of an imagefolder; its name stands in the row as the film's does, from the folder on."""
    folder = Path(*sample.path.parts[: len(sample.path.parts) - len(Path(sample.file_name).parts)])
    with Image.open(folder / name) as file:
        return np.asarray(file.convert("L")) > 127
