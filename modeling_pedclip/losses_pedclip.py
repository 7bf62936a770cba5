# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""The training objective: symmetric InfoNCE over the batch of all processes, and the gate's cross-entropy."""

# Shapes: B pairs here, M pairs over all processes, C shared width, E experts
import torch
import torch.distributed as dist
from torch import nn

from .mobe_pedclip import IGNORED_BODY_PART


class _GatherWithGradient(torch.autograd.Function):
    """Every process's rows, in order of rank; the backward sums what all processes ask of a row."""

    @staticmethod
    def forward(ctx, rows: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        ctx.count = len(rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, grad: torch.Tensor) -> torch.Tensor:
        grad = grad.clone(memory_format=torch.contiguous_format)  # autograd may hand the same tensor to others
        dist.all_reduce(grad)
        start = dist.get_rank() * ctx.count
        return grad[start : start + ctx.count]


def _several_processes() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gather_rows(rows: torch.Tensor) -> torch.Tensor:
    """The rows of all processes, (B, ...) -> (M, ...), differentiable. Each process must hold the same number."""
    return _GatherWithGradient.apply(rows) if _several_processes() else rows


def _without_padding(input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
    return input_ids if attention_mask is None else input_ids.masked_fill(attention_mask == 0, -1)


def distinct_texts(input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """A row for each distinct text (U,), and for each of the B texts which of those it is (B,)."""
    distinct, of_pair = _without_padding(input_ids, attention_mask).unique(dim=0, return_inverse=True)
    rows = torch.zeros(len(distinct), dtype=torch.long, device=input_ids.device)
    return rows.scatter_(0, of_pair, torch.arange(len(input_ids), device=input_ids.device)), of_pair


def same_text(input_ids: torch.Tensor, attention_mask: torch.Tensor | None, max_length: int) -> torch.Tensor:
    """Which pairs of texts are identical, (B, T) -> (M, M), over all processes. Padding does not count."""
    tokens = _without_padding(input_ids, attention_mask)
    if _several_processes():  # processes pad to their own longest text
        tokens = gather_rows(nn.functional.pad(tokens, (0, max_length - tokens.shape[1]), value=-1))
    return (tokens[:, None] == tokens[None]).all(dim=-1)


def similarity(image_embeds: torch.Tensor, text_embeds: torch.Tensor, logit_scale: torch.Tensor) -> torch.Tensor:
    """Cosine over temperature, (images, C), (texts, C) -> (images, texts), without autocast's half precision."""
    with torch.autocast(image_embeds.device.type, enabled=False):
        return logit_scale * image_embeds @ text_embeds.T


def contrastive_losses(
    image_embeds: torch.Tensor,
    text_embeds: torch.Tensor,
    logit_scale: torch.Tensor,
    identical: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """InfoNCE from image to text (eq. 3) and from text to image (eq. 4), each averaged over the M pairs.

    `image_embeds`, `text_embeds` (B, C) have length 1, `logit_scale` is 1 / temperature. Where `identical` (M, M) is
    given, items whose text equals an item's own are left out of its negatives (ours).
    """
    logits = similarity(gather_rows(image_embeds), gather_rows(text_embeds), logit_scale)  # (M, M)
    pairs = torch.arange(len(logits), device=logits.device)
    if identical is not None:
        others = identical & ~torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(others, float("-inf"))
    return nn.functional.cross_entropy(logits, pairs), nn.functional.cross_entropy(logits.T, pairs)


def gate_loss(
    router_logits: tuple[torch.Tensor, ...], body_part: torch.Tensor, slice_mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Cross-entropy of the gate against the body part (`CE(s, x_b)`), averaged over MoBE layers and labelled samples.

    Takes the gate's logits, each (B, E): s is already a softmax, and a second one would flatten it. Samples labelled
    `IGNORED_BODY_PART` do not count; a batch of none but such gives 0 with zero gradients, not NaN.

    Of volumes the logits are (B, S, E), and each study's loss is the mean over its slices, those where `slice_mask`
    (B, S) is not 0: a study counts once, however many slices it has (ours).
    """
    labelled = (body_part != IGNORED_BODY_PART).sum().float()
    share = 1.0
    if _several_processes():  # the mean over all processes' samples, whatever share of them lies here
        dist.all_reduce(labelled)
        share = float(dist.get_world_size())
    total = sum(_summed_over_studies(logits, body_part, slice_mask) for logits in router_logits)
    return total * share / (labelled.clamp(min=1) * len(router_logits))


def _summed_over_studies(
    logits: torch.Tensor, body_part: torch.Tensor, slice_mask: torch.Tensor | None
) -> torch.Tensor:
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if logits.ndim == 2:
        return nn.functional.cross_entropy(logits, body_part, ignore_index=IGNORED_BODY_PART, reduction="sum")
    labels = body_part[:, None].expand(logits.shape[:2])
    losses = nn.functional.cross_entropy(
        logits.transpose(1, 2), labels, ignore_index=IGNORED_BODY_PART, reduction="none"
    )  # (B, S)
    real = torch.ones_like(losses) if slice_mask is None else slice_mask.to(losses)
    return ((losses * real).sum(dim=1) / real.sum(dim=1)).sum()
