"""Pictures that are no radiographs, made offline: what a model should not take for a body part.

Noise, gradients and text pages are drawn; textures are grey crops of the photographs that come with scikit-image and
scikit-learn (the `eval` extra).
"""

# Shapes: H and W pixels
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 256
PHOTOGRAPHS = ("astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "moon", "rocket")
WORDS = (
    "the patient was seen on monday and a film of it will be sent by post with the next letter to our office".split()
)


def no_xray_pictures(count: int, seed: int = 0, side: int = SIDE) -> list[tuple[str, np.ndarray]]:
    """`count` of (what it is made of, uint8 (side, side)), the kinds in turn; the same seed gives the same pictures.

    Crops of one photograph have the same name: they are no more independent than films of one patient.
    """
    if count < 1:
        raise ValueError(f"count is {count}; draw one picture or more")
    random = np.random.default_rng(seed)
    return [KINDS[number % len(KINDS)](random, side, number) for number in range(count)]


def _noise(random: np.random.Generator, side: int, number: int) -> tuple[str, np.ndarray]:
    cells = int(random.choice([8, 32, side]))
    coarse = Image.fromarray(random.integers(0, 256, (cells, cells), dtype=np.uint8))
    return f"noise {number}", np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))


def _gradient(random: np.random.Generator, side: int, number: int) -> tuple[str, np.ndarray]:
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    angle, radial = random.uniform(0, 2 * np.pi), random.random() < 0.5
    ramp = np.hypot(x - random.uniform(-1, 1), y) if radial else np.cos(angle) * x + np.sin(angle) * y
    return f"gradient {number}", (255 * (ramp - ramp.min()) / np.ptp(ramp)).astype(np.uint8)


def _text(random: np.random.Generator, side: int, number: int) -> tuple[str, np.ndarray]:
    dark = bool(random.random() < 0.5)
    page = Image.new("L", (side, side), 0 if dark else 255)
    height = int(random.integers(10, 25))
    font = ImageFont.load_default(height)
    for top in range(height, side - height, int(height * 1.4)):
        line = " ".join(random.choice(WORDS, 12))
        ImageDraw.Draw(page).text((height, top), line, fill=255 if dark else 0, font=font)
    return f"text {number}", np.asarray(page)


def _texture(random: np.random.Generator, side: int, number: int) -> tuple[str, np.ndarray]:
    from skimage import data
    from sklearn.datasets import load_sample_image

    name = str(random.choice([*PHOTOGRAPHS, "china.jpg", "flower.jpg"]))
    picture = load_sample_image(name) if name.endswith(".jpg") else getattr(data, name)()
    grey = Image.fromarray(picture).convert("L")
    width = int(random.integers(min(grey.size) // 2, min(grey.size) + 1))
    left, top = (int(random.integers(0, extent - width + 1)) for extent in grey.size)
    return f"texture of {name}", np.asarray(grey.crop((left, top, left + width, top + width)).resize((side, side)))


KINDS: tuple[Callable[[np.random.Generator, int, int], tuple[str, np.ndarray]], ...] = (
    _noise,
    _gradient,
    _text,
    _texture,
)
