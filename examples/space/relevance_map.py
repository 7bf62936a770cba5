"""What the Space draws over a film: the patches that a text's similarity rests on. For the Space alone, so it needs
nothing but what a Space installs; pedclip.eval.relevance has the same map, and the test that both agree.
"""

# Shapes: T tokens ([IMG] first), H heads, h and w the patches' grid
from typing import Any

import numpy as np
import torch
from PIL import Image

SIDE = 448  # pixels of the drawn map
HEAT = np.array([255, 120, 0], dtype=np.float32)
MOST = 0.65  # of the heat's colour, where the map is highest


def relevance_map(model: Any, pixel_values: torch.Tensor, text_direction: torch.Tensor) -> np.ndarray:
    """(h, w), each 0 or more: gradient times attention, rolled out (Chefer, Gur and Wolf 2021), the row of [IMG].

    The model's attention is eager, or its weights do not come back. `text_direction` (1, D) is a text's embedding of
    length 1, or the difference of two such. Weights get no gradients.
    """
    with torch.inference_mode(False), torch.enable_grad():
        pixels = pixel_values.clone().requires_grad_(True)
        out = model.get_image_features(pixel_values=pixels, return_dict=True, output_attentions=True)
        embeds = torch.nn.functional.normalize(out.pooler_output, dim=-1)
        gradients = torch.autograd.grad((embeds * text_direction.clone()).sum(), out.attentions)
    first = out.attentions[0]
    relevance = torch.eye(first.shape[-1], dtype=first.dtype, device=first.device)
    for attention, gradient in zip(out.attentions, gradients, strict=True):
        relevance = relevance + (gradient[0] * attention[0]).clamp(min=0).mean(0).detach() @ relevance
    rows = pixel_values.shape[-2] // model.config.vision_config.patch_size
    return relevance[0, 1:].unflatten(0, (rows, -1)).float().cpu().numpy()


def drawn_over(film: np.ndarray, relevance: np.ndarray) -> Image.Image:
    """The map (h, w) as heat over the film (H, W), 0 to 255, that the model saw; every patch keeps its own edges."""
    most = float(relevance.max()) or 1.0
    grey = Image.fromarray(film.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    share = Image.fromarray((relevance / most).astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    heat = MOST * np.clip(np.asarray(share), 0, 1)[..., None]
    mixed = np.asarray(grey, dtype=np.float32)[..., None] * (1 - heat) + HEAT * heat
    return Image.fromarray(mixed.round().astype(np.uint8))
