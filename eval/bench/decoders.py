"""Light decoders from a ViT's patches to masks: progressive upsampling (SETR-PUP), and one with skips (UNETR).

SETR-PUP is Zheng et al. 2021, with MGCA's widths (Wang et al. 2022: 512, 256, 128, 64); UNETR is Hatamizadeh et al.
2022, here with one convolution where it has two. What PedCLIP's authors used is not known: both are our choice.
"""

# Shapes: B batch, L levels (the deepest last), D width of the tower, h and w the patches' grid, C classes
from collections.abc import Callable

import torch
from torch import nn

WIDTHS = (512, 256, 128, 64)  # MGCA's
NARROWEST = 4
RARE = -2.0  # the first logit everywhere: most pixels are no bone, and the first epochs need not learn that


def scaled_widths(share: float) -> list[int]:
    """MGCA's widths times `share`, at least 4 each."""
    if not share > 0:
        raise ValueError(f"width is {share}; it is a share of {WIDTHS}, above 0: 0.25 trains in seconds on a CPU")
    return [max(NARROWEST, round(width * share)) for width in WIDTHS]


def _convolved(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU())


def _doubled(inside: int, outside: int) -> nn.Sequential:
    """A learned upsampling by two, as UNETR has it."""
    return nn.Sequential(nn.ConvTranspose2d(inside, outside, 2, stride=2), nn.BatchNorm2d(outside), nn.ReLU())


class ProgressiveUpsampling(nn.Module):
    """SETR-PUP: four times convolution, norm, activation and upsampling by two; then one convolution."""

    levels = 1

    def __init__(self, hidden_size: int, classes: int, widths: list[int]):
        super().__init__()
        stages: list[nn.Module] = []
        for inside, outside in zip([hidden_size, *widths], widths, strict=False):
            stages += [_convolved(inside, outside), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)]
        self.stages = nn.Sequential(*stages)
        self.head = nn.Conv2d(widths[-1], classes, 3, padding=1)
        nn.init.constant_(self.head.bias, RARE)  # type: ignore[arg-type]

    def forward(self, maps: torch.Tensor, pixel_values: torch.Tensor) -> torch.Tensor:
        """(B, L, D, h, w), (B, channels, H, W) -> logits (B, C, 16 h, 16 w). Reads the deepest level alone."""
        return self.head(self.stages(maps[:, -1]))


class SkipDecoder(nn.Module):
    """UNETR's way: the deepest patches upsampled by two four times, each time joined with an earlier level's.

    A ViT has one grid, so a level is upsampled to where it joins by as many learned steps; the last joins the image
    itself.
    """

    levels = 4

    def __init__(self, hidden_size: int, classes: int, widths: list[int]):
        super().__init__()
        self.up = nn.ModuleList(
            _doubled(inside, outside) for inside, outside in zip([hidden_size, *widths], widths, strict=False)
        )
        self.lateral = nn.ModuleList(
            nn.Sequential(_doubled(hidden_size, width), *(_doubled(width, width) for _ in range(place)))
            for place, width in enumerate(widths[:-1])
        )
        self.image = _convolved(1, widths[-1])
        self.join = nn.ModuleList(_convolved(2 * width, width) for width in widths)
        self.head = nn.Conv2d(widths[-1], classes, 1)
        nn.init.constant_(self.head.bias, RARE)  # type: ignore[arg-type]

    def forward(self, maps: torch.Tensor, pixel_values: torch.Tensor) -> torch.Tensor:
        """(B, L, D, h, w), (B, channels, H, W) -> logits (B, C, 16 h, 16 w)."""
        decoded = maps[:, -1]
        for place, (up, join) in enumerate(zip(self.up, self.join, strict=True)):
            decoded = up(decoded)
            if place < len(self.lateral):
                skip = self.lateral[place](maps[:, -2 - place])
            else:
                grey = pixel_values.mean(1, keepdim=True)
                size = decoded.shape[-2:]
                if grey.shape[-2:] != size:  # patches of another size than 16
                    grey = nn.functional.interpolate(grey, size=size, mode="bilinear", antialias=True)
                skip = self.image(grey)
            decoded = join(torch.cat((decoded, skip), dim=1))
        return self.head(decoded)


Decoder = ProgressiveUpsampling | SkipDecoder
DECODERS: dict[str, Callable[[int, int, list[int]], Decoder]] = {"setr": ProgressiveUpsampling, "unet": SkipDecoder}


def mask_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy plus soft Dice, both (B, C, H, W); bones overlap, so each class is a question of its own.

    Dice (Milletari et al. 2016) is taken over the batch, class by class: a class that the batch lacks asks for
    nothing but silence. The 1 added to both sides keeps it defined there.
    """
    shares = logits.sigmoid()
    overlap = (shares * truth).sum((0, 2, 3))
    total = (shares + truth).sum((0, 2, 3))
    soft_dice = (2 * overlap + 1) / (total + 1)
    return nn.functional.binary_cross_entropy_with_logits(logits, truth) + (1 - soft_dice).mean()
