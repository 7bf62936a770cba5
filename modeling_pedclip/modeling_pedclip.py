# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""PedCLIP: a ViT with body-part experts and a BERT, trained to agree on X-rays and their reports."""

# Shapes: B batch, T tokens ([IMG] first, then patches), D width, H heads, E experts, C shared width
import copy
import dataclasses
import difflib
import functools
import inspect
from collections.abc import Callable

import torch
from torch import nn
from transformers import AutoConfig, ViTModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.backbone_utils import BackboneMixin, filter_output_hidden_states
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BackboneOutput, BaseModelOutputWithPooling, ImageClassifierOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_MAPPING
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, auto_docstring
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from ..configuration.configuration_pedclip import PedCLIPConfig, PedCLIPVisionConfig
from ..configuration.hub_folder_pedclip import SelfContainedMixin
from .losses_pedclip import contrastive_losses, distinct_texts, gate_loss, same_text, similarity
from .mobe_pedclip import PedCLIPBodyPartGate, PedCLIPExperts, PedCLIPMoBE, check_body_part
from .outputs_pedclip import PedCLIPOutput, PedCLIPVisionOutput
from .volume_pedclip import (
    SLICE_POOLING,
    SLICES_AT_ONCE,
    PedCLIPZeroLinear,
    check_volume,
    encode_slices,
    refuse_lost_pooling,
)


class PedCLIPStem(nn.Sequential):
    """Convolutions before the patches (Xiao et al. 2021): (B, channels, H, W) -> (B, C, H / 2^n, W / 2^n)."""

    def __init__(self, config: PedCLIPVisionConfig):
        layers: list[nn.Module] = []
        channels = config.num_channels
        for width in config.stem_channels or ():
            convolution = nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        super().__init__(*layers)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        # the order of memory in which a CPU's and a GPU's convolutions are fastest
        return super().forward(input.contiguous(memory_format=torch.channels_last))


class PedCLIPVisionEmbeddings(nn.Module):
    """Patches and the [IMG] token with their learned positions: (B, channels, height, width) -> (B, T, D)."""

    def __init__(self, config: PedCLIPVisionConfig):
        super().__init__()
        self.image_size = config.image_size
        self.patch_size = config.patch_size
        self.num_channels = config.num_channels
        patches = (config.image_size // config.patch_size) ** 2
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.hidden_size))
        self.position_embeddings = nn.Parameter(torch.empty(1, patches + 1, config.hidden_size))
        stem = config.stem_channels or ()
        self.stem = PedCLIPStem(config) if stem else nn.Identity()
        channels, side = (stem or [config.num_channels])[-1], config.patch_size // 2 ** len(stem)
        self.patch_embeddings = nn.Conv2d(channels, config.hidden_size, kernel_size=side, stride=side)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def interpolate_pos_encoding(self, height: int, width: int) -> torch.Tensor:
        """The position embeddings, resampled for another image size: (1, T, D)."""
        img_position, patch_positions = self.position_embeddings[:, :1], self.position_embeddings[:, 1:]
        side = self.image_size // self.patch_size
        grid = patch_positions.unflatten(1, (side, side)).permute(0, 3, 1, 2)
        size = (height // self.patch_size, width // self.patch_size)
        grid = nn.functional.interpolate(grid, size=size, mode="bicubic", align_corners=False)
        return torch.cat((img_position, grid.flatten(2).transpose(1, 2)), dim=1)

    def forward(self, pixel_values: torch.Tensor, interpolate_pos_encoding: bool = False) -> torch.Tensor:
        if pixel_values.ndim != 4:
            raise ValueError(
                f"pixel_values has the shape {tuple(pixel_values.shape)}; the image tower takes images, (batch, "
                "channels, height, width), and PedCLIPModel volumes too"
            )
        channels, height, width = pixel_values.shape[1:]
        if channels != self.num_channels:
            raise ValueError(
                f"pixel_values has {channels} channels and the model takes {self.num_channels}; use the model's own "
                "image processor, which repeats a grey image"
            )
        if (height, width) != (self.image_size, self.image_size) and not interpolate_pos_encoding:
            raise ValueError(
                f"pixel_values is {height} x {width} and the model takes {self.image_size} x {self.image_size}; use "
                "the model's own image processor, or pass interpolate_pos_encoding=True"
            )
        patches = self.patch_embeddings(self.stem(pixel_values)).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.cls_token.expand(patches.shape[0], -1, -1), patches), dim=1)
        positions = (
            self.interpolate_pos_encoding(height, width) if interpolate_pos_encoding else self.position_embeddings
        )
        return self.dropout(tokens + positions)


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Unpack[TransformersKwargs],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention written out; what `attn_implementation="eager"` runs, and the one that returns its weights."""
    attn_weights = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        attn_weights = attn_weights + attention_mask
    at_least_float32 = torch.promote_types(query.dtype, torch.float32)
    attn_weights = attn_weights.softmax(dim=-1, dtype=at_least_float32).to(query.dtype)
    attn_weights = nn.functional.dropout(attn_weights, p=dropout, training=module.training)
    return (attn_weights @ value).transpose(1, 2).contiguous(), attn_weights


class PedCLIPVisionAttention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, config: PedCLIPVisionConfig):
        super().__init__()
        self.config = config
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.attention_dropout = config.attention_probs_dropout_prob
        self.is_causal = False
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=config.qkv_bias)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=config.qkv_bias)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=config.qkv_bias)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self, hidden_states: torch.Tensor, num_queries: int | None = None, **kwargs: Unpack[TransformersKwargs]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(B, T, D) -> (B, T, D), or with `num_queries` the first so many tokens alone, which still see all."""
        queries = hidden_states if num_queries is None else hidden_states[:, :num_queries]

        def heads(projected: torch.Tensor) -> torch.Tensor:
            return projected.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)  # (B, H, T, D / H)

        attention_interface: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        attn_output, attn_weights = attention_interface(
            self,
            heads(self.q_proj(queries)),
            heads(self.k_proj(hidden_states)),
            heads(self.v_proj(hidden_states)),
            None,
            dropout=self.attention_dropout if self.training else 0.0,
            scaling=self.scaling,
            **kwargs,
        )
        return self.o_proj(attn_output.flatten(2)), attn_weights


class PedCLIPVisionMLP(nn.Module):
    """The plain MLP of the layers that have no experts."""

    def __init__(self, config: PedCLIPVisionConfig):
        super().__init__()
        self.activation_fn = ACT2FN[config.hidden_act]
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.activation_fn(self.fc1(hidden_states)))


class PedCLIPDropPath(nn.Module):
    """Stochastic depth: in training, leaves a branch out for some images and scales it up for the others."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, branch: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return branch
        kept = torch.empty(len(branch), 1, 1, dtype=branch.dtype, device=branch.device).bernoulli_(1 - self.rate)
        return branch * kept / (1 - self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


class PedCLIPVisionLayer(GradientCheckpointingLayer):
    """One pre-norm transformer layer (Fig. 3): norm, attention, add, norm, MLP or MoBE, add."""

    def __init__(self, config: PedCLIPVisionConfig, layer_idx: int):
        super().__init__()
        self.has_experts = layer_idx in config.mobe_layers
        self.layernorm_before = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = PedCLIPVisionAttention(config)
        self.layernorm_after = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = PedCLIPMoBE(config) if self.has_experts else PedCLIPVisionMLP(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.drop_path = PedCLIPDropPath(config.drop_path_rate * layer_idx / max(config.num_hidden_layers - 1, 1))

    def forward(
        self,
        hidden_states: torch.Tensor,
        forced_experts: torch.Tensor | None = None,
        num_queries: int | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The layer's tokens and, where it has experts, its gate's logits (B, E).

        The logits are returned, not only recorded: under gradient checkpointing what is returned carries gradients.
        """
        attended, _ = self.attention(self.layernorm_before(hidden_states), num_queries, **kwargs)
        hidden_states = hidden_states[:, : attended.shape[1]] + self.drop_path(self.dropout(attended))

        normed = self.layernorm_after(hidden_states)
        router_logits = None
        if self.has_experts:
            mixed, router_logits = self.mlp(normed, forced_experts)
        else:
            mixed = self.mlp(normed)
        return hidden_states + self.drop_path(self.dropout(mixed)), router_logits


@auto_docstring
class PedCLIPPreTrainedModel(SelfContainedMixin, PreTrainedModel):
    config: PedCLIPConfig
    base_model_prefix = "pedclip"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    _no_split_modules = ["PedCLIPVisionEmbeddings", "PedCLIPVisionLayer", "PedCLIPSliceAttention"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {
        "hidden_states": PedCLIPVisionLayer,
        "attentions": PedCLIPVisionAttention,
        "router_logits": OutputRecorder(PedCLIPBodyPartGate),
    }

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        """As ViT: truncated normal for positions and [IMG], normal for the rest, zero for biases."""
        super()._init_weights(module)
        std = self.config.initializer_range
        if isinstance(module, PedCLIPVisionEmbeddings):
            init.trunc_normal_(module.position_embeddings, mean=0.0, std=std)
            init.trunc_normal_(module.cls_token, mean=0.0, std=std)
        elif isinstance(module, PedCLIPExperts):
            init.normal_(module.up_proj, mean=0.0, std=std)
            init.normal_(module.down_proj, mean=0.0, std=std)
            init.zeros_(module.up_bias)
            init.zeros_(module.down_bias)
        elif isinstance(module, PedCLIPZeroLinear):
            init.zeros_(module.weight)
        elif isinstance(module, PedCLIPModel):
            init.constant_(module.logit_scale, self.config.logit_scale_init_value)


@auto_docstring(custom_intro="The image tower of PedCLIP: a ViT with a Mixture of Body-part Experts in chosen layers.")
class PedCLIPVisionModel(PedCLIPPreTrainedModel):
    config: PedCLIPVisionConfig
    base_model_prefix = "vision_model"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _input_embed_layer = "patch_embeddings"
    # a whole PedCLIP opens as its image tower: the rest is left out on purpose
    _keys_to_ignore_on_load_unexpected = [
        *(r"^text_model\.", r"^(text|visual)_projection\.", r"^slice_pooling\.", r"^logit_scale$")
    ]

    def __init__(self, config: PedCLIPVisionConfig):
        super().__init__(config)
        self.embeddings = PedCLIPVisionEmbeddings(config)
        self.layers = nn.ModuleList([PedCLIPVisionLayer(config, index) for index in range(config.num_hidden_layers)])
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.patch_embeddings

    @torch.no_grad()
    def copy_from_vit(self, vit: ViTModel):
        """Takes over a ViT's weights; the MLP of a layer with experts goes into each of them."""
        if vit.config.num_hidden_layers != len(self.layers):
            raise ValueError(
                f"the ViT has {vit.config.num_hidden_layers} layers and the image tower {len(self.layers)}; leave "
                "num_hidden_layers as the ViT has it"
            )
        mine = self.state_dict()
        for name, weight in vit.state_dict().items():
            name = name.replace("patch_embeddings.projection", "patch_embeddings")
            target = mine.get(name)
            if target is None and "mlp." in name:  # experts: fc1.weight is up_proj, without its first axis
                layer, _, part = name.partition("mlp.")
                linear, kind = part.split(".")
                side = {"fc1": "up", "fc2": "down"}[linear]
                target = mine[f"{layer}mlp.experts.{side}_{'proj' if kind == 'weight' else 'bias'}"]
            if target is None or target.shape[target.ndim - weight.ndim :] != weight.shape:
                place = "has no place here" if target is None else f"does not fit {tuple(target.shape)}"
                raise ValueError(
                    f"{name} of the ViT is {tuple(weight.shape)} and {place}; leave the vision_ fields as the ViT has "
                    "them (image_size, patch_size, hidden_size, intermediate_size, expert_intermediate_size, "
                    "qkv_bias, stem_channels)"
                )
            target.copy_(weight)

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    @auto_docstring
    def forward(
        self,
        pixel_values: torch.FloatTensor | None = None,
        forced_experts: torch.LongTensor | None = None,
        img_token_only: bool = False,
        interpolate_pos_encoding: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> PedCLIPVisionOutput:
        r"""
        forced_experts (`torch.LongTensor` of shape `(batch_size,)`, *optional*):
            Teacher forcing: the one expert of each image, or -100 for the gate's own mixture.
        img_token_only (`bool`, *optional*, defaults to `False`):
            Leave the patches out of the last layer's output, which then holds the [IMG] token alone. Exact: the [IMG]
            token sees every patch all the same.
        """
        if pixel_values is None:
            raise ValueError("You have to specify pixel_values")
        # callers move inputs to the model's device, but not always to its dtype
        hidden_states = self.embeddings(
            pixel_values.to(self.embeddings.patch_embeddings.weight.dtype), interpolate_pos_encoding
        )
        router_logits = []
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            num_queries = 1 if img_token_only and index == last else None
            hidden_states, layer_logits = layer(hidden_states, forced_experts, num_queries, **kwargs)
            if layer_logits is not None:
                router_logits.append(layer_logits)
        hidden_states = self.layernorm(hidden_states)
        return PedCLIPVisionOutput(
            last_hidden_state=hidden_states, pooler_output=hidden_states[:, 0], router_logits=tuple(router_logits)
        )


@auto_docstring(
    custom_intro="The image tower as a backbone: its patches as feature maps, for detection or segmentation."
)
class PedCLIPVisionBackbone(BackboneMixin, PedCLIPVisionModel):
    def __init__(
        self,
        config: PedCLIPVisionConfig,
        out_features: list[str] | None = None,
        out_indices: list[int] | None = None,
    ):
        r"""
        out_features (`list[str]`, *optional*):
            In place of the config's.
        out_indices (`list[int]`, *optional*):
            In place of the config's.
        """
        config = getattr(config, "vision_config", config)  # a whole PedCLIP opens as its image tower
        if out_features is not None or out_indices is not None:
            config = copy.deepcopy(config)
            config.set_output_features_output_indices(out_features, out_indices)
        super().__init__(config)
        self.num_features = [config.hidden_size] * (config.num_hidden_layers + 1)

    @can_return_tuple
    @filter_output_hidden_states
    @auto_docstring
    def forward(
        self,
        pixel_values: torch.FloatTensor,
        interpolate_pos_encoding: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BackboneOutput:
        r"""
        Returns:
            `BackboneOutput`: `feature_maps`, one for each of `out_features`, of shape
            `(batch_size, hidden_size, height / patch_size, width / patch_size)`: the stage's patches after the final
            norm, without [IMG].
        """
        # by name: before it comes the mixin, whose own forward only says that there is none
        outputs = PedCLIPVisionModel.forward(
            self, pixel_values, interpolate_pos_encoding=interpolate_pos_encoding, **kwargs
        )
        rows = pixel_values.shape[-2] // self.config.patch_size
        feature_maps = tuple(
            self.layernorm(hidden_states)[:, 1:].unflatten(1, (rows, -1)).permute(0, 3, 1, 2).contiguous()
            for stage, hidden_states in zip(self.stage_names, outputs.hidden_states, strict=True)
            if stage in self.out_features
        )
        return BackboneOutput(
            feature_maps=feature_maps, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


def _all_tokens_wanted(config: PedCLIPVisionConfig, kwargs: dict) -> bool:
    """Whether a caller reads more of the last layer than its [IMG] token: hidden states or attentions."""
    return any(kwargs.get(name, getattr(config, name)) for name in ("output_hidden_states", "output_attentions"))


def _text_class(config) -> tuple[type[PreTrainedModel], dict[str, bool]]:
    """The encoder class of a BERT-family config, and what leaves its pooling layer out: [CLS] itself is used."""
    model_class = MODEL_MAPPING[type(config)]
    if model_class.main_input_name != "input_ids":
        raise ValueError(
            f"the text tower is a {config.model_type!r}, which does not read text; give a BERT-family encoder, for "
            "example emilyalsentzer/Bio_ClinicalBERT"
        )
    takes_pooling = "add_pooling_layer" in inspect.signature(model_class.__init__).parameters
    return model_class, {"add_pooling_layer": False} if takes_pooling else {}


def _load_vit(name_or_path: str) -> ViTModel:
    """A pretrained ViT without its pooling layer: [IMG] itself is used."""
    model_type = AutoConfig.from_pretrained(name_or_path).model_type
    if model_type != "vit":
        raise ValueError(
            f"{name_or_path} is a {model_type!r}, and the image tower starts from a 'vit', for example "
            "google/vit-base-patch16-224"
        )
    return ViTModel.from_pretrained(name_or_path, add_pooling_layer=False)


def _vision_fields(vit: ViTModel) -> dict:
    """A ViT's config as fields of ours, with experts in its last layer."""
    fields = {field.name for field in dataclasses.fields(PedCLIPVisionConfig)}
    fields -= {field.name for field in dataclasses.fields(PreTrainedConfig)}
    own = {key: value for key, value in vit.config.to_dict().items() if key in fields}
    for key in ("image_size", "patch_size"):  # a ViT may say them once for each side
        if isinstance(own[key], list | tuple) and len(set(own[key])) == 1:
            own[key] = own[key][0]
    return own | {"mobe_layers": [vit.config.num_hidden_layers - 1]}


def _refuse_unknown(prefix: str, given: dict, config_class: type[PreTrainedConfig]):
    """A config takes any name and keeps it; a misspelt one would be an experiment that never was."""
    known = (
        {field.name for field in dataclasses.fields(config_class)} | set(config_class.attribute_map) | {"num_labels"}
    )
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {prefix + close[0]!r}?" if close else ""
            raise ValueError(f"{prefix + name!r} is no field of {config_class.__name__}{hint}")


@auto_docstring(custom_intro="PedCLIP: X-rays and report texts in one space, with a mixture of body-part experts.")
class PedCLIPModel(PedCLIPPreTrainedModel):
    def __init__(self, config: PedCLIPConfig):
        super().__init__(config)
        self.vision_model = PedCLIPVisionModel._from_config(config.vision_config)
        text_class, no_pooling = _text_class(config.text_config)
        self.text_model = text_class._from_config(config.text_config, **no_pooling)

        def projection(width: int) -> nn.Module:
            return nn.Identity() if width == config.shared_dim else nn.Linear(width, config.shared_dim, bias=False)

        self.slice_pooling = SLICE_POOLING[config.volume_pooling](config)
        self.visual_projection = projection(config.vision_config.hidden_size)
        self.text_projection = projection(config.text_config.hidden_size)
        self.logit_scale = nn.Parameter(torch.tensor(float(config.logit_scale_init_value)))
        self.post_init()

    def _load_from_state_dict(self, state_dict, prefix, *args):
        refuse_lost_pooling(self.slice_pooling, state_dict, f"{prefix}slice_pooling.")  # PEFT would not say a word
        super()._load_from_state_dict(state_dict, prefix, *args)

    def get_input_embeddings(self) -> nn.Module:
        return self.text_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module):
        self.text_model.set_input_embeddings(value)

    @can_return_tuple
    @auto_docstring
    def get_text_features(
        self,
        input_ids: torch.LongTensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutputWithPooling:
        r"""
        Returns:
            `BaseModelOutputWithPooling`: `pooler_output` of shape `(batch_size, shared_dim)` is the [CLS] token in the
            shared space, not yet of length 1.
        """
        optional = {"token_type_ids": token_type_ids, "position_ids": position_ids}
        kwargs = {**kwargs, **{key: value for key, value in optional.items() if value is not None}}
        outputs = self.text_model(input_ids=input_ids, attention_mask=attention_mask, return_dict=True, **kwargs)
        return BaseModelOutputWithPooling(
            last_hidden_state=outputs.last_hidden_state,
            pooler_output=self.text_projection(outputs.last_hidden_state[:, 0]),
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    @can_return_tuple
    @auto_docstring
    def get_image_features(
        self,
        pixel_values: torch.FloatTensor,
        forced_experts: torch.LongTensor | None = None,
        interpolate_pos_encoding: bool = False,
        slice_positions: torch.FloatTensor | None = None,
        slice_mask: torch.Tensor | None = None,
        slices_at_once: int = SLICES_AT_ONCE,
        **kwargs: Unpack[TransformersKwargs],
    ) -> PedCLIPVisionOutput:
        r"""
        pixel_values (`torch.FloatTensor` of shape `(batch_size, channels, height, width)`):
            Images, or volumes of shape `(batch_size, num_slices, channels, height, width)`.
        forced_experts (`torch.LongTensor` of shape `(batch_size,)`, *optional*):
            Teacher forcing: the one expert of each image or study, or -100 for the gate's own mixture.
        slice_positions (`torch.FloatTensor` of shape `(batch_size, num_slices)`, *optional*):
            Of volumes: where each slice lies, in mm. `None`: 1 mm apart in their order. All the same: no order.
        slice_mask (`torch.BoolTensor` of shape `(batch_size, num_slices)`, *optional*):
            Of volumes: 1 for slices, 0 for padding. `None`: all are slices.
        slices_at_once (`int`, *optional*, defaults to 8):
            Of volumes: how many slices go through the image tower together, which bounds the memory.

        Returns:
            `PedCLIPVisionOutput`: `pooler_output` of shape `(batch_size, shared_dim)` is the [IMG] token in the shared
            space, not yet of length 1. `last_hidden_state` is the [IMG] token alone, `(batch_size, 1, hidden_size)`:
            the last layer leaves out the patches, which nothing here reads. `vision_model(pixel_values)` has them.
            Of volumes it is the slices' [IMG] tokens, `(batch_size, num_slices, hidden_size)`, 0 where slices pad;
            so have `router_logits`, and `hidden_states` and `attentions` where asked for, an axis for slices.
        """
        check_volume(pixel_values, slice_positions, slice_mask)
        tower = functools.partial(
            self.vision_model,
            img_token_only=not _all_tokens_wanted(self.config.vision_config, kwargs),
            interpolate_pos_encoding=interpolate_pos_encoding,
            return_dict=True,
            **kwargs,
        )
        if pixel_values.ndim == 4:
            outputs = tower(pixel_values, forced_experts=forced_experts)
            outputs.last_hidden_state = outputs.last_hidden_state[:, :1]  # the same whatever else is asked for
        else:
            outputs = encode_slices(tower, pixel_values, slice_mask, forced_experts, slices_at_once)
            tokens = outputs.last_hidden_state
            mask = tokens.new_ones(tokens.shape[:2]) if slice_mask is None else slice_mask.to(tokens.device)
            positions = None if slice_positions is None else slice_positions.to(tokens.device)
            outputs.pooler_output, outputs.slice_attentions = self.slice_pooling(tokens, mask.bool(), positions)
        outputs.pooler_output = self.visual_projection(outputs.pooler_output)
        return outputs

    @can_return_tuple
    @auto_docstring
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        pixel_values: torch.FloatTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        body_part: torch.LongTensor | None = None,
        teacher_forcing: bool = False,
        gate_weight: float | torch.Tensor | None = None,
        return_loss: bool | None = None,
        interpolate_pos_encoding: bool = False,
        slice_positions: torch.FloatTensor | None = None,
        slice_mask: torch.Tensor | None = None,
        slices_at_once: int = SLICES_AT_ONCE,
        **kwargs: Unpack[TransformersKwargs],
    ) -> PedCLIPOutput:
        r"""
        pixel_values (`torch.FloatTensor` of shape `(batch_size, channels, height, width)`):
            Images, or volumes of shape `(batch_size, num_slices, channels, height, width)`; an image among volumes is
            a volume of one slice.
        body_part (`torch.LongTensor` of shape `(batch_size,)`, *optional*):
            Index of each image's or study's body part in `config.body_parts`, or -100 where it is unknown.
        teacher_forcing (`bool`, *optional*, defaults to `False`):
            Let `body_part` pick each image's expert instead of the gate (the paper's first 10 of 50 epochs).
        gate_weight (`float`, *optional*):
            lambda, the weight of the gate's loss. `None`: `config.gate_loss_weight`.
        return_loss (`bool`, *optional*):
            Whether to return the losses. Images and texts are then pairs, in order.
        slice_positions (`torch.FloatTensor` of shape `(batch_size, num_slices)`, *optional*):
            Of volumes: where each slice lies, in mm. `None`: 1 mm apart in their order. All the same: no order.
        slice_mask (`torch.BoolTensor` of shape `(batch_size, num_slices)`, *optional*):
            Of volumes: 1 for slices, 0 for padding. `None`: all are slices.
        slices_at_once (`int`, *optional*, defaults to 8):
            Of volumes: how many slices go through the image tower together, which bounds the memory.

        Example:

        ```python
        >>> import torch
        >>> from pedclip import PedCLIPConfig, PedCLIPModel

        >>> small = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
        >>> vision = {**small, "image_size": 32, "mobe_layers": [1]}
        >>> model = PedCLIPModel(PedCLIPConfig(vision_config=vision, text_config={**small, "vocab_size": 99}))
        >>> output = model(input_ids=torch.tensor([[1, 5, 2], [1, 7, 2]]), pixel_values=torch.randn(3, 3, 32, 32))
        >>> output.logits_per_image.shape
        torch.Size([3, 2])
        ```"""
        if input_ids is None or pixel_values is None:
            missing = "input_ids" if input_ids is None else "pixel_values"
            raise ValueError(
                f"{missing} is missing; PedCLIPModel compares images with texts and needs both. For one side alone "
                "use get_image_features or get_text_features"
            )
        if teacher_forcing and body_part is None:
            raise ValueError("teacher_forcing=True needs body_part, the label that picks each image's expert")
        if return_loss and len(input_ids) != len(pixel_values):
            raise ValueError(
                f"return_loss=True needs pairs, but there are {len(pixel_values)} images and {len(input_ids)} texts"
            )
        if body_part is not None:
            check_body_part(body_part, len(pixel_values), self.config.vision_config.num_experts)
        all_tokens_wanted = _all_tokens_wanted(self.config.vision_config, kwargs)
        vision_outputs = self.get_image_features(
            pixel_values,
            forced_experts=body_part if teacher_forcing else None,
            interpolate_pos_encoding=interpolate_pos_encoding,
            slice_positions=slice_positions,
            slice_mask=slice_mask,
            slices_at_once=slices_at_once,
            return_dict=True,
            **kwargs,
        )
        rows, of_pair = slice(None), slice(None)
        if return_loss and self.config.mask_identical_texts and not all_tokens_wanted:
            rows, of_pair = distinct_texts(input_ids, attention_mask)  # each goes through the text tower once
        text_outputs = self.get_text_features(
            input_ids[rows],
            attention_mask=None if attention_mask is None else attention_mask[rows],
            token_type_ids=None if token_type_ids is None else token_type_ids[rows],
            position_ids=position_ids if position_ids is None or len(position_ids) == 1 else position_ids[rows],
            return_dict=True,
            **kwargs,
        )
        # under autocast the towers end in half precision; a cosine over a small temperature wants the weights' own
        image_embeds = nn.functional.normalize(vision_outputs.pooler_output.to(self.logit_scale.dtype), dim=-1)
        text_embeds = nn.functional.normalize(text_outputs.pooler_output.to(self.logit_scale.dtype), dim=-1)
        text_embeds = text_embeds[of_pair].to(image_embeds.device)
        logit_scale = self.logit_scale.clamp(max=self.config.logit_scale_max).exp().to(image_embeds.device)
        logits_per_image = similarity(image_embeds, text_embeds, logit_scale)

        losses = {}
        if return_loss:
            identical = None
            if self.config.mask_identical_texts:
                identical = same_text(input_ids, attention_mask, self.config.text_config.max_position_embeddings)
            image_to_text, text_to_image = contrastive_losses(image_embeds, text_embeds, logit_scale, identical)
            losses = {"image_to_text_loss": image_to_text, "text_to_image_loss": text_to_image}
            losses["loss"] = losses["contrastive_loss"] = (image_to_text + text_to_image) / 2
            if body_part is not None and vision_outputs.router_logits:
                weight = self.config.gate_loss_weight if gate_weight is None else gate_weight
                losses["gate_loss"] = gate_loss(vision_outputs.router_logits, body_part, slice_mask)
                losses["loss"] = losses["contrastive_loss"] + weight * losses["gate_loss"]
        return PedCLIPOutput(  # given all at once: what is set later comes last, and a tuple begins with the loss
            **losses,
            logits_per_image=logits_per_image,
            logits_per_text=logits_per_image.T,
            text_embeds=text_embeds,
            image_embeds=image_embeds,
            router_logits=vision_outputs.router_logits,
            slice_attentions=vision_outputs.slice_attentions,
            text_model_output=text_outputs,
            vision_model_output=vision_outputs,
        )

    @classmethod
    def from_vision_text_pretrained(cls, vision: str | None, text: str | None, **kwargs) -> "PedCLIPModel":
        r"""Starts PedCLIP from a pretrained ViT and a pretrained BERT.

        The ViT's MLP is copied into every expert of its layer: whatever the gate says, the image tower begins as that
        ViT. What the two do not hold (gates, and projections where widths differ) is new.

        Args:
            vision (`str` or `None`):
                A ViT: its id on the Hub (`"google/vit-base-patch16-224"`) or a folder. `None`: an image tower with new
                weights, of the size that the `vision_` fields say.
            text (`str` or `None`):
                A BERT-family encoder: its id on the Hub (`"emilyalsentzer/Bio_ClinicalBERT"`) or a folder. `None`: a
                BERT with new weights, of the size that the `text_` fields say.
            kwargs:
                Fields of `PedCLIPConfig`. Those that begin with `vision_` or `text_` change a field of that tower's
                config, for example `vision_mobe_layers=[10, 11]`.

        Returns:
            `PedCLIPModel`: in evaluation mode, on the CPU.
        """
        towers: dict[str, dict] = {"vision": {}, "text": {}}
        for key in [key for key in kwargs if key.startswith(("vision_", "text_"))]:
            tower, field = key.split("_", 1)
            towers[tower][field] = kwargs.pop(key)

        _refuse_unknown("vision_", towers["vision"], PedCLIPVisionConfig)
        _refuse_unknown("", kwargs, cls.config_class)

        vit = None
        vision_fields = towers["vision"]
        if vision is not None:
            vit = _load_vit(vision)
            vision_fields = _vision_fields(vit) | vision_fields
        text_config = AutoConfig.for_model("bert") if text is None else AutoConfig.from_pretrained(text)
        _refuse_unknown("text_", towers["text"], type(text_config))
        text_config.update(towers["text"])
        text_class, no_pooling = _text_class(text_config)
        text_config.dtype = None  # both towers in one type, whatever the text's weights were saved in
        config = cls.config_class(vision_config=vision_fields, text_config=text_config.to_dict(), **kwargs)
        model = cls(config)
        if text is not None:
            pretrained_text = text_class.from_pretrained(text, config=text_config, **no_pooling)
            model.text_model.load_state_dict(pretrained_text.state_dict())
        if vit is not None:
            model.vision_model.copy_from_vit(vit)
        return model.eval()


@auto_docstring(custom_intro="The image tower of PedCLIP with a linear classifier on its [IMG] token.")
class PedCLIPForImageClassification(PedCLIPPreTrainedModel):
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _keys_to_ignore_on_load_unexpected = PedCLIPVisionModel._keys_to_ignore_on_load_unexpected

    def __init__(self, config: PedCLIPConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.vision_model = PedCLIPVisionModel._from_config(config.vision_config)
        width = config.vision_config.hidden_size
        self.classifier = nn.Linear(width, config.num_labels) if config.num_labels > 0 else nn.Identity()
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.vision_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module):
        self.vision_model.set_input_embeddings(value)

    @can_return_tuple
    @auto_docstring
    def forward(
        self,
        pixel_values: torch.FloatTensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> ImageClassifierOutput:
        r"""
        labels (`torch.Tensor`, *optional*):
            Of shape `(batch_size,)` and integer for one label an image (cross-entropy), of shape
            `(batch_size, num_labels)` and float for several (binary cross-entropy). `config.problem_type` says which;
            where it is not set, the labels' type does.
        """
        only_img = not _all_tokens_wanted(self.config.vision_config, kwargs)
        outputs: PedCLIPVisionOutput = self.vision_model(
            pixel_values, img_token_only=only_img, return_dict=True, **kwargs
        )
        logits = self.classifier(outputs.pooler_output)
        loss = None
        if labels is not None:
            loss = self.loss_function(labels, logits, self.config, **kwargs)
        return ImageClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


__all__ = [
    "PedCLIPForImageClassification",
    "PedCLIPModel",
    "PedCLIPPreTrainedModel",
    "PedCLIPVisionBackbone",
    "PedCLIPVisionModel",
]
