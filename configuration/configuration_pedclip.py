# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""PedCLIP's configuration: the ViT with its experts, the text encoder, and what joins them."""

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig
from transformers.backbone_utils import BackboneConfigMixin
from transformers.configuration_utils import PreTrainedConfig, SubConfigSpec

from .hub_folder_pedclip import SelfContainedMixin

# Ours: the paper counts 23 anatomical regions and names only chest, wrist, forearm, hip and knee. One expert each, in
# this order.
BODY_PARTS = (
    "abdomen",
    "ankle",
    "cervical_spine",
    "chest",
    "clavicle",
    "elbow",
    "face",
    "femur",
    "finger",
    "foot",
    "forearm",
    "hand",
    "hip",
    "humerus",
    "knee",
    "lower_leg",
    "lumbar_spine",
    "pelvis",
    "shoulder",
    "skull",
    "thoracic_spine",
    "whole_spine",
    "wrist",
)

VOLUME_POOLING = ("mean", "max", "attention")

# What each Auto class opens, file by file, in a folder on the Hub
MODEL_AUTO_MAP = {
    "AutoConfig": "configuration_pedclip.PedCLIPConfig",
    "AutoModel": "modeling_pedclip.PedCLIPModel",
    "AutoModelForZeroShotImageClassification": "modeling_pedclip.PedCLIPModel",
    "AutoModelForImageClassification": "modeling_pedclip.PedCLIPForImageClassification",
}
# Under the stock name it takes the stock pipeline's place, which would make 16-bit films white.
PIPELINES = ("zero-shot-image-classification", "pedclip-zero-shot")
ZERO_SHOT_PIPELINE = {
    "impl": "pipeline_pedclip.PedCLIPZeroShotImageClassificationPipeline",
    "pt": ["AutoModelForZeroShotImageClassification"],
}
VISION_AUTO_MAP = {
    "AutoConfig": "configuration_pedclip.PedCLIPVisionConfig",
    "AutoModel": "modeling_pedclip.PedCLIPVisionModel",
    "AutoBackbone": "modeling_pedclip.PedCLIPVisionBackbone",
}


@strict
class PedCLIPVisionConfig(SelfContainedMixin, BackboneConfigMixin, PreTrainedConfig):
    r"""The image tower: a ViT whose MLP is replaced by a Mixture of Body-part Experts (MoBE) in chosen layers.

    The ViT's fields are those of `ViTConfig`; the defaults are ViT-B/16 at 224 pixels, the paper's. Further:

    Args:
        mobe_layers (`list[int]`, *optional*, defaults to the last layer, `[11]`):
            Layers, counted from 0, whose MLP is a MoBE. The paper's best model has it in the last layer only (Fig. 4).
            An empty list is a plain ViT.
        num_experts (`int`, *optional*, defaults to 23):
            Experts in each MoBE, one per body part.
        expert_intermediate_size (`int`, *optional*):
            Width inside each expert. `None`: the same as `intermediate_size`, as in the paper.
        skip_experts_below (`float`, *optional*, defaults to 0.0, which is exact):
            Outside training, experts whose involvement in an image is below it are left out of that image; the others
            keep their shares. How far that can move a layer's output is known beforehand:
            `layer.mlp.skip_bound(layer.layernorm_after, threshold)`. Ours.
        drop_path_rate (`float`, *optional*, defaults to 0.0):
            Stochastic depth, in training only: how often the last layer's attention and MLP are left out for an image;
            earlier layers proportionally less. Ours, for towers that start from nothing.
        stem_channels (`list[int]`, *optional*):
            Widths of 3 x 3 convolutions of stride 2, each with batch norm and ReLU, that the image passes before it is
            cut into patches (Xiao et al. 2021, arXiv 2106.14881). A patch still covers `patch_size` pixels. Ours, for
            towers that start from nothing: they learn small signs in far fewer images. `None`: a plain ViT, as in the
            paper.
        out_features (`list[str]`, *optional*), out_indices (`list[int]`, *optional*):
            As a backbone: the stages whose feature maps are returned, by name ("stem", "stage1", ...) or by number.
            The last one if neither is given.

    Example:

    ```python
    >>> from pedclip import PedCLIPVisionConfig, PedCLIPVisionModel

    >>> config = PedCLIPVisionConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, mobe_layers=[1])
    >>> model = PedCLIPVisionModel(config)
    ```"""

    model_type = "pedclip_vision_model"
    base_config_key = "vision_config"

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float | int = 0.0
    attention_probs_dropout_prob: float | int = 0.0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    image_size: int = 224
    patch_size: int = 16
    num_channels: int = 3
    qkv_bias: bool = True
    mobe_layers: list[int] | tuple[int, ...] | None = None
    num_experts: int = 23
    expert_intermediate_size: int | None = None
    skip_experts_below: float | int = 0.0
    drop_path_rate: float | int = 0.0
    stem_channels: list[int] | tuple[int, ...] | None = None
    _out_features: list[str] | None = None
    _out_indices: list[int] | None = None

    def __post_init__(self, **kwargs):
        self.stage_names = ["stem", *(f"stage{layer + 1}" for layer in range(self.num_hidden_layers))]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None), out_features=kwargs.pop("out_features", None)
        )
        self.mobe_layers = [11] if self.mobe_layers is None else list(self.mobe_layers)
        if self.expert_intermediate_size is None:
            self.expert_intermediate_size = self.intermediate_size
        self.auto_map = {**VISION_AUTO_MAP, **kwargs.pop("auto_map", {})}
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        """Called by `@strict` when the config is made and when it is saved. Errors say what, the rule, the way out."""
        counts = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "num_channels")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "drop_path_rate", "skip_experts_below"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a probability, from 0 and below 1")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size is {self.hidden_size} and num_attention_heads is {self.num_attention_heads}; the width "
                "must be a multiple of the number of heads"
            )
        if self.patch_size < 1:
            raise ValueError(f"patch_size is {self.patch_size}; a patch is at least 1 pixel wide")
        if self.image_size < self.patch_size or self.image_size % self.patch_size:
            fitting = max(self.image_size // self.patch_size, 1) * self.patch_size
            raise ValueError(
                f"image_size is {self.image_size} and patch_size is {self.patch_size}; the image must be a whole "
                f"number of patches wide, for example image_size={fitting}"
            )
        stem = self.stem_channels or ()
        if min(stem, default=1) < 1 or self.patch_size % 2 ** len(stem):
            raise ValueError(
                f"stem_channels is {list(stem)} and patch_size is {self.patch_size}; each width must be at least 1, "
                f"and as each convolution halves the image, patch_size a multiple of {2 ** len(stem)}"
            )
        wrong = [layer for layer in self.mobe_layers if not 0 <= layer < self.num_hidden_layers]
        if wrong:
            raise ValueError(
                f"mobe_layers holds {wrong}, but the tower has {self.num_hidden_layers} layers; count them from 0 "
                f"to {self.num_hidden_layers - 1}, for example mobe_layers=[{self.num_hidden_layers - 1}] for the last"
            )
        if len(set(self.mobe_layers)) < len(self.mobe_layers):
            raise ValueError(f"mobe_layers is {self.mobe_layers}; name each layer once")
        if self.num_experts < 1:
            raise ValueError(
                f"num_experts is {self.num_experts}; a MoBE needs at least 1 expert (mobe_layers=[] is a plain ViT)"
            )
        if self.expert_intermediate_size < 1:
            raise ValueError(
                f"expert_intermediate_size is {self.expert_intermediate_size}; give at least 1, or None for "
                f"intermediate_size ({self.intermediate_size})"
            )


@strict
class PedCLIPConfig(SelfContainedMixin, PreTrainedConfig):
    r"""The whole model: both towers, the shared space, the temperature, and the names of the body parts.

    Args:
        vision_config (`dict` or `PedCLIPVisionConfig`, *optional*):
            The image tower.
        text_config (`dict` or `PreTrainedConfig`, *optional*):
            The text tower: the config of any BERT-family encoder (`model_type` names which; `"bert"` if it does not).
        projection_dim (`int`, *optional*):
            Width of the shared space. `None`: the text tower's width. A tower of that width has no projection, as in
            the paper's equations; one of another width gets a linear one without bias.
        logit_scale_init_value (`float`, *optional*, defaults to 2.6593):
            log(1 / temperature) at the start; 2.6593 is a temperature of 0.07. Ours: the paper gives no value.
        logit_scale_max (`float`, *optional*, defaults to 4.6052):
            Upper limit of the learnable log(1 / temperature), here log(100), as in CLIP. Ours.
        gate_loss_weight (`float`, *optional*, defaults to 1.0):
            lambda, the weight of the gate's cross-entropy, where `forward` is given none.
        mask_identical_texts (`bool`, *optional*, defaults to `False`):
            Ours, off in the paper's recipe: items of a batch with the same text as an item's own are not its
            negatives. Captions made from labels repeat.
        volume_pooling (`str`, *optional*, defaults to `"mean"`):
            How the slices of a volume, or the views of a study, become one embedding: `"mean"` and `"max"` have no
            parameters; `"attention"` is RadCLIP's slice pooling adapter, with as many heads as the image tower, which
            before training equals `"mean"`.
        body_parts (`list[str]`, *optional*):
            One name for each expert, in order. `None`: the 23 of `BODY_PARTS`.

    Example:

    ```python
    >>> from pedclip import PedCLIPConfig, PedCLIPModel

    >>> small = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    >>> config = PedCLIPConfig(vision_config={**small, "mobe_layers": [1]}, text_config={**small, "vocab_size": 99})
    >>> model = PedCLIPModel(config)
    ```"""

    model_type = "pedclip"
    sub_configs_defaults = {
        "vision_config": SubConfigSpec(config_class=PedCLIPVisionConfig),
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="bert"),
    }

    vision_config: dict | PreTrainedConfig | None = None
    text_config: dict | PreTrainedConfig | None = None
    projection_dim: int | None = None
    logit_scale_init_value: float | int = 2.6592600369327783
    logit_scale_max: float | int = 4.605170185988092
    gate_loss_weight: float | int = 1.0
    mask_identical_texts: bool = False
    volume_pooling: str = "mean"
    body_parts: list[str] | tuple[str, ...] | None = None
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs):
        self.body_parts = list(BODY_PARTS if self.body_parts is None else self.body_parts)
        self.auto_map = {**MODEL_AUTO_MAP, **kwargs.pop("auto_map", {})}
        # made anew each time: transformers puts classes into it when a pipeline is opened, which no file can hold
        kwargs.pop("custom_pipelines", None)
        self.custom_pipelines = {name: dict(ZERO_SHOT_PIPELINE) for name in PIPELINES}
        super().__post_init__(**kwargs)
        # transformers saves where a text config was read from: a path of somebody's machine, in a folder for the Hub
        self.text_config._name_or_path = ""

    @property
    def shared_dim(self) -> int:
        """Width of the space in which images and texts are compared."""
        return self.projection_dim if self.projection_dim is not None else self.text_config.hidden_size

    def to_dict(self) -> dict:
        """As in transformers; but a classifier, whose text tower is not saved, offers no zero-shot pipeline."""
        fields = super().to_dict()
        if self.architectures == ["PedCLIPForImageClassification"]:
            del fields["custom_pipelines"]
        return fields

    def validate_architecture(self):
        """Called by `@strict` when the config is made and when it is saved. Errors say what, the rule, the way out."""
        names, experts = len(self.body_parts), self.vision_config.num_experts
        if names != experts:
            raise ValueError(
                f"body_parts has {names} names and vision_config.num_experts is {experts}; each expert needs one "
                f"name: pass body_parts=[...] with {experts} names, or num_experts={names}"
            )
        repeated = sorted({name for name in self.body_parts if self.body_parts.count(name) > 1})
        if repeated:
            raise ValueError(f"body_parts holds {repeated} more than once; each expert needs a name of its own")
        if self.projection_dim is not None and self.projection_dim < 1:
            raise ValueError(f"projection_dim is {self.projection_dim}; give at least 1, or None for the text's width")
        if self.logit_scale_init_value > self.logit_scale_max:
            raise ValueError(
                f"logit_scale_init_value is {self.logit_scale_init_value}, above logit_scale_max "
                f"({self.logit_scale_max}); both are log(1 / temperature)"
            )
        if self.gate_loss_weight < 0:
            raise ValueError(f"gate_loss_weight is {self.gate_loss_weight}; lambda must not be negative")
        if self.volume_pooling not in VOLUME_POOLING:
            raise ValueError(f"volume_pooling is {self.volume_pooling!r}; it is one of {', '.join(VOLUME_POOLING)}")


__all__ = ["BODY_PARTS", "PedCLIPConfig", "PedCLIPVisionConfig"]
