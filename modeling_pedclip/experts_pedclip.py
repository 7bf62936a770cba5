# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""How the experts of a MoBE are computed: all at once for few tokens, one after another for many. Exact either way.

An expert's work is `weight * (down @ act(up @ x + up_bias) + down_bias)`, summed over experts (eq. 2 of the paper).
"""

# Shapes: B batch, T tokens, N rows (some images' tokens), D width, I width inside an expert, E experts
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

Stacks = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]  # (E, I, D), (E, I), (E, D, I), (E, D)
Rows = Sequence[torch.Tensor | None]  # for each expert the numbers of its images; None: all of them
FEW = 2**26  # numbers inside all experts at a time: 256 MiB in float32


def few_tokens(hidden_states: torch.Tensor, inner: int, experts: int) -> bool:
    """Whether all experts at once take little memory: always so for the [IMG] token alone of a usual batch."""
    batch, tokens, _ = hidden_states.shape
    if torch.compiler.is_exporting():  # one graph for any batch
        return tokens == 1
    return tokens == 1 and batch * inner * experts <= FEW


def mix_at_once(
    hidden_states: torch.Tensor, involvement: torch.Tensor, stacks: Stacks, activation: Callable
) -> torch.Tensor:
    """All experts as two batched products: (B, T, D), (B, E) -> (B, T, D). Holds E times B * T * I numbers."""
    up_proj, up_bias, down_proj, down_bias = stacks
    batch, tokens, _ = hidden_states.shape
    rows = hidden_states.flatten(0, 1)  # (B * T, D)
    weight = involvement.repeat_interleave(tokens, 0) if tokens > 1 else involvement  # (B * T, E)
    if torch.is_grad_enabled():
        # weights on the left: so their gradients come in the weights' own layout, and the copy into it, which takes
        # longer than a layer of the tower, falls away
        inner = torch.baddbmm(up_bias[:, :, None], up_proj, rows.T.expand(len(up_proj), -1, -1))
        mixed = torch.bmm(down_proj, activation(inner) * weight.T[:, None]).sum(dim=0).T
    else:  # faster for a single image
        inner = torch.baddbmm(up_bias[:, None], rows.expand(len(up_proj), -1, -1), up_proj.transpose(1, 2))
        mixed = torch.bmm(activation(inner) * weight.T[:, :, None], down_proj.transpose(1, 2)).sum(dim=0)
    return (mixed + weight @ down_bias).unflatten(0, (batch, tokens))


def mix_in_turn(
    hidden_states: torch.Tensor, involvement: torch.Tensor, stacks: Stacks, activation: Callable, rows: Rows
) -> torch.Tensor:
    """The experts one after another, each for its own images: memory does not grow with their number.

    (B, T, D), (B, E) -> (B, T, D). For the backward nothing of the experts' inside is kept where they share images; it
    is computed again. Where each image has one expert, it is kept, as in a plain MLP.
    """
    device = hidden_states.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_states.dtype
    if not torch.is_grad_enabled():
        with torch.autocast(device, enabled=False):
            return _mixed(hidden_states.to(dtype), involvement.to(dtype), stacks, activation, rows, kept=None)
    return _InTurn.apply(hidden_states, involvement, *stacks, activation, rows, dtype)


def rows_of_experts(forced_experts: torch.Tensor, experts: int, unknown: int) -> Rows:
    """For each expert the images that it has to see: those labelled with it, and those whose label is unknown."""
    labels = forced_experts.tolist()
    seen: list[list[int]] = [[] for _ in range(experts)]
    for image, label in enumerate(labels):
        for expert in range(experts) if label == unknown else [label]:
            seen[expert].append(image)
    return [torch.tensor(images, dtype=torch.long, device=forced_experts.device) for images in seen]


def _own(tensor: torch.Tensor, images: torch.Tensor | None) -> torch.Tensor:
    return tensor if images is None else tensor.index_select(0, images)


def _mixed(
    hidden_states: torch.Tensor,
    involvement: torch.Tensor,
    stacks: Stacks,
    activation: Callable,
    rows: Rows,
    kept: list[torch.Tensor] | None,
) -> torch.Tensor:
    """The sum over experts, each for its rows; what goes into the activations is put into `kept`."""
    up_proj, up_bias, down_proj, down_bias = stacks
    dtype, (_, tokens, width) = hidden_states.dtype, hidden_states.shape
    mixed = torch.zeros_like(hidden_states)
    for expert, images in enumerate(rows):
        if images is not None and not len(images):
            continue
        own = _own(hidden_states, images).reshape(-1, width)
        weight = _own(involvement[:, expert], images).repeat_interleave(tokens)[:, None]  # (N, 1)
        inner = nn.functional.linear(own, up_proj[expert].to(dtype), up_bias[expert].to(dtype))  # (N, I)
        if kept is not None:
            kept.append(inner)
        active = activation(inner)
        active = (
            active * weight if active is inner else active.mul_(weight)
        )  # an identity must not change what is kept
        down, bias = down_proj[expert].to(dtype), down_bias[expert].to(dtype)
        if images is None:
            mixed.view(-1, width).addmm_(active, down.T).add_(weight * bias)
        else:
            out = torch.addmm(weight * bias, active, down.T)
            mixed.index_add_(0, images, out.unflatten(0, (len(images), tokens)))
    return mixed


class _InTurn(torch.autograd.Function):
    """`_mixed` with a backward that computes the experts' inside again, five products in place of four."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_states: torch.Tensor,
        involvement: torch.Tensor,
        up_proj: torch.Tensor,
        up_bias: torch.Tensor,
        down_proj: torch.Tensor,
        down_bias: torch.Tensor,
        activation: Callable,
        rows: Rows,
        dtype: torch.dtype,
    ) -> torch.Tensor:
        once = sum(len(hidden_states) if images is None else len(images) for images in rows) <= len(hidden_states)
        kept: list[torch.Tensor] | None = [] if once else None
        stacks = (up_proj, up_bias, down_proj, down_bias)
        with torch.autocast(hidden_states.device.type, enabled=False):
            mixed = _mixed(hidden_states.to(dtype), involvement.to(dtype), stacks, activation, rows, kept)
        ctx.activation, ctx.rows, ctx.dtype, ctx.once = activation, rows, dtype, once
        ctx.save_for_backward(hidden_states, involvement, *stacks, *(kept or ()))
        return mixed

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor):
        hidden_states, involvement, up_proj, up_bias, down_proj, down_bias, *kept = ctx.saved_tensors
        dtype, (_, tokens, width) = ctx.dtype, hidden_states.shape
        stacks = (hidden_states, involvement, up_proj, up_bias, down_proj, down_bias)
        wanted = ctx.needs_input_grad[: len(stacks)]
        grads = [torch.zeros_like(one) if want else None for one, want in zip(stacks, wanted, strict=True)]
        d_hidden, d_involvement, d_up, d_up_bias, d_down, d_down_bias = grads
        gradient, hidden = gradient.to(dtype), hidden_states.to(dtype)
        with torch.autocast(gradient.device.type, enabled=False):
            for expert, images in enumerate(ctx.rows):
                own = _own(hidden, images).reshape(-1, width)
                if not len(own):
                    continue
                d_out = _own(gradient, images).reshape(-1, width)  # (N, D)
                weight = _own(involvement[:, expert], images).to(dtype).repeat_interleave(tokens)[:, None]
                up, down, bias = up_proj[expert].to(dtype), down_proj[expert].to(dtype), down_bias[expert].to(dtype)
                inner = kept.pop(0) if ctx.once else nn.functional.linear(own, up, up_bias[expert].to(dtype))
                with torch.enable_grad():
                    inner = inner.detach().requires_grad_()
                    active = ctx.activation(inner)
                d_active = d_out @ down  # (N, I), still without the weight
                out = active.detach()
                if d_involvement is not None:
                    share = (d_active * out).sum(-1) + d_out @ bias  # of each row
                    share = share.unflatten(0, (-1, tokens)).sum(-1).to(d_involvement.dtype)
                    if images is None:
                        d_involvement[:, expert] += share
                    else:
                        d_involvement[:, expert].index_add_(0, images, share)
                if d_down is not None:
                    d_down[expert] = (d_out * weight).T @ out
                if d_down_bias is not None:
                    d_down_bias[expert] = (d_out * weight).sum(0)
                (d_inner,) = torch.autograd.grad(active, inner, d_active.mul_(weight))
                if d_up is not None:
                    d_up[expert] = d_inner.T @ own
                if d_up_bias is not None:
                    d_up_bias[expert] = d_inner.sum(0)
                if d_hidden is not None:
                    back = (d_inner @ up).unflatten(0, (-1, tokens)).to(d_hidden.dtype)
                    if images is None:
                        d_hidden += back
                    else:
                        d_hidden.index_add_(0, images, back)
        return *grads, None, None, None


def largest_outputs(stacks: Stacks, input_norm: torch.Tensor) -> torch.Tensor:
    """For each expert a number (E,) that its output's length does not pass for tokens up to `input_norm` long.

    |down @ act(up @ x + up_bias) + down_bias| is at most |down| (|up| |x| + |up_bias|) + |down_bias|, with the largest
    singular values of the matrices, for every activation that makes no number larger: |act(z)| <= |z|.
    """
    up_proj, up_bias, down_proj, down_bias = (stack.detach().double() for stack in stacks)
    up, down = (torch.linalg.matrix_norm(one, ord=2) for one in (up_proj, down_proj))
    return down * (up * input_norm + up_bias.norm(dim=1)) + down_bias.norm(dim=1)
