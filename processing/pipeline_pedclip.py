# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""`pipeline("zero-shot-image-classification")` as PedCLIP needs it: its own processor reads images and cuts texts.

transformers' own pipeline turns deep images white, refuses DICOM, and fails on a label that is too long.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn
from transformers import ZeroShotImageClassificationPipeline

from .dicom_series_pedclip import refuse_loose_slices
from .text_cache_pedclip import PedCLIPTextCache

HOW_READ = ("window", "spacing", "plane", "allow_gaps")  # settings of volumes, as the processor takes them
IMAGE_INPUTS = ("pixel_values", "slice_positions", "slice_mask")


class PedCLIPZeroShotImageClassificationPipeline(ZeroShotImageClassificationPipeline):
    """How well each of the given texts fits a radiograph: a softmax over the model's own `logits_per_image`.

    Saved folders name it for the tasks "zero-shot-image-classification" and "pedclip-zero-shot".

    ```python
    >>> from transformers import pipeline

    >>> classify = pipeline("zero-shot-image-classification", model="runs/xr/hub", trust_remote_code=True)
    >>> answer = classify("hand.dcm", candidate_labels=["hand", "chest"], hypothesis_template="{} x-ray")
    ```"""

    _load_processor = True
    _load_image_processor = False
    _load_tokenizer = False

    def __init__(self, **kwargs):
        for name in ("tokenizer", "image_processor"):
            if kwargs.get(name) is not None:
                raise ValueError(
                    f"{name} was given, but images and texts go through one processor: pass processor=..."
                )
        super().__init__(**kwargs)
        self._texts = PedCLIPTextCache(self.model, self.processor)  # the same labels come with image after image

    def check_model_type(self, supported_models: Any) -> None:
        super().check_model_type(["PedCLIPModel"])  # transformers' list holds its own models only

    def __call__(  # named one by one: an argument that the parent would silently ignore is an error here
        self,
        image: Any,
        candidate_labels: Sequence[str] | None = None,
        hypothesis_template: str | None = None,
        tokenizer_kwargs: dict[str, Any] | None = None,
        num_workers: int | None = None,
        batch_size: int | None = None,
        volumes: bool | None = None,
        window: Any = None,
        spacing: float | None = None,
        plane: str | None = None,
        allow_gaps: bool | None = None,
    ) -> Any:
        """Labels one image, or each of a list, a data set or a generator; or, with `volumes=True`, studies.

        Args:
            image: whatever the processor reads: a path, web address, base64 text, bytes, DICOM, PIL image or array.
            candidate_labels: the texts, or what completes `hypothesis_template` to them.
            hypothesis_template: holds `{}` where the label goes. "{}" unless given (ours): a film is no "photo of".
            tokenizer_kwargs: for the processor's tokenizer, `{"max_length": 60}` say.
            num_workers: processes that prepare the images of a list or data set.
            batch_size: how many images the model sees at once.
            volumes: whether `image` is a study of several images, as the processor's `volumes=` takes it, or a list of
                studies. A study goes through the model by itself.
            window: of volumes, "lung", "bone", "soft_tissue", "percentiles" or (centre, width).
            spacing, plane, allow_gaps: how volumes are read, as the processor's `read_volume` takes them.

        Returns a list of `{"score", "label"}`, the best first; for several images one such list each. A data set or a
        generator gives an iterator over them. Raises ValueError for labels or a template that are none, and what the
        processor raises for an image that cannot be read.
        """
        given = {
            "candidate_labels": candidate_labels,
            "hypothesis_template": hypothesis_template,
            "tokenizer_kwargs": tokenizer_kwargs,
            "volumes": volumes,
            "window": window,
            "spacing": spacing,
            "plane": plane,
            "allow_gaps": allow_gaps,
        }
        given = {name: value for name, value in given.items() if value is not None}
        settings = {**self._preprocess_params, **given}
        volumes = settings.pop("volumes", False)
        how_read = {name: settings.pop(name) for name in HOW_READ if name in settings}
        check_prompts(**settings)
        if volumes and (self._batch_size if batch_size is None else batch_size) not in (None, 1):
            raise ValueError(f"batch_size is {batch_size}; a study goes by itself, its slices together: leave it out")
        if how_read and not volumes:
            name, value = next(iter(how_read.items()))
            raise ValueError(f"{name} is {value!r}, which is for volumes=True; an image has its own")
        images = list(image) if isinstance(image, tuple) else image
        if volumes and isinstance(images, list):
            refuse_loose_slices(images)
        if isinstance(images, list) and not images:
            return []
        # the parent's own __call__ insists on labels, which may have been given once and for all
        return super(ZeroShotImageClassificationPipeline, self).__call__(
            images, num_workers=num_workers, batch_size=batch_size, **given
        )

    def _sanitize_parameters(self, **kwargs):
        names = ("candidate_labels", "hypothesis_template", "tokenizer_kwargs", "volumes", *HOW_READ)
        return {name: kwargs[name] for name in names if name in kwargs}, {}, {}

    def preprocess(
        self,
        image,
        candidate_labels=None,
        hypothesis_template="{}",
        tokenizer_kwargs=None,
        volumes=False,
        **how_read,
    ):
        seen = {"volumes": [image], **how_read} if volumes else {"images": image}
        inputs = dict(self.processor(**seen, return_tensors="pt"))
        inputs["pixel_values"] = inputs["pixel_values"].to(self.dtype)  # (1, C, H, W), or (1, S, C, H, W)
        count = len(inputs["pixel_values"])
        if count != 1:
            raise ValueError(f"one image was expected and a batch of {count} came; pass them as a list")
        asked = {
            "labels": list(candidate_labels),
            "texts": [hypothesis_template.replace("{}", label) for label in candidate_labels],
            "tokenizer_kwargs": tokenizer_kwargs or {},
        }
        return {"asked": [asked], **inputs}

    def _forward(self, model_inputs):
        asked = model_inputs["asked"]
        several = isinstance(asked[0], list)  # the texts are the same for each of a batch
        labels, texts, tokenizer_kwargs = (asked[0][0] if several else asked[0]).values()
        seen = {name: tensor for name, tensor in model_inputs.items() if name in IMAGE_INPUTS}
        image_embeds = self.model.get_image_features(**seen).pooler_output
        text_embeds = self._texts(texts, **tokenizer_kwargs)
        scale = self.model.logit_scale.detach().clamp(max=self.model.config.logit_scale_max).exp()
        image_embeds = nn.functional.normalize(image_embeds.to(text_embeds.dtype), dim=-1)
        logits = scale * image_embeds @ text_embeds.T  # in the model's own order, which rounds alike
        return {"candidate_labels": [labels] * len(asked) if several else labels, "logits": logits}

    def save_pretrained(self, save_directory, **kwargs):
        """Model and processor: the processor's own settings too, which its two parts alone do not hold."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory, **kwargs)


def check_prompts(
    candidate_labels: Any = None, hypothesis_template: Any = "{}", tokenizer_kwargs: dict[str, Any] | None = None
) -> None:
    """Refuses what would give scores that mean nothing: letters as labels, or the same text for each label."""
    if not isinstance(candidate_labels, list | tuple) or not candidate_labels:
        raise ValueError(f"candidate_labels is {candidate_labels!r}; pass a list of texts, ['hand', 'chest'] say")
    wrong = [label for label in candidate_labels if not isinstance(label, str) or not label.strip()]
    if wrong:
        raise ValueError(f"candidate_labels holds {wrong[0]!r}; each label is a text that says something")
    if not isinstance(hypothesis_template, str) or "{}" not in hypothesis_template:
        raise ValueError(f"hypothesis_template is {hypothesis_template!r}; it needs {{}} where the label goes")


__all__ = ["PedCLIPZeroShotImageClassificationPipeline"]
