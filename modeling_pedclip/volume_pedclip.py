# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""Studies of several images (CT and MR volumes, tomosynthesis, the views of an X-ray) as one embedding: slice pooling.

After RadCLIP's slice pooling adapter, which was described and never released: slice embeddings with an encoding of
their order, multi-head self-attention, attention pooling. What the description leaves open is ours, and marked so.
"""

# Shapes: B studies, S slices (padded to the longest study), N slices that are real, D width, H heads, E experts
import math
from collections.abc import Callable, Iterable

import torch
from torch import nn
from transformers.utils import logging

from ..configuration.configuration_pedclip import PedCLIPConfig
from .outputs_pedclip import PedCLIPVisionOutput

logger = logging.get_logger(__name__)

SLICES_AT_ONCE = 8  # that go through the tower together: what memory has to hold
SHORTEST_WAVE, LONGEST_WAVE = 2.0, 2000.0  # mm, ours: from two thin slices to beyond a whole child


def check_volume(
    pixel_values: torch.Tensor, slice_positions: torch.Tensor | None, slice_mask: torch.Tensor | None
) -> None:
    """Refuses positions and masks that do not fit `pixel_values`. Values are looked at on the CPU alone."""
    if pixel_values.ndim not in (4, 5):
        raise ValueError(
            f"pixel_values has the shape {tuple(pixel_values.shape)}; images are (batch, channels, height, width) and "
            "volumes (batch, slices, channels, height, width)"
        )
    if 0 in pixel_values.shape[:2] and pixel_values.ndim == 5:
        raise ValueError(
            f"pixel_values has the shape {tuple(pixel_values.shape)}; a batch has at least one study, and a study at "
            "least one slice"
        )
    halves = (torch.bfloat16, torch.float16)
    if slice_positions is not None and slice_positions.dtype in halves and not torch.compiler.is_compiling():
        logger.warning_once(
            f"slice_positions are {slice_positions.dtype}, which rounds places in mm; leave them in float32, as the "
            "processor's batch does: batch.to(torch.bfloat16)"
        )
    for name, given in (("slice_positions", slice_positions), ("slice_mask", slice_mask)):
        if given is None:
            continue
        if pixel_values.ndim == 4:
            raise ValueError(
                f"{name} was given with images, pixel_values of shape {tuple(pixel_values.shape)}; an image among "
                "volumes is a volume of one slice: pixel_values[:, None]"
            )
        if given.shape != pixel_values.shape[:2]:
            raise ValueError(
                f"{name} has the shape {tuple(given.shape)}; give one number for each slice, "
                f"{tuple(pixel_values.shape[:2])}"
            )
        if given.device.type == "cpu" and not torch.compiler.is_compiling() and not given.isfinite().all():
            raise ValueError(f"{name} holds values that are not finite; slices without an order have all the same one")
    if slice_mask is not None and slice_mask.device.type == "cpu" and not torch.compiler.is_compiling():
        empty = (~slice_mask.bool().any(dim=1)).nonzero()[:, 0].tolist()
        if empty:
            raise ValueError(f"studies {empty} have no slice: their slice_mask is 0 throughout; leave them out")


def refuse_lost_pooling(pooling: nn.Module, names: Iterable[str], prefix: str) -> None:
    """Refuses a state with weights of a slice pooling adapter for a model that has none: they would be dropped."""
    lost = next((name for name in names if name.startswith(prefix)), None)
    if lost is not None and not list(pooling.parameters()):
        raise ValueError(
            f"the state holds {lost}, and this model pools slices without an adapter, so that it would be dropped; "
            'open the model with volume_pooling="attention"'
        )


def encode_slices(
    tower: Callable[..., PedCLIPVisionOutput],
    pixel_values: torch.Tensor,
    slice_mask: torch.Tensor | None = None,
    forced_experts: torch.Tensor | None = None,
    slices_at_once: int = SLICES_AT_ONCE,
) -> PedCLIPVisionOutput:
    """Puts each slice through the image tower, `slices_at_once` at a time; slices that pad are left out.

    `pixel_values` is (B, S, channels, height, width), `slice_mask` (B, S), `forced_experts` (B,) a study's expert.
    Everything comes back as (B, S, ...), with 0 for slices that pad; `last_hidden_state` (B, S, D) is each slice's
    [IMG] token, and there is no `pooler_output` yet.
    """
    if slices_at_once < 1:
        raise ValueError(f"slices_at_once is {slices_at_once}; at least 1 slice goes through the tower at a time")
    studies, slices = pixel_values.shape[:2]
    flat = pixel_values.flatten(0, 1)
    kept = None if slice_mask is None or slice_mask.all() else slice_mask.flatten().nonzero()[:, 0]  # (N,)
    study = torch.arange(studies, device=pixel_values.device).repeat_interleave(slices)
    count = len(flat) if kept is None else len(kept)
    tokens = _Rows(count)
    layers: dict[str, list[_Rows | None]] = {}
    for first in range(0, count, slices_at_once):
        rows = slice(first, first + slices_at_once) if kept is None else kept[first : first + slices_at_once]
        experts = None if forced_experts is None else forced_experts[study[rows]]
        part = tower(flat[rows], forced_experts=experts)
        tokens.add(part["last_hidden_state"][:, 0])
        for name in ("hidden_states", "attentions", "router_logits"):
            if (of_part := part.get(name)) is not None:
                # of hidden states, only those of the layers that were asked for are there
                if name not in layers:
                    layers[name] = [None if values is None else _Rows(count) for values in of_part]
                for layer, values in zip(layers[name], of_part, strict=True):
                    if layer is not None:
                        layer.add(values)

    def gathered(found: _Rows) -> torch.Tensor:
        real = found.whole()
        if kept is None:
            return real.unflatten(0, (studies, slices))
        everywhere = real.new_zeros(studies * slices, *real.shape[1:])
        return everywhere.index_copy(0, kept.to(real.device), real).unflatten(0, (studies, slices))

    return PedCLIPVisionOutput(
        last_hidden_state=gathered(tokens),
        **{
            name: tuple(None if layer is None else gathered(layer) for layer in of_all)
            for name, of_all in layers.items()
        },
    )


class _Rows:
    """One tensor of all slices, from those that come some at a time."""

    def __init__(self, count: int):
        self.count, self.filled = count, 0
        self.rows: torch.Tensor | None = None
        self.parts: list[torch.Tensor] = []

    def add(self, part: torch.Tensor) -> None:
        if part.requires_grad:
            self.parts.append(part)
            return
        # into one tensor: small ones that stay, among the tower's large ones that go, scatter the memory of a CPU
        if self.rows is None:
            self.rows = part.new_empty(self.count, *part.shape[1:])
        self.rows[self.filled : self.filled + len(part)] = part
        self.filled += len(part)

    def whole(self) -> torch.Tensor:
        return torch.cat(self.parts) if self.rows is None else self.rows


def encode_positions(
    slice_positions: torch.Tensor | None, slice_mask: torch.Tensor, width: int, dtype: torch.dtype
) -> torch.Tensor:
    """Sine and cosine of each slice's place, (B, S) in mm -> (B, S, D).

    Ours: places are counted from the middle between a study's first and last slice, because where a scanner's zero
    lies says nothing. Slices without positions count as 1 mm apart. Slices with one and the same position have no
    order: exchanging them changes nothing.
    """
    at_least_float32 = torch.promote_types(dtype, torch.float32)
    if slice_positions is None:
        numbers = torch.arange(slice_mask.shape[1], device=slice_mask.device)
        slice_positions = numbers.expand(len(slice_mask), -1)
    places = slice_positions.to(at_least_float32)
    first = places.masked_fill(~slice_mask, math.inf).amin(dim=1, keepdim=True)
    last = places.masked_fill(~slice_mask, -math.inf).amax(dim=1, keepdim=True)
    places = places - (first + last) / 2
    waves = (width + 1) // 2
    steps = torch.arange(waves, device=places.device, dtype=at_least_float32) / max(waves - 1, 1)
    lengths = SHORTEST_WAVE * (LONGEST_WAVE / SHORTEST_WAVE) ** steps  # (D / 2,), mm
    angles = places[..., None] * (2 * math.pi / lengths)
    return torch.cat((angles.sin(), angles.cos()), dim=-1)[..., :width].to(dtype)


class PedCLIPSliceMean(nn.Module):
    """Each slice counts the same. No parameters: any PedCLIP takes volumes this way."""

    def __init__(self, config: PedCLIPConfig):
        super().__init__()

    def forward(
        self, tokens: torch.Tensor, slice_mask: torch.Tensor, slice_positions: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, S, D), (B, S) -> the study (B, D), and each slice's share of it (B, S)."""
        shares = slice_mask.to(tokens.dtype) / slice_mask.sum(dim=1, keepdim=True)
        return (shares[:, None] @ tokens)[:, 0], shares


class PedCLIPSliceMax(nn.Module):
    """Each channel's largest value. A slice's share is that of the channels in which it is the largest."""

    def __init__(self, config: PedCLIPConfig):
        super().__init__()

    def forward(
        self, tokens: torch.Tensor, slice_mask: torch.Tensor, slice_positions: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, S, D), (B, S) -> the study (B, D), and each slice's share of it (B, S)."""
        largest, where = tokens.masked_fill(~slice_mask[..., None], -math.inf).max(dim=1)
        shares = nn.functional.one_hot(where, tokens.shape[1]).to(tokens.dtype).mean(dim=1)
        return largest, shares


class PedCLIPZeroLinear(nn.Linear):
    """A linear layer whose weights begin at 0, so that what it adds is at first nothing."""


class PedCLIPSliceAttention(nn.Module):
    """RadCLIP's slice pooling: positions, multi-head self-attention over the slices, attention pooling.

    Ours: the self-attention is added to the slices and begins at 0, and so do the scores, so that a new adapter is
    mean pooling; scores as in Ilse et al. 2018 (arXiv 1802.04712); a study of a single slice comes out as that image.
    """

    def __init__(self, config: PedCLIPConfig):
        super().__init__()
        width, eps = config.vision_config.hidden_size, config.vision_config.layer_norm_eps
        self.num_heads = config.vision_config.num_attention_heads
        self.norm = nn.LayerNorm(width, eps=eps)
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)  # a softmax does not see a key's bias
        self.v_proj = nn.Linear(width, width)
        self.o_proj = PedCLIPZeroLinear(width, width)
        self.score_norm = nn.LayerNorm(width, eps=eps)
        self.score_hidden = nn.Linear(width, width)
        self.score = PedCLIPZeroLinear(width, 1, bias=False)

    def forward(
        self, tokens: torch.Tensor, slice_mask: torch.Tensor, slice_positions: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, S, D), (B, S), (B, S) in mm -> the study (B, D), and each slice's share of it (B, S)."""
        placed = self.norm(tokens)
        placed = placed + encode_positions(slice_positions, slice_mask, tokens.shape[-1], placed.dtype)

        def heads(projected: torch.Tensor) -> torch.Tensor:
            return projected.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, H, S, D / H)

        attended = nn.functional.scaled_dot_product_attention(
            heads(self.q_proj(placed)),
            heads(self.k_proj(placed)),
            heads(self.v_proj(placed)),
            attn_mask=slice_mask[:, None, None, :],
        )
        attended = self.o_proj(attended.transpose(1, 2).flatten(2))
        several = slice_mask.sum(dim=1) > 1
        tokens = tokens + attended * several[:, None, None]

        scores = self.score(torch.tanh(self.score_hidden(self.score_norm(tokens))))[..., 0]  # (B, S)
        at_least_float32 = torch.promote_types(scores.dtype, torch.float32)
        scores = scores.masked_fill(~slice_mask, -math.inf)
        shares = scores.softmax(dim=1, dtype=at_least_float32).to(tokens.dtype)
        return (shares[:, None] @ tokens)[:, 0], shares


SLICE_POOLING: dict[str, Callable[[PedCLIPConfig], nn.Module]] = {
    "mean": PedCLIPSliceMean,
    "max": PedCLIPSliceMax,
    "attention": PedCLIPSliceAttention,
}
