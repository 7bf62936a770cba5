"""The model card: model_card.md filled with what the config tells and what its author states."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from transformers import PreTrainedConfig

import pedclip

TRAINING_DATA, RESULTS = "training data", "results"  # the parts of a card between marks, which a later export keeps


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card must say that neither the weights nor the config can tell."""

    name: str = "PedCLIP"
    license: str = "other"  # of the weights, as the Hub spells it: what the terms of the training data allow
    training_data: str = "Not stated by the person who wrote this folder. Ask before using the model."  # Markdown
    results: str = "No results were given when this card was written."  # Markdown


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
        results=facts.results,
    )


def facts_of(card: ModelCard) -> CardFacts:
    """What a card that was made here says, so that another export can change a part and keep the rest."""
    stated = {"name": card.data.get("model_name"), "license": card.data.get("license")}
    for field, mark in (("training_data", TRAINING_DATA), ("results", RESULTS)):
        part = re.search(f"<!-- {mark} -->\n(.*?)\n<!-- end of {mark} -->", card.text, flags=re.DOTALL)
        stated[field] = part.group(1) if part else None
    return CardFacts(**{field: text for field, text in stated.items() if text is not None})


def results_table(results: Iterable[Mapping[str, Any]]) -> str:
    """Markdown of what `pedclip eval --out` wrote, each with its interval, its chance level and its n."""
    header = ["task", "how", "metric", "value", "95 % interval", "chance", "n", "split"]
    lines = [header, ["---"] * len(header), *(_cells(result) for result in results)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(result: Mapping[str, Any]) -> list[str]:
    low, high = result["low"], result["high"]
    interval = "none" if low is None else f"{low:.3f} to {high:.3f}"
    numbers = [f"{result['value']:.3f}", interval, f"{result['chance']:.3f}", str(result["n"])]
    return [result["task"], result["kind"], result["metric"], *numbers, result["split"]]
