"""Bone masks as the model sees them, and how well two sets of masks agree."""

# Shapes: N images, C classes, H and W pixels
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from ...processing.data.official.grazpedwri_dx import BONES
from ...processing.data.sample import Sample

CLASSES = tuple(sorted(BONES))
LEVELS = np.linspace(0.05, 0.95, 19)  # shares of the training images or likelihoods above which a mask says bone
FRONTAL = "1"  # GRAZPEDWRI-DX's column projection


def frontal_with_masks(samples: Sequence[Sample], split: str) -> list[int]:
    """The places of the images that have masks and whose row says that they are frontal, as the public split has it.

    The public masks have 21 lateral images too, and one patient who would then stand in train and test.
    """
    found = [place for place, sample in enumerate(samples) if sample.masks and sample.row.get("projection") == FRONTAL]
    if not found:
        raise ValueError(
            f"none of the {len(samples)} images of split {split} is frontal (projection {FRONTAL}) and has bone "
            "masks; put cvat_annotation_xml/ beside dataset.csv, or split so that every split has some"
        )
    return found


def is_right(sample: Sample) -> bool:
    return sample.row.get("laterality") == "R"


def draw_masks(samples: Sequence[Sample], side: int, image_processor: Any, mirror_right: bool) -> np.ndarray:
    """(N, C, side, side) bool: every bone as it lies in the model's input, right hands mirrored where asked.

    A pixel is bone where at least half of it is (area resampling, ours): a bone that is nowhere half of a pixel is
    absent at this side, and an image left with no bone at all is an error.
    """
    drawn = np.zeros((len(samples), len(CLASSES), side, side), bool)
    for place, sample in enumerate(tqdm(samples, desc="Bone masks", unit="image", leave=False)):
        for mask in sample.masks:
            if mask.label in BONES:
                fitted = fit_mask(mask.draw(), side, image_processor.keep_aspect_ratio)
                drawn[place, CLASSES.index(mask.label)] |= fitted
        if not drawn[place].any():
            raise ValueError(f"an image's masks all vanish at {side} x {side} pixels; ask for a larger side")
        if mirror_right and is_right(sample):
            drawn[place] = drawn[place, :, :, ::-1]
    return drawn


def fit_mask(mask: np.ndarray, side: int, keep_aspect_ratio: bool) -> np.ndarray:
    """(H, W) -> (side, side), stretched or fitted in and padded as the image processor does it with the film."""
    height, width = mask.shape
    scale = side / max(height, width)
    rows, columns = (
        (max(1, round(height * scale)), max(1, round(width * scale))) if keep_aspect_ratio else (side, side)
    )
    shares = Image.fromarray(mask.astype(np.float32)).resize((columns, rows), Image.Resampling.BOX)
    whole = np.zeros((side, side), bool)
    top, left = (side - rows) // 2, (side - columns) // 2
    whole[top : top + rows, left : left + columns] = np.asarray(shares) >= 0.5
    return whole


def dice(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N, C, H, W) twice -> (N, C): 2 |A and B| / (|A| + |B|), NaN where the truth has none of the class.

    The rule for absent classes is the public protocol's (MetaFormerMedImaging): what is predicted there costs nothing.
    """
    overlap = (predicted & truth).sum((2, 3)).astype(np.float64)
    total = predicted.sum((2, 3)) + truth.sum((2, 3))
    return np.divide(2 * overlap, total, out=np.full(overlap.shape, np.nan), where=truth.any((2, 3)))


def image_dice(scores: np.ndarray) -> np.ndarray:
    """(N, C) -> (N,): an image's mean over the classes that it has."""
    return np.nanmean(scores, axis=1)


def dice_of_pairs(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N, C, H, W) twice -> (N, N, C): dice() of each image's prediction, down, and each image's masks, across."""
    found = np.full((len(predicted), len(truth), truth.shape[1]), np.nan)
    for place in range(truth.shape[1]):
        one, other = (masks[:, place].reshape(len(masks), -1).astype(np.float32) for masks in (predicted, truth))
        having = np.flatnonzero(other.any(1))
        total = one.sum(1)[:, None] + other[having].sum(1)
        found[:, having, place] = 2 * (one @ other[having].T) / total
    return found


def constant_mask(truth: np.ndarray) -> np.ndarray:
    """(N, C, H, W) of the training images -> (C, H, W): the best mask that does not look at the image.

    Where a class lies in more than a share of the images that have it; the share, for each class, is the one with the
    best mean Dice on these images.
    """
    best = np.zeros(truth.shape[1:], bool)
    for place in range(truth.shape[1]):
        of_class = truth[:, place][truth[:, place].any((1, 2))].reshape(-1, best[place].size).astype(np.float32)
        if len(of_class):
            masks = of_class.mean(0) > LEVELS[:, None]  # (levels, pixels)
            overlap = of_class @ masks.T.astype(np.float32)
            total = of_class.sum(1)[:, None] + masks.sum(1)
            best[place] = masks[(2 * overlap / total).mean(0).argmax()].reshape(best[place].shape)
    return best
