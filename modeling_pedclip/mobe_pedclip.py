# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""The soft Mixture of Body-part Experts (MoBE) that replaces a transformer layer's MLP (eq. 1 and 2 of the paper)."""

# Shapes: B batch, T tokens, D width, I width inside an expert, E experts
import math

import torch
from torch import nn
from transformers.activations import ACT2FN

from ..configuration.configuration_pedclip import PedCLIPVisionConfig
from .experts_pedclip import Rows, few_tokens, largest_outputs, mix_at_once, mix_in_turn, rows_of_experts

# Activations f with |f(z)| <= |z|, by the names of their classes in transformers
CONTRACTING = {
    *(
        "FastGELUActivation",
        "GELUActivation",
        "GELUTanh",
        "MishActivation",
        "NewGELUActivation",
        "QuickGELUActivation",
    ),
    *("ReLU", "SiLU", "SiLUActivation", "Tanh"),
}
IGNORED_BODY_PART = -100  # label of a sample whose body part is unknown: no gate loss, no teacher


def check_body_part(body_part: torch.Tensor, batch_size: int, num_experts: int):
    """Refuses labels that are not one expert an image. Values are looked at on the CPU alone: elsewhere that waits."""
    if body_part.shape != (batch_size,) or body_part.dtype != torch.long:
        raise ValueError(
            f"body_part is {body_part.dtype} of shape {tuple(body_part.shape)}; give one torch.long for each of the "
            f"{batch_size} images"
        )
    if body_part.device.type == "cpu" and not torch.compiler.is_compiling():
        wrong = body_part[(body_part != IGNORED_BODY_PART) & ((body_part < 0) | (body_part >= num_experts))]
        if len(wrong):
            raise ValueError(
                f"body_part holds {wrong[0].item()}, and the experts are 0 to {num_experts - 1}; "
                f"{IGNORED_BODY_PART} marks an unknown one"
            )


class PedCLIPBodyPartGate(nn.Module):
    """Says from the [IMG] token how much each body-part expert is involved (eq. 1).

    Returns logits, not probabilities: the gate loss is a cross-entropy, and a second softmax would flatten it.
    """

    def __init__(self, config: PedCLIPVisionConfig):
        super().__init__()
        self.proj = nn.Linear(config.hidden_size, config.num_experts, bias=False)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.proj(hidden_states[:, 0])  # (B, T, D) -> (B, E)


class PedCLIPExperts(nn.Module):
    """E MLPs as stacked parameters, so that adapters can target them as they do in other mixture models."""

    def __init__(self, config: PedCLIPVisionConfig):
        super().__init__()
        experts, width, inner = config.num_experts, config.hidden_size, config.expert_intermediate_size
        self.activation_fn = ACT2FN[config.hidden_act]
        self.up_proj = nn.Parameter(torch.empty(experts, inner, width))
        self.up_bias = nn.Parameter(torch.empty(experts, inner))
        self.down_proj = nn.Parameter(torch.empty(experts, width, inner))
        self.down_bias = nn.Parameter(torch.empty(experts, width))

        self.skip_below = config.skip_experts_below

    def forward(
        self, hidden_states: torch.Tensor, involvement: torch.Tensor, forced_experts: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The sum over all experts of involvement times output (eq. 2): (B, T, D), (B, E) -> (B, T, D).

        Where `forced_experts` (B,) names an image's expert, `involvement` is 1 for it and 0 for the others.
        """
        stacks = (self.up_proj, self.up_bias, self.down_proj, self.down_bias)
        experts, inner = self.up_bias.shape
        few = few_tokens(hidden_states, inner, experts)
        rows: Rows
        on_host = hidden_states.device.type == "cpu" and not torch.compiler.is_compiling()
        if self.skip_below > 0 and not self.training and not torch.compiler.is_compiling():
            rows = [one.nonzero()[:, 0] for one in (involvement >= self.skip_below).unbind(1)]
        elif forced_experts is not None and (on_host or not few):
            rows = rows_of_experts(forced_experts, experts, IGNORED_BODY_PART)  # elsewhere than on the CPU it waits
        elif few:
            return mix_at_once(hidden_states, involvement, stacks, self.activation_fn)
        else:
            rows = [None] * experts  # all images
        return mix_in_turn(hidden_states, involvement, stacks, self.activation_fn, rows)


class PedCLIPMoBE(nn.Module):
    """Gate and experts: the block that stands where the MLP stood."""

    def __init__(self, config: PedCLIPVisionConfig):
        super().__init__()
        self.gate = PedCLIPBodyPartGate(config)
        self.experts = PedCLIPExperts(config)

    def forward(
        self, hidden_states: torch.Tensor, forced_experts: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mixes the experts' outputs: (B, T, D) -> (B, T, D) and the gate's logits (B, E).

        `forced_experts` (B,) is teacher forcing: the label's expert alone. Samples labelled `IGNORED_BODY_PART` keep
        the gate's own output.
        """
        router_logits = self.gate(hidden_states)
        # half precision rounds small involvements away; wider types stay as they are
        at_least_float32 = torch.promote_types(router_logits.dtype, torch.float32)
        involvement = router_logits.softmax(dim=-1, dtype=at_least_float32)  # (B, E)
        if forced_experts is not None:
            known = forced_experts != IGNORED_BODY_PART
            one_hot = nn.functional.one_hot(forced_experts.masked_fill(~known, 0), involvement.shape[1])
            involvement = torch.where(known[:, None], one_hot.to(involvement.dtype), involvement)
        return self.experts(hidden_states, involvement.to(hidden_states.dtype), forced_experts), router_logits

    @torch.no_grad()
    def skip_bound(self, norm: nn.LayerNorm, threshold: float) -> float:
        """How far leaving out experts below `threshold` can move a token of this block's output, in Euclidean length.

        Known before any image is seen: `norm`, the LayerNorm whose output comes in, makes tokens of limited length,
        and operator norms limit each expert. The involvement left out is below `threshold` for each expert and at most
        1 in all. The bound says what cannot happen; what does happen is mostly far less.
        """
        if type(self.experts.activation_fn).__name__ not in CONTRACTING:
            raise ValueError(
                f"the bound holds for activations that make no number larger ({', '.join(sorted(CONTRACTING))}), and "
                f"this one is {type(self.experts.activation_fn).__name__}"
            )
        experts = self.experts
        shift = 0.0 if norm.bias is None else norm.bias.double().norm()
        longest = math.sqrt(norm.normalized_shape[0]) * norm.weight.double().abs().max() + shift
        stacks = (experts.up_proj, experts.up_bias, experts.down_proj, experts.down_bias)
        left, total = 1.0, 0.0
        for largest in largest_outputs(stacks, longest).sort(descending=True).values.tolist():
            share = min(threshold, left)
            total, left = total + share * largest, left - share
        return total
