# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""The soft Mixture of Body-part Experts (MoBE) that replaces a transformer layer's MLP (eq. 1 and 2 of the paper)."""

# Shapes: B batch, T tokens, D width, I width inside an expert, E experts
import torch
from torch import nn
from transformers.activations import ACT2FN

from ..configuration.configuration_pedclip import PedCLIPVisionConfig

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

    def forward(self, hidden_states: torch.Tensor, involvement: torch.Tensor) -> torch.Tensor:
        """The sum over all experts of involvement times output (eq. 2): (B, T, D), (B, E) -> (B, T, D)."""
        mixed = torch.zeros_like(hidden_states)
        # unbind, not indexing: the gradient of W[e] is a whole stack of zeros for each expert
        stacks = (self.up_proj, self.up_bias, self.down_proj, self.down_bias)
        experts = zip(*(stack.unbind() for stack in stacks), involvement.unbind(1), strict=True)
        for up_proj, up_bias, down_proj, down_bias, weight in experts:
            inner = self.activation_fn(nn.functional.linear(hidden_states, up_proj, up_bias))  # (B, T, I)
            mixed = mixed + weight[:, None, None] * nn.functional.linear(inner, down_proj, down_bias)
        return mixed


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
        return self.experts(hidden_states, involvement.to(hidden_states.dtype)), router_logits
