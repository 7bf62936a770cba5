"""MoBE as the paper writes it (eq. 1 and 2): every expert on every token. Fast forms are held to it."""

import torch
from torch import nn


def plain_loop(hidden_states, involvement, stacks, activation) -> torch.Tensor:
    """(B, T, D), (B, E) -> (B, T, D), by autograd alone. `unbind`: indexing a stack doubles the backward's time."""
    mixed = torch.zeros_like(hidden_states)
    experts = zip(*(stack.unbind() for stack in stacks), involvement.unbind(1), strict=True)
    for up_proj, up_bias, down_proj, down_bias, weight in experts:
        inner = activation(nn.functional.linear(hidden_states, up_proj, up_bias))
        mixed = mixed + weight[:, None, None] * nn.functional.linear(inner, down_proj, down_bias)
    return mixed


def plain_forward(experts, hidden_states, involvement, forced_experts=None) -> torch.Tensor:
    """Has the signature of PedCLIPExperts.forward, in whose place a test or a benchmark puts it."""
    stacks = (experts.up_proj, experts.up_bias, experts.down_proj, experts.down_bias)
    return plain_loop(hidden_states, involvement, stacks, experts.activation_fn)
