"""A fingerprint of a picture that survives another format, half or twice the size, and 8 bits for 16.

The film becomes 32 x 32 means; what is darker or lighter than its surroundings there is projected on 512 random
directions, and the signs are kept. The directions come from a salt, so two salts give fingerprints that cannot be
compared. They are no secret, though: whoever has salt and signs can compute a blurred 32 x 32 sketch of the film.

BENCHMARKED
"""

# Shapes: N images, H and W pixels, S = 32, B = 512 bits
import hashlib

import numpy as np
from PIL import Image

from ..processing.reading_pedclip import read_radiograph

SIDE = 32
AROUND = 3  # cells on each side that count as surroundings
BITS = 512
SAME = 56  # bits: as many differences, or fewer, and two pictures are one
ROWS_AT_ONCE = 1024
FEATURELESS = 1e-3  # grey levels: below this spread there is nothing to know a picture by


def directions(salt: bytes) -> np.ndarray:
    """(S * S, B): what pictures are projected on."""
    seed = int.from_bytes(hashlib.sha256(b"directions" + salt).digest(), "big")
    return np.random.default_rng(seed).standard_normal((SIDE * SIDE, BITS)).astype(np.float32)


def picture_bits(content: bytes, onto: np.ndarray) -> np.ndarray | None:
    """The fingerprint (B / 8,) of an image file's bytes, as uint8; None for a picture of one shade.

    Raises UnreadableImageError where the bytes are no image.
    """
    details = local_contrast(read_radiograph(content).pixels)
    return None if details is None else np.packbits(details @ onto > 0)


def local_contrast(pixels: np.ndarray) -> np.ndarray | None:
    """(H, W) or (H, W, 3) -> (S * S,): each cell's mean less that of its surroundings; None where all are alike."""
    grey = pixels.mean(-1) if pixels.ndim == 3 else pixels
    film = Image.fromarray(grey.astype(np.float32))
    cells = np.asarray(film.resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)
    padded = np.pad(cells, AROUND, mode="edge")
    width = 2 * AROUND + 1
    around = np.lib.stride_tricks.sliding_window_view(padded, (width, width)).mean((2, 3))
    details = (cells - around).reshape(-1)
    details -= details.mean()
    return None if np.abs(details).max() < FEATURELESS else details.astype(np.float32)


def nearest(some: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, B / 8) and (M, B / 8) -> for each of N the nearest of M, as its place and the number of bits that differ."""
    places, distances = np.zeros(len(some), int), np.full(len(some), BITS + 1)
    if not len(others):
        return places, distances
    signs = _signs(some)
    for first in range(0, len(others), ROWS_AT_ONCE):
        apart = (BITS - signs @ _signs(others[first : first + ROWS_AT_ONCE]).T) / 2  # (N, rows)
        place = apart.argmin(1)
        least = apart[np.arange(len(some)), place].round().astype(int)
        closer = least < distances
        places[closer], distances[closer] = first + place[closer], least[closer]
    return places, distances


def _signs(bits: np.ndarray) -> np.ndarray:
    return np.unpackbits(bits, axis=1).astype(np.float32) * 2 - 1
