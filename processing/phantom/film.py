"""What the detector makes of the optical depth: blur, scatter, noise, the window, collimation and the side marker."""

# Shapes: S side in pixels
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

QUANTA = 1000.0  # detected on average behind the part, by a pixel of a 128-pixel film, at dose 1: 3 % noise
REFERENCE_SIDE = 128
WHITE = 4095  # 12 bits


@dataclass(frozen=True)
class Exposure:
    """One exposure. Everything that is random about it is drawn before and apart from any finding."""

    dose: float = 1.0  # of QUANTA
    blur: float = 0.6  # standard deviation, in pixels of a 128-pixel film: focal spot and detector
    scatter: float = 0.25  # of the primary, where the part is thick
    slope: tuple[float, float] = (0.0, 0.0)  # heel effect: logarithm of the beam from the middle to the edge
    low: float = 0.0  # where the window begins and ends, shifts in its own width
    high: float = 0.0
    gamma: float = 1.0
    blades: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)  # collimated: left, top, right, bottom
    blade_turn: float = 0.0  # degrees
    shutter: bool = True  # what the blades hide is shown black; else as the unexposed film that it is, white
    marker: tuple[str, float, float, float] | None = None  # letter, x, y as shares, height as a share
    seed: int = 0


def draw_exposure(random: np.random.Generator, dose: float, letter: str | None) -> Exposure:
    """Settings as a busy department varies them; `letter` is the side marker's."""
    bounds = random.uniform(0.0, 0.09, 4)
    edge = int(random.integers(4))  # the marker lies near one of the corners
    near, far = 0.14 + 0.08 * random.random(), 0.86 - 0.08 * random.random()  # inside the blades
    x, y = ((near, near), (far, near), (near, far), (far, far))[edge]
    marked = random.random() < 0.85
    height = float(random.uniform(0.05, 0.085))
    return Exposure(
        dose=dose,
        blur=float(random.uniform(0.45, 0.75)),
        scatter=float(random.uniform(0.1, 0.4)),
        slope=(float(random.normal(0, 0.18)), float(random.normal(0, 0.18))),
        low=float(random.normal(0, 0.07)),
        high=float(random.normal(0, 0.09)),
        gamma=float(np.exp(random.normal(0, 0.18))),
        blades=(float(bounds[0]), float(bounds[1]), float(1 - bounds[2]), float(1 - bounds[3])),
        blade_turn=float(random.normal(0, 1.5)),
        shutter=bool(random.random() < 0.8),
        marker=(letter, float(x), float(y), height) if letter and marked else None,
        seed=int(random.integers(2**63)),
    )


def expose(depth: np.ndarray, tissue: np.ndarray, exposure: Exposure) -> np.ndarray:
    """The 12-bit picture (S, S) uint16 of an optical depth: bone white, air black. `tissue` is its thickness in mm."""
    random = np.random.Generator(np.random.SFC64(exposure.seed))
    counts = random.poisson(quanta(depth, tissue, exposure)).astype(np.float32)
    return _shown(counts, tissue, _beam(depth.shape[0], exposure)[1], exposure)


def quanta(depth: np.ndarray, tissue: np.ndarray, exposure: Exposure) -> np.ndarray:
    """How many quanta each pixel detects on average (S, S)."""
    beam, open_ = _beam(depth.shape[0], exposure)
    signal = detected(depth, tissue, exposure, beam)
    return signal * exposure_factor(signal, tissue, open_, exposure)


def detected(depth: np.ndarray, tissue: np.ndarray, exposure: Exposure, beam: np.ndarray) -> np.ndarray:
    """Primary (Beer-Lambert) after blur, and scatter, for a beam of 1 before the part."""
    side = depth.shape[0]
    primary = beam * np.exp(-depth)
    narrow = _gaussian(side, round(exposure.blur * side / REFERENCE_SIDE, 2))
    wide = _gaussian(side, round(0.09 * side, 2))
    thick = float(1 - np.exp(-tissue.mean() / 80))
    return narrow @ primary @ narrow.T + exposure.scatter * thick * (wide @ primary @ wide.T)


def exposure_factor(signal: np.ndarray, tissue: np.ndarray, open_: np.ndarray, exposure: Exposure) -> float:
    """Quanta for one unit of signal: automatic exposure gives the detector behind the part the same dose always."""
    side = signal.shape[0]
    behind = (tissue > 1) & open_
    mean = float(signal[behind].mean()) if behind.any() else float(signal.mean())
    return exposure.dose * QUANTA * (REFERENCE_SIDE / side) ** 2 / max(mean, 1e-6)


def _shown(counts: np.ndarray, tissue: np.ndarray, open_: np.ndarray, exposure: Exposure) -> np.ndarray:
    density = -np.log(counts + 1)
    behind = density[(tissue > 1) & open_][::5]
    seen = behind if len(behind) > 20 else density.ravel()
    ranked = np.sort(seen)
    bottom, top = ranked[int(0.01 * len(ranked))], ranked[int(0.995 * (len(ranked) - 1))]
    width = max(top - bottom, 0.3)
    low, high = bottom - (0.12 + exposure.low) * width, top + (0.1 + exposure.high) * width
    shown = np.clip((density - low) / max(high - low, 0.2), 0, 1) ** exposure.gamma
    if exposure.marker is not None:
        shown = np.maximum(shown, _letter(counts.shape[0], exposure.marker))
    shown[~open_] = 0.0 if exposure.shutter else 0.97
    return (shown * WHITE + 0.5).astype(np.uint16)


def _beam(side: int, exposure: Exposure) -> tuple[np.ndarray, np.ndarray]:
    """The beam before the part, and where the blades let it through (S, S)."""
    x, y = _grid(side)
    beam = np.exp(exposure.slope[0] * x + exposure.slope[1] * y)
    turn = np.deg2rad(exposure.blade_turn)
    across, down = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    left, top, right, bottom = (2 * edge - 1 for edge in exposure.blades)
    open_ = (across > left) & (across < right) & (down > top) & (down < bottom)
    return np.where(open_, beam, np.float32(0.004)), open_


@cache
def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of every pixel from -1 to 1 (1, S), (S, 1)."""
    line = (np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1
    return line[None, :], line[:, None]


@cache
def _gaussian(side: int, deviation: float) -> np.ndarray:
    """(S, S): blurs a column by a matrix product; at the border the weights that are left are scaled to 1."""
    place = np.arange(side)
    weights = np.exp(-0.5 * ((place[:, None] - place) / max(deviation, 1e-3)) ** 2)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


@cache
def _glyph(letter: str, height: int) -> np.ndarray:
    """A letter of lead as the film shows it (h, w), drawn once large and scaled down."""
    large = Image.new("L", (64, 64))
    ImageDraw.Draw(large).text((8, 0), letter, fill=255, font=ImageFont.load_default(56))
    box = large.getbbox() or (0, 0, 1, 1)
    cut = large.crop(box)
    width = max(2, round(height * cut.width / cut.height))
    return np.asarray(cut.resize((width, height), Image.Resampling.BOX), np.float32) / 255


def _letter(side: int, marker: tuple[str, float, float, float]) -> np.ndarray:
    letter, x, y, share = marker
    glyph = _glyph(letter, max(5, round(share * side)))
    out = np.zeros((side, side), np.float32)
    top = int(np.clip(round(y * side - glyph.shape[0] / 2), 0, side - glyph.shape[0]))
    left = int(np.clip(round(x * side - glyph.shape[1] / 2), 0, side - glyph.shape[1]))
    out[top : top + glyph.shape[0], left : left + glyph.shape[1]] = glyph * 0.97
    return out
