"""A fingerprint of a picture that survives another format, half or twice the size, and 8 bits for 16.

The film becomes 32 x 32 means. What is darker or lighter than its surroundings there is looked at twice: broadly, as
it is, and finely, each place by its own contrast, so that faint structures count as much as the outline. Both are
projected on random directions, 512 each, and the signs are kept; two pictures are one where both are near. The
directions come from a salt, so those of two salts cannot be compared. They are no secret, though: whoever
has salt and signs can compute a blurred 32 x 32 sketch of the film.

docs/statistics.md has how often it errs, by benchmarks/leakage.py. What is mirrored, turned, cropped or inverted is
not found.
"""

# Shapes: N images, H and W pixels, S = 32, B = 1024 bits, the first half broad and the other fine
import hashlib

import numpy as np
from PIL import Image

from ..processing.reading_pedclip import read_radiograph

SIDE = 32
BROAD, FINE = 3, 2  # cells on each side that count as surroundings
HALF = 512
BITS = 2 * HALF
MOST_BROAD, MOST_FINE = 64, 96  # of 512: with more differences in either, two pictures are not one
FLOOR = 0.01  # of the film's own spread: below it, a place's contrast is noise
ROWS_AT_ONCE = 1024
FEATURELESS = 1e-3  # grey levels: below this spread there is nothing to know a picture by


def directions(salt: bytes) -> np.ndarray:
    """(2, S * S, HALF): what pictures are projected on."""
    seed = int.from_bytes(hashlib.sha256(b"directions" + salt).digest(), "big")
    return np.random.default_rng(seed).standard_normal((2, SIDE * SIDE, HALF)).astype(np.float32)


def picture_bits(content: bytes, onto: np.ndarray) -> np.ndarray | None:
    """The fingerprint (B / 8,) of an image file's bytes, as uint8; None for a picture of one shade.

    Raises UnreadableImageError where the bytes are no image.
    """
    details = picture_details(content)
    return None if details is None else signs_of(details[None], onto)[0]


def picture_details(content: bytes) -> np.ndarray | None:
    """What a fingerprint is made from, (2, S * S), of an image file's bytes; None for a picture of one shade."""
    return local_contrast(read_radiograph(content).pixels)


def signs_of(details: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """(N, 2, S * S) -> fingerprints (N, B / 8), uint8."""
    projected = [details[:, which] @ onto[which] for which in range(2)]
    return np.packbits(np.concatenate(projected, axis=1) > 0, axis=1)


def local_contrast(pixels: np.ndarray) -> np.ndarray | None:
    """(H, W) or (H, W, 3) -> (2, S * S): each cell less its surroundings, broad and fine; None where all are alike."""
    grey = pixels.mean(-1) if pixels.ndim == 3 else pixels
    film = Image.fromarray(grey.astype(np.float32))
    cells = np.asarray(film.resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)
    broad = cells - _around(cells, BROAD)
    fine = cells - _around(cells, FINE)
    if np.abs(broad).max() < FEATURELESS:
        return None
    fine = fine / (np.sqrt(_around(fine**2, FINE)) + FLOOR * cells.std())
    details = np.stack([broad, fine]).reshape(2, -1)
    return (details - details.mean(1, keepdims=True)).astype(np.float32)


def nearest(some: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, B / 8) and (M, B / 8) -> for each of N the nearest of M: its place, and how far apart they are.

    Apart is the larger of broad and fine differences, each in parts of its limit: up to 1 two pictures are one.
    """
    places, distances = np.zeros(len(some), int), np.full(len(some), np.inf)
    signs = _signs(some)
    for first in range(0, len(others), ROWS_AT_ONCE):
        rows = _signs(others[first : first + ROWS_AT_ONCE])
        broad, fine = ((HALF - one @ other.T) / 2 for one, other in zip(signs, rows, strict=True))  # (N, rows)
        apart = np.maximum(broad / MOST_BROAD, fine / MOST_FINE)
        place = apart.argmin(1)
        least = apart[np.arange(len(some)), place]
        closer = least < distances
        places[closer], distances[closer] = first + place[closer], least[closer]
    return places, distances


def _signs(bits: np.ndarray) -> np.ndarray:
    """(N, B / 8) -> (2, N, HALF) of -1 and 1."""
    signs = np.unpackbits(bits, axis=1).astype(np.float32) * 2 - 1
    return signs.reshape(len(bits), 2, HALF).swapaxes(0, 1)


def _around(cells: np.ndarray, reach: int) -> np.ndarray:
    """Each cell's mean with those up to `reach` away, edges repeated."""
    padded = np.pad(cells, reach, mode="edge")
    width = 2 * reach + 1
    return np.lib.stride_tricks.sliding_window_view(padded, (width, width)).mean((2, 3))
