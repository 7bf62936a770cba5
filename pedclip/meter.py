"""How much a training step computes, and how well the machine is used: pairs a second and model FLOPs utilization.

A multiply-add counts as two. Counted are the matrix products: norms, softmax and activations are left out, as is usual
for MFU (Chowdhery et al. 2022, appendix B), and so is what a backward computes a second time to save memory.
"""

# Shapes: T tokens of an image, D width, I width inside an MLP or expert, E experts, C shared width
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedConfig

from pedclip import PedCLIPConfig

BACKWARD = 2  # times the forward: a product for each of its two inputs
# Dense products a second in bfloat16, from the makers' data sheets, without sparsity; by a part of the device's name
PEAKS = {
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "V100": 125e12,
}


def image_flops(config: PreTrainedConfig, img_token_only: bool = True, every_token: bool = False) -> float:
    """The forward of the image tower for one image, as it is computed.

    `img_token_only`: the last layer for the [IMG] token alone. `every_token` is the paper's formula instead: every
    layer whole, every expert on every token.
    """
    side, width = config.image_size // config.patch_size, config.hidden_size
    tokens = side**2 + 1
    total, channels, size = 0.0, config.num_channels, config.image_size
    for out in config.stem_channels or ():
        size //= 2
        total, channels = total + 2 * size**2 * 9 * channels * out, out
    kernel = config.patch_size // 2 ** len(config.stem_channels or ())
    total += 2 * side**2 * channels * kernel**2 * width
    for layer in range(config.num_hidden_layers):
        last = layer == config.num_hidden_layers - 1
        asked = 1 if last and img_token_only and not every_token else tokens
        total += 2 * width**2 * (2 * tokens + 2 * asked) + 4 * asked * tokens * width  # keys, values; queries, output
        if layer in config.mobe_layers:
            total += 2 * width * config.num_experts
            total += 4 * asked * width * config.expert_intermediate_size * config.num_experts
        else:
            total += 4 * asked * width * config.intermediate_size
    return total


def text_flops(config: PreTrainedConfig, lengths: Sequence[int]) -> float:
    """The forward of the text tower for texts of these lengths, padding left out."""
    width, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    return float(
        sum(
            layers * (8 * length * width**2 + 4 * length * width * inner + 4 * length**2 * width) for length in lengths
        )
    )


def step_flops(
    config: PedCLIPConfig, lengths: Sequence[int], every_token: bool = False, images: int | None = None
) -> float:
    """Forward and backward of one training step on as many pairs as there are texts.

    `images` is how many go through the image tower, which for volumes is their slices; what pools these is left out.
    """
    pairs = len(lengths)
    vision: Any = config.vision_config
    text: Any = config.text_config
    seen = pairs if images is None else images
    forward = seen * image_flops(vision, every_token=every_token) + text_flops(text, lengths)
    for width in (vision.hidden_size, text.hidden_size):
        if width != config.shared_dim:
            forward += 2 * pairs * width * config.shared_dim
    forward += 2 * pairs**2 * config.shared_dim
    return (1 + BACKWARD) * forward


def slices_in(batch: Mapping[str, torch.Tensor]) -> int | None:
    """How many slices a batch of volumes has; None for images."""
    return int(batch["slice_mask"].sum()) if "slice_mask" in batch else None


def peak_flops(device: torch.device) -> float | None:
    """What the device could do at best in bfloat16; None where nobody wrote it down."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS.items() if all(word in name for word in part.split())), None)


@dataclass
class Meter:
    """Counts steps between two readings. What it adds up lies on the host already: it waits for no device."""

    config: PedCLIPConfig
    processes: int = 1
    peak: float | None = None  # of one device
    pairs: int = 0
    computed: float = 0.0
    formula: float = 0.0
    began: float = 0.0

    def __post_init__(self):
        self.began = time.monotonic()

    def step(self, lengths: Sequence[int], images: int | None = None) -> None:
        """One step of this process on texts of these lengths, and on so many images where they are not as many."""
        self.pairs += len(lengths)
        self.computed += step_flops(self.config, lengths, images=images)
        self.formula += step_flops(self.config, lengths, every_token=True, images=images)

    def read(self) -> dict[str, float]:
        """Since the last reading, over all processes: pairs a second and TFLOP/s as computed, and what the paper's
        formula would have needed for the same; MFU where the device's peak is known."""
        seconds = max(time.monotonic() - self.began, 1e-9)
        found = {
            "pairs_per_second": self.pairs * self.processes / seconds,
            "tflops": self.computed * self.processes / seconds / 1e12,
            "tflops_of_the_formula": self.formula * self.processes / seconds / 1e12,
        }
        if self.peak:
            found["mfu"] = self.computed / seconds / self.peak
        self.pairs, self.computed, self.formula, self.began = 0, 0.0, 0.0, time.monotonic()
        return found
