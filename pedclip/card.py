"""The model card: model_card.md filled with what the config tells and what its author states."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData
from transformers import PreTrainedConfig

import pedclip


@dataclass(frozen=True, kw_only=True)
class CardResult:
    """One row of the card's table of results."""

    task: str
    metric: str
    value: str
    interval: str
    n: str
    data: str


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card must say that neither the weights nor the config can tell."""

    name: str = "PedCLIP"
    license: str = "apache-2.0"  # of the weights: what the licences of the training data allow
    training_data: str = "Not stated by the person who wrote this folder. Ask before using the model."
    results: Sequence[CardResult] = ()
    result_notes: Sequence[str] = ()  # sentences under the table, for example where a trivial baseline wins


def checkout_file(name: str) -> Path:
    """A file of the repository's root, in a checkout and in an installed copy alike."""
    for folder in pedclip.__path__:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    raise FileNotFoundError(f"{name} is not among the installed files of pedclip; install the package again")


def render_card(config: PreTrainedConfig, pipeline_tag: str, facts: CardFacts) -> ModelCard:
    """Fills model_card.md. The YAML on top is for the Hub, the text for the reader."""
    vision = config.vision_config if config.model_type == "pedclip" else config
    described = {
        "image size": f"{vision.image_size} x {vision.image_size}",
        "image tower": f"ViT, {vision.num_hidden_layers} layers, width {vision.hidden_size}",
        "body-part experts": f"{vision.num_experts}, in layers {vision.mobe_layers} (counted from 0)",
    }
    if config.model_type == "pedclip":
        described["body parts"] = ", ".join(config.body_parts)
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
        described=described.items(),
        **{key: value for key, value in asdict(facts).items() if key != "license"},
    )
