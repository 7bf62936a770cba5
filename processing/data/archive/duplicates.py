"""Images that are nearly the same: the same film stored twice, smaller, paler, or compressed again."""

# Shapes: N images, P pixels of a thumbnail
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

SIDE = 16  # of the thumbnail that stands for an image
# Ours, from phantom films and real radiographs: an image made smaller, paler and compressed again correlated .993 or
# more with itself, images of different patients .982 or less. The same film cropped or turned is not found.
LEAST_CORRELATION = 0.988
BLOCK = 4096
MOST_PAIRS = 100_000  # then the list ends: so many come of one picture in every study


class Pair(NamedTuple):
    """Two images, by their number, and how their thumbnails correlate."""

    first: int
    second: int
    correlation: float


def thumbnail(shown: np.ndarray) -> bytes:
    """256 grey values: an image's perceptual hash."""
    grey = Image.fromarray(shown).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(grey).tobytes()


def near_duplicates(thumbnails: Sequence[bytes], patients: Sequence[str]) -> list[Pair]:
    """Pairs of different patients whose thumbnails correlate at least LEAST_CORRELATION. Even images have no pair.

    Each is compared with each, in blocks: 20,000 images take seconds, 400,000 some minutes.
    """
    pixels = np.frombuffer(b"".join(thumbnails), np.uint8).reshape(len(thumbnails), SIDE * SIDE).astype(np.float32)
    pixels -= pixels.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(pixels, axis=1, keepdims=True)
    pixels = np.divide(pixels, norms, out=np.zeros_like(pixels), where=norms > 0)
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(patients))}
    owner = np.array([numbers[patient] for patient in patients])
    found: list[Pair] = []
    for first in tqdm(range(0, len(pixels), BLOCK), desc="near-duplicates", unit="block", disable=len(pixels) < BLOCK):
        for second in range(first, len(pixels), BLOCK):
            alike = pixels[first : first + BLOCK] @ pixels[second : second + BLOCK].T  # (BLOCK, BLOCK)
            rows, columns = np.nonzero(alike >= LEAST_CORRELATION)
            rows, columns, values = rows + first, columns + second, alike[rows, columns]
            wanted = np.flatnonzero((rows < columns) & (owner[rows] != owner[columns]))[: MOST_PAIRS - len(found)]
            found += [
                Pair(int(row), int(column), round(float(value), 4))
                for row, column, value in zip(rows[wanted], columns[wanted], values[wanted], strict=True)
            ]
    return sorted(found)
