"""The model card: model_card.md filled with what the config tells and what its author states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from transformers import PreTrainedConfig

import pedclip


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card must say that neither the weights nor the config can tell."""

    name: str = "PedCLIP"
    license: str = "apache-2.0"  # of the weights: what the licences of the training data allow
    training_data: str = "Not stated by the person who wrote this folder. Ask before using the model."
    results: Sequence[Mapping[str, Any]] = ()  # each as `pedclip eval --out` writes it
    result_notes: Sequence[str] = ()  # sentences under the table, for example where a trivial baseline wins


def checkout_file(name: str) -> Path:
    """A file of the repository's root, in a checkout and in an installed copy alike."""
    for folder in pedclip.__path__:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    raise FileNotFoundError(f"{name} is not among the installed files of pedclip; install the package again")


def render_card(
    config: PreTrainedConfig, pipeline_tag: str, facts: CardFacts, training_labels: Mapping[str, Any] | None = None
) -> ModelCard:
    """Fills model_card.md. The YAML on top is for the Hub, the text for the reader.

    `training_labels` is what the model has seen; what it lists may not be called zero-shot.
    """
    vision = config.vision_config if config.model_type == "pedclip" else config
    described = {
        "image size": f"{vision.image_size} x {vision.image_size}",
        "image tower": f"ViT, {vision.num_hidden_layers} layers, width {vision.hidden_size}",
        "body-part experts": f"{vision.num_experts}, in layers {vision.mobe_layers} (counted from 0)",
    }
    if config.model_type == "pedclip":
        described["body parts"] = ", ".join(config.body_parts)
    if training_labels is not None:
        described["body parts seen in training"] = ", ".join(training_labels["body_part"]) or "none"
        described["findings seen in training"] = ", ".join(training_labels["findings"]) or "none"
    return ModelCard.from_template(
        ModelCardData(
            language="en",
            license=facts.license,
            library_name="transformers",
            pipeline_tag=pipeline_tag,
            model_name=facts.name,
            tags=["radiology", "x-ray", "pediatrics", "medical", "clip", "mixture-of-experts", "pedclip"],
        ),
        template_path=str(checkout_file("model_card.md")),
        name=facts.name,
        described=described.items(),
        training_data=facts.training_data,
        results=[_cells(result) for result in facts.results],
        result_notes=facts.result_notes,
    )


def _cells(result: Mapping[str, Any]) -> list[str]:
    low, high = result["low"], result["high"]
    interval = "none" if low is None else f"{low:.3f} to {high:.3f}"
    numbers = [f"{result['value']:.3f}", interval, f"{result['chance']:.3f}", str(result["n"])]
    return [result["task"], result["kind"], result["metric"], *numbers, result["split"]]
