"""Varies training images the way radiographs vary: position, size, exposure, sharpness. All of it ours.

Each image has its own generator, so that its variation depends on nothing but that generator: not on the other images
of the batch, not on the process or worker that it runs in.
"""

# Shapes: B batch, C channels (1 for grey), H height, W width
import math
from collections.abc import Sequence

import torch
from torch.nn import functional as F

from ...configuration.data import AugmentConfig

DRAWS = 20  # uniform numbers for one image, drawn at once and always all: a setting does not shift the others' numbers


def augment(pixels: torch.Tensor, config: AugmentConfig, generators: Sequence[torch.Generator]) -> torch.Tensor:
    """Images in 0..1 (B, C, H, W), varied by `config`; returns them in 0..1."""
    if not config.enabled:
        return pixels
    uniform = torch.stack([torch.rand(DRAWS, generator=generator) for generator in generators])  # (B, DRAWS)
    signed = uniform * 2 - 1
    pixels = _move(pixels, config, signed[:, :5], flip=uniform[:, 5] < config.flip_chance)
    pixels = pixels.clone()
    for i in (uniform[:, 6] < config.low_resolution_chance).nonzero()[:, 0].tolist():
        pixels[i] = _at_low_resolution(pixels[i], 0.4 + 0.45 * float(uniform[i, 7]))
    blurred = (uniform[:, 8] < config.blur_chance).nonzero()[:, 0]
    if len(blurred):
        pixels[blurred] = _blur(pixels[blurred], sigma=0.3 + 0.9 * uniform[blurred, 9])
    pixels = _expose(pixels, config, signed[:, 10:13])
    if config.noise:
        for i, generator in enumerate(generators):
            grain = torch.randn(pixels.shape[2:], generator=generator)  # one for all channels: the image is grey
            pixels[i] += float(uniform[i, 13]) * config.noise * grain
    for i in (uniform[:, 14] < config.erase_chance).nonzero()[:, 0].tolist():
        _erase(pixels[i], uniform[i, 15:20])
    return pixels.clamp_(0, 1)


def _move(pixels: torch.Tensor, config: AugmentConfig, signed: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """Rotates, zooms, stretches, shifts and flips in one resampling; what comes from outside is black, as in films."""
    if not (config.rotation_degrees or config.scale or config.aspect or config.shift or config.flip_chance):
        return pixels
    if not (config.rotation_degrees or config.scale or config.aspect):
        return _shift_and_flip(pixels, signed[:, 3:5] * config.shift, flip)
    angle = signed[:, 0] * math.radians(config.rotation_degrees)
    zoom = torch.exp(-signed[:, 1] * config.scale)  # the grid is where pixels come from, so the inverse
    stretch = torch.exp(signed[:, 2] * config.aspect)
    across, down = signed[:, 3] * 2 * config.shift, signed[:, 4] * 2 * config.shift  # the grid goes from -1 to 1
    mirror = torch.where(flip, -1.0, 1.0)
    cos, sin = angle.cos(), angle.sin()
    rows = (
        torch.stack([cos * zoom * stretch * mirror, -sin * zoom * stretch, across], dim=1),
        torch.stack([sin * zoom / stretch * mirror, cos * zoom / stretch, down], dim=1),
    )
    grid = F.affine_grid(torch.stack(rows, dim=1), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, align_corners=False)


def _shift_and_flip(pixels: torch.Tensor, shares: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """By whole pixels, (across, down) as shares of the side: nothing is blurred, and it takes a tenth of the time."""
    height, width = pixels.shape[2:]
    moved = torch.zeros_like(pixels)
    across, down = (
        (column * side).round().int().tolist() for column, side in zip(shares.T, (width, height), strict=True)
    )
    for image, source, x, y in zip(moved, pixels, across, down, strict=True):
        rows, columns = slice(max(-y, 0), height - max(y, 0)), slice(max(-x, 0), width - max(x, 0))
        image[:, rows, columns] = source[:, max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)]
    moved[flip] = moved[flip].flip(-1)
    return moved


def _at_low_resolution(image: torch.Tensor, share: float) -> torch.Tensor:
    """As if the image had been stored smaller: some sources are 64 pixels wide."""
    height, width = image.shape[-2:]
    small = (max(1, round(height * share)), max(1, round(width * share)))
    shrunk = F.interpolate(image[None], small, mode="bilinear", antialias=True, align_corners=False)
    return F.interpolate(shrunk, (height, width), mode="bilinear", align_corners=False)[0]


def _blur(pixels: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Gaussian blur of each image with its own width, in pixels; shifted sums, as grouped convolutions are slow."""
    height, width = pixels.shape[2:]
    reach = 3
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma[:, None]) ** 2)
    weights = (weights / weights.sum(1, keepdim=True))[:, :, None, None, None]  # (B, taps, 1, 1, 1)
    padded = F.pad(pixels, (reach,) * 4, mode="replicate")
    taps = range(2 * reach + 1)
    rows = torch.stack([weights[:, tap] * padded[:, :, tap : tap + height] for tap in taps]).sum(0)
    return torch.stack([weights[:, tap] * rows[..., tap : tap + width] for tap in taps]).sum(0)


def _expose(pixels: torch.Tensor, config: AugmentConfig, signed: torch.Tensor) -> torch.Tensor:
    """Gamma, then contrast about the image's own mean, then brightness: what exposure and window settings change."""
    gamma, contrast, brightness = (column[:, None, None, None] for column in signed.unbind(1))
    if config.gamma:
        pixels = pixels.clamp(1e-4, 1) ** torch.exp(gamma * config.gamma)
    if config.contrast:
        mean = pixels.mean((2, 3), keepdim=True)
        pixels = (pixels - mean) * torch.exp(contrast * config.contrast) + mean
    return pixels + brightness * config.brightness


def _erase(image: torch.Tensor, uniform: torch.Tensor) -> None:
    """Fills one rectangle of the image with one grey, in place: no single spot may decide."""
    height, width = image.shape[-2:]
    tall, wide = (int(side * (0.1 + 0.25 * float(u))) for side, u in zip((height, width), uniform[:2], strict=True))
    top, left = int((height - tall + 1) * float(uniform[2])), int((width - wide + 1) * float(uniform[3]))
    image[:, top : top + tall, left : left + wide] = uniform[4]
