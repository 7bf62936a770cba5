"""Which parts of a film a sentence's similarity rests on: a map over the image tower's patches.

A map shows what this model's number depends on, not where a disease is. How far the maps point at findings is measured
in pointing_game.py, and that they depend on the weights at all (Adebayo et al. 2018) in tests/eval/test_relevance.py.
"""

# Shapes: B batch, T tokens ([IMG] first), H heads, h and w the patches' grid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from captum.attr import InputXGradient, IntegratedGradients
from torch import nn

STEPS = 32  # of the integral, Gauss-Legendre


@dataclass(frozen=True)
class Relevance:
    """A map over patches, with what is needed to show it."""

    map: np.ndarray  # (h, w) float, one number a patch; higher: the similarity rests more on it
    pixels: np.ndarray  # (H, W) or (H, W, 3) uint8, the film as the model sees it
    experts: list[tuple[str, float]]  # body parts with their involvement, the most involved first
    similarity: float  # cosine of image and text; with `against`, how much greater than with that text
    method: str
    text: str
    against: str | None = None


def attention_relevance(
    model: Any, pixel_values: torch.Tensor, text_embeds: torch.Tensor, black: torch.Tensor
) -> torch.Tensor:
    """(h, w): gradient times attention, rolled out through the layers (Chefer et al. 2021), the row of [IMG]."""
    with eager_attention(model.vision_model):
        out = image_features(model, pixel_values.requires_grad_(True), output_attentions=True)
        gradients = torch.autograd.grad(similarity_of(out, text_embeds).sum(), out.attentions)
    rolled = rollout(out.attentions, gradients)  # (1, T, T)
    return as_grid(rolled[0, 0, 1:], model, pixel_values)


def rollout(attentions: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """(B, H, T, T) for each layer, twice -> (B, T, T), the relevance of each token for each.

    Chefer, Gur and Wolf 2021, eq. 5 and 6, self-attention alone: R begins as the identity, and each layer adds
    A' R, where A' is the mean over heads of the positive part of gradient times attention.
    """
    first = attentions[0]
    relevance = torch.eye(first.shape[-1], dtype=first.dtype, device=first.device).expand(len(first), -1, -1)
    for attention, gradient in zip(attentions, gradients, strict=True):
        positive = (gradient * attention).clamp(min=0).mean(1)  # (B, T, T)
        relevance = relevance + positive @ relevance
    return relevance.detach()


def input_times_gradient(
    model: Any, pixel_values: torch.Tensor, text_embeds: torch.Tensor, black: torch.Tensor
) -> torch.Tensor:
    """(h, w): captum's input x gradient, summed over channels and over each patch's pixels, with its sign.

    The input is what lies above a black film, so that black pixels get nothing, as in `integrated_gradients`.
    """

    def above_black(raised: torch.Tensor) -> torch.Tensor:
        return similarity_of(image_features(model, black + raised), text_embeds)

    return by_patch(InputXGradient(above_black).attribute((pixel_values - black).requires_grad_(True)), model)


def integrated_gradients(
    model: Any, pixel_values: torch.Tensor, text_embeds: torch.Tensor, black: torch.Tensor
) -> torch.Tensor:
    """(h, w): captum's integrated gradients from a black film (Sundararajan et al. 2017), summed as above.

    The sum of the map is the similarity less that of the black film, up to the error of the integral.
    """

    def similarity(pixels: torch.Tensor) -> torch.Tensor:
        return similarity_of(image_features(model, pixels), text_embeds.expand(len(pixels), -1))

    attributed = IntegratedGradients(similarity).attribute(
        pixel_values, baselines=black, n_steps=STEPS, internal_batch_size=STEPS
    )
    return by_patch(attributed, model)


Method = Callable[[Any, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
METHODS: dict[str, Method] = {
    "attention": attention_relevance,
    "input-x-gradient": input_times_gradient,
    "integrated-gradients": integrated_gradients,
}


def relevance(
    model: Any, processor: Any, image: Any, text: str, method: str = "attention", *, against: str | None = None
) -> Relevance:
    """Where on the film the similarity of image and text comes from.

    `image` is anything that the processor reads. With `against`, the similarity is how much better `text` fits than
    that text ("no finding"), which is what classification by prompts asks. The model is put into evaluation mode for
    the call, and its attention is written out where the method needs its weights; both are as before afterwards.

    Raises:
        ValueError: an unknown method, an empty text, or an image that cannot be read.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; choose one of {', '.join(METHODS)}")
    if not text.strip() or (against is not None and not against.strip()):
        raise ValueError("a text is empty; say what the film is compared with, for example 'a fracture'")
    reading = {"do_rescale": False, "do_normalize": False, "return_tensors": "np"}
    pixels = processor.image_processor(images=image, **reading).pixel_values[0]  # (3, H, W), 0..255
    pixel_values = processor.image_processor(images=image, return_tensors="pt").pixel_values
    with torch.inference_mode(False), torch.enable_grad(), evaluating(model):
        pixel_values = pixel_values.to(model.device, model.dtype)
        text_embeds = direction(model, processor, [text, *([against] if against is not None else [])])
        with torch.no_grad():
            out = image_features(model, pixel_values)
            similarity = float(similarity_of(out, text_embeds))
        found = METHODS[method](model, pixel_values.clone(), text_embeds, black_film(processor, pixel_values))
    return Relevance(
        map=found.detach().double().cpu().numpy(),
        pixels=shown(pixels),
        experts=involved(model, out.router_logits),
        similarity=similarity,
        method=method,
        text=text,
        against=against,
    )


def image_features(model: Any, pixel_values: torch.Tensor, **asked: Any) -> Any:
    return model.get_image_features(pixel_values=pixel_values, return_dict=True, **asked)


def similarity_of(out: Any, text_embeds: torch.Tensor) -> torch.Tensor:
    """(B,): the cosine with the text, or the difference of two where `text_embeds` is one."""
    return (nn.functional.normalize(out.pooler_output, dim=-1) * text_embeds).sum(-1)


@torch.no_grad()
def direction(model: Any, processor: Any, texts: Sequence[str]) -> torch.Tensor:
    """(1, shared width): the first text's embedding of length 1, less the second's where there is one."""
    inputs = processor(text=list(texts), return_tensors="pt", padding=True, truncation=True).to(model.device)
    embeds = nn.functional.normalize(model.get_text_features(**inputs).pooler_output, dim=-1)
    return embeds[:1] if len(texts) == 1 else embeds[:1] - embeds[1:]


def black_film(processor: Any, pixel_values: torch.Tensor) -> torch.Tensor:
    """(1, 3, H, W), every pixel 0 before normalisation: air, and what padding is made of."""
    settings = processor.image_processor
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (settings.image_mean, settings.image_std))
    return torch.zeros_like(pixel_values) - (mean / std if settings.do_normalize else 0 * mean).to(pixel_values)


def by_patch(attributed: torch.Tensor, model: Any) -> torch.Tensor:
    """(1, channels, H, W) -> (h, w), summed."""
    side = model.vision_model.config.patch_size
    whole = attributed.sum(1, keepdim=True)
    return nn.functional.avg_pool2d(whole, side)[0, 0] * side**2


def as_grid(of_patches: torch.Tensor, model: Any, pixel_values: torch.Tensor) -> torch.Tensor:
    return of_patches.unflatten(0, (pixel_values.shape[-2] // model.vision_model.config.patch_size, -1))


def involved(model: Any, router_logits: Sequence[torch.Tensor] | None) -> list[tuple[str, float]]:
    """By the last layer that has experts; a plain ViT has none."""
    if not router_logits:
        return []
    shares = router_logits[-1][0].float().softmax(-1).tolist()
    return sorted(zip(model.config.body_parts, shares, strict=True), key=lambda named: -named[1])


def shown(pixels: np.ndarray) -> np.ndarray:
    """(3, H, W) in 0..255 -> (H, W) or, where it has colours, (H, W, 3) uint8."""
    eight_bit = np.clip(np.round(pixels), 0, 255).astype(np.uint8)
    return eight_bit[0] if (eight_bit[1:] == eight_bit[:1]).all() else np.moveaxis(eight_bit, 0, -1)


@contextmanager
def eager_attention(tower: Any) -> Iterator[None]:
    """Attention written out, so that its weights come back; the faster kinds do not keep them."""
    before = tower.config._attn_implementation
    tower.set_attn_implementation("eager")
    try:
        yield
    finally:
        tower.set_attn_implementation(before)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
