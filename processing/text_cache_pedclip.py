# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""Text embeddings that are computed once: many films are compared with the same few texts."""

# Shapes: N texts, C shared width
from collections.abc import Sequence
from typing import Any

import torch


class PedCLIPTextCache:
    """Embeds texts with one model and remembers each, in memory.

    What is remembered belongs to the weights that it was computed with: once a tensor of the text side is replaced or
    written to, an optimizer's step say, everything is computed anew. What passes autograd by (`weight.data.add_`), or
    switches parts on and off (an adapter), is not seen: call `clear()`. A text is known by its token ids, so another
    tokenizer never finds the wrong one, and texts that are cut to the same tokens are one.
    """

    def __init__(self, model: Any, processor: Any, batch_size: int = 64, size: int = 4096):
        self.model, self.processor, self.batch_size, self.size = model, processor, batch_size, size
        self.clear()

    def clear(self) -> None:
        self._of_weights: tuple[Any, dict[tuple[int, ...], torch.Tensor]] = (None, {})

    @torch.no_grad()
    def __call__(self, texts: Sequence[str], **text_kwargs: Any) -> torch.Tensor:
        """(N, C) of length 1, in float32 at least, on the model's device. `text_kwargs` are the tokenizer's."""
        settings = {"padding": True, "truncation": True, **text_kwargs}
        keys = self._keys(texts, settings)
        weights = self._weights()
        if self._of_weights[0] != weights:
            self._of_weights = (weights, {})
        known = self._of_weights[1]  # threads may exchange it meanwhile; what is in it stays right
        found = {key: known[key] for key in keys if key in known}
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if len(known) + len(new) > self.size:  # a stream of ever new texts must not fill the memory
            self._of_weights = (weights, known := {})
        missing = list(new)
        for first in range(0, len(missing), self.batch_size):
            of_batch = missing[first : first + self.batch_size]
            computed = self._computed([new[key] for key in of_batch], settings)
            found.update(zip(of_batch, computed, strict=True))
        known.update((key, found[key]) for key in missing[-self.size :])
        return torch.stack([found[key] for key in keys])

    def _keys(self, texts: Sequence[str], settings: dict[str, Any]) -> list[tuple[int, ...]]:
        encoded = self.processor(text=list(texts), return_tensors="pt", **settings)
        kept = encoded["attention_mask"].bool()
        return [tuple(ids[mask].tolist()) for ids, mask in zip(encoded["input_ids"], kept, strict=True)]

    def _computed(self, texts: list[str], settings: dict[str, Any]) -> torch.Tensor:
        encoded = self.processor(text=texts, return_tensors="pt", **settings)
        inputs = {name: tensor.to(self.model.logit_scale.device) for name, tensor in encoded.items()}
        embeds = self.model.get_text_features(**inputs).pooler_output
        at_least_float32 = torch.promote_types(embeds.dtype, torch.float32)
        return torch.nn.functional.normalize(embeds.to(at_least_float32), dim=-1)

    def _weights(self) -> tuple:
        """Changes with the text side's weights: where each tensor lies, and how often it was written to."""
        sides = (self.model.text_model, self.model.text_projection)
        tensors = [tensor for side in sides for tensor in (*side.parameters(), *side.buffers())]
        written = [(one.data_ptr(), 0 if one.is_inference() else one._version, one.dtype) for one in tensors]
        return self.model.training, *written
