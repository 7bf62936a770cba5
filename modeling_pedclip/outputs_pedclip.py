# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""What PedCLIP's forward passes return."""

from dataclasses import dataclass

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import ModelOutput, auto_docstring


@auto_docstring(custom_intro="What the image tower returns.")
@dataclass
class PedCLIPVisionOutput(ModelOutput):
    r"""
    last_hidden_state (`torch.FloatTensor` of shape `(batch_size, num_patches + 1, hidden_size)`):
        The normed tokens of the last layer, [IMG] first.
    pooler_output (`torch.FloatTensor` of shape `(batch_size, hidden_size)`):
        The [IMG] token, v_IMG of the paper; from `get_image_features`, projected to the shared space.
    router_logits (`tuple(torch.FloatTensor)`):
        For each MoBE layer, in order, the gate's logits of shape `(batch_size, num_experts)`; of volumes for each
        slice, `(batch_size, num_slices, num_experts)`, and 0 for the slices that pad.
    slice_attentions (`torch.FloatTensor` of shape `(batch_size, num_slices)`, *optional*):
        Of volumes: each slice's share of the study's embedding. They sum to 1; slices that pad have 0.
    """

    last_hidden_state: torch.FloatTensor | None = None
    pooler_output: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    router_logits: tuple[torch.FloatTensor, ...] | None = None
    slice_attentions: torch.FloatTensor | None = None


@auto_docstring(custom_intro="What PedCLIP returns.")
@dataclass
class PedCLIPOutput(ModelOutput):
    r"""
    loss (`torch.FloatTensor` of shape `(1,)`, *optional*, returned when `return_loss=True`):
        contrastive_loss + gate_weight * gate_loss.
    contrastive_loss (`torch.FloatTensor` of shape `(1,)`, *optional*, returned when `return_loss=True`):
        Half image_to_text_loss, half text_to_image_loss.
    image_to_text_loss (`torch.FloatTensor` of shape `(1,)`, *optional*, returned when `return_loss=True`):
        Eq. 3, averaged over the batch of all processes.
    text_to_image_loss (`torch.FloatTensor` of shape `(1,)`, *optional*, returned when `return_loss=True`):
        Eq. 4, averaged over the batch of all processes.
    gate_loss (`torch.FloatTensor` of shape `(1,)`, *optional*, returned with `return_loss=True` and `body_part`):
        Cross-entropy of the gate against the body part, before its weight; with several processes, what has to be
        averaged over them.
    logits_per_image (`torch.FloatTensor` of shape `(image_batch_size, text_batch_size)`):
        Cosine of image and text, divided by the temperature.
    logits_per_text (`torch.FloatTensor` of shape `(text_batch_size, image_batch_size)`):
        The transpose of logits_per_image.
    text_embeds (`torch.FloatTensor` of shape `(batch_size, shared_dim)`):
        Texts in the shared space, of length 1.
    image_embeds (`torch.FloatTensor` of shape `(batch_size, shared_dim)`):
        Images in the shared space, of length 1.
    router_logits (`tuple(torch.FloatTensor)`):
        For each MoBE layer, in order, the gate's logits of shape `(batch_size, num_experts)`; of volumes for each
        slice, `(batch_size, num_slices, num_experts)`, and 0 for the slices that pad.
    slice_attentions (`torch.FloatTensor` of shape `(batch_size, num_slices)`, *optional*):
        Of volumes: each slice's share of the study's embedding. They sum to 1; slices that pad have 0.
    text_model_output (`BaseModelOutputWithPooling`):
        What the text tower returned; with `return_loss=True` and `mask_identical_texts`, for each distinct text once.
    vision_model_output (`PedCLIPVisionOutput`):
        What the image tower returned; its `last_hidden_state` is the [IMG] token alone, or that of each slice.
    """

    loss: torch.FloatTensor | None = None
    contrastive_loss: torch.FloatTensor | None = None
    image_to_text_loss: torch.FloatTensor | None = None
    text_to_image_loss: torch.FloatTensor | None = None
    gate_loss: torch.FloatTensor | None = None
    logits_per_image: torch.FloatTensor | None = None
    logits_per_text: torch.FloatTensor | None = None
    text_embeds: torch.FloatTensor | None = None
    image_embeds: torch.FloatTensor | None = None
    router_logits: tuple[torch.FloatTensor, ...] | None = None
    slice_attentions: torch.FloatTensor | None = None
    text_model_output: BaseModelOutputWithPooling | None = None
    vision_model_output: PedCLIPVisionOutput | None = None

    def to_tuple(self) -> tuple:
        towers = ("text_model_output", "vision_model_output")
        return tuple(self[key].to_tuple() if key in towers else self[key] for key in self.keys())
