"""The model card: model_card.md filled with what the config tells and what its author states."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import PreTrainedConfig

import pedclip
from pedclip.processing.curation.licences import CuratedWith, notices
from pedclip.processing.data.official.terms import all_terms, row_of
from pedclip.samples import FOLDER as SAMPLES_FOLDER
from pedclip.samples import SAMPLES

TRAINING_DATA_NOT_STATED = "Not stated by the person who wrote this folder. Ask before using the model."
# the parts of a card between marks, which a later export keeps
MARKED = {"training_data": "training data", "results": "results", "subgroups": "subgroups", "hardware": "hardware"}
DATA_SET_IDS = {"phantom": "pedclip/phantom"}  # names of terms.yaml that the Hub spells otherwise
LANGUAGE = "en"
HERE = 'model_id, revision = "this folder, or its id on the Hub", "main"'  # the line of the card that a push replaces


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card must say that neither the weights nor the config can tell."""

    name: str = "PedCLIP"
    license: str = "other"  # of the weights, as the Hub spells it: what the terms of the training data allow
    training_data: str = TRAINING_DATA_NOT_STATED  # Markdown
    datasets: tuple[str, ...] = ()  # names in processing/data/official/terms.yaml, or the owner's own
    base_models: tuple[str, ...] = ()  # ids on the Hub
    results: str = "No results were given when this card was written."  # Markdown
    subgroups: str = "No results by subgroup were given when this card was written."  # Markdown
    eval_results: tuple[EvalResult, ...] = ()  # the model-index
    hardware: str = "Not recorded."  # Markdown: what it was trained on, and how long
    emissions_grams: float | None = None  # of CO2 equivalents; None: not measured


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
    pools = config.model_type == "pedclip" and config.volume_pooling != "mean"
    if pools:
        described["volumes"] = f"slices pooled by {config.volume_pooling}"
    if training_labels is not None:
        described["body parts seen in training"] = ", ".join(training_labels["body_part"]) or "none"
        described["findings seen in training"] = ", ".join(training_labels["findings"]) or "none"
    curated = [CuratedWith(*one) for one in (training_labels or {}).get("curated_with", [])]
    further: dict[str, Any] = {}
    if facts.license == "other":
        further |= {"license_name": "terms-of-the-training-data", "license_link": "README.md#licence"}
    if facts.emissions_grams is not None:
        stated = {"emissions": facts.emissions_grams, "source": "stated by the model's author"}
        further["co2_eq_emissions"] = {**stated, "training_type": "training"}
    if pipeline_tag == "zero-shot-image-classification":
        further["widget"] = widget()
    return ModelCard.from_template(
        ModelCardData(
            language=LANGUAGE,
            license=facts.license,
            library_name="transformers",
            pipeline_tag=pipeline_tag,
            model_name=facts.name,
            base_model=list(facts.base_models) or None,
            datasets=[DATA_SET_IDS.get(name, name) for name in facts.datasets] or None,
            eval_results=list(facts.eval_results) or None,
            tags=["radiology", "x-ray", "pediatrics", "medical", "clip", "mixture-of-experts", "pedclip"],
            **further,
        ),
        template_path=str(checkout_file("model_card.md")),
        name=facts.name,
        here=HERE,
        image_size=vision.image_size,
        volumes=pools and pipeline_tag == "zero-shot-image-classification",
        described=described.items(),
        training_data=facts.training_data,
        attributions=[attribution(name) for name in facts.datasets],
        curated_with=[str(one) for one in curated],
        notices=notices(curated),
        results=facts.results,
        subgroups=facts.subgroups,
        hardware=facts.hardware,
        emissions_grams=facts.emissions_grams,
    )


def widget() -> list[dict[str, str]]:
    """The examples of the Hub's widget: phantom films that lie in the folder, which a push turns into addresses."""
    return [
        {
            "src": f"{SAMPLES_FOLDER}/{sample.file_name}",
            "candidate_labels": ", ".join(sample.labels),
            "example_title": sample.title,
        }
        for sample in SAMPLES
    ]


def attribution(name: str) -> str:
    """Who made a data set, and under which terms, in a line; a name without a row in terms.yaml is the owner's own."""
    terms = all_terms().get(row_of(name) or "")
    if terms is None:
        return f"{name}: stated by the model's author; its terms are not known here"
    made_from = f"; made from {', '.join(terms.lineage)}" if terms.lineage else ""
    return f"{terms.title}: {terms.source}. Licence: {terms.licence}; {terms.terms}{made_from}"


def read_card(path: Path) -> ModelCard:
    """A card of a folder. ValueError where there is none, or its metadata are no YAML."""
    if not path.is_file():
        raise ValueError(f"{path.parent} has no {path.name}, the model's card; `pedclip export` writes one")
    try:
        return ModelCard.load(path)
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"the YAML on top of {path} cannot be read: {' '.join(str(error).split())}") from error


def facts_of(card: ModelCard) -> CardFacts:
    """What a card that was made here says, so that another export can change a part and keep the rest."""
    names = {identity: name for name, identity in DATA_SET_IDS.items()}
    stated: dict[str, Any] = {
        "name": card.data.get("model_name"),
        "license": card.data.get("license"),
        "datasets": tuple(names.get(one, one) for one in _listed(card.data.get("datasets"))),
        "base_models": tuple(_listed(card.data.get("base_model"))),
        "eval_results": tuple(card.data.get("eval_results") or ()),
        "emissions_grams": (card.data.get("co2_eq_emissions") or {}).get("emissions"),
    }
    for field, mark in MARKED.items():
        part = re.search(f"<!-- {mark} -->\n(.*?)\n<!-- end of {mark} -->", card.text, flags=re.DOTALL)
        stated[field] = part.group(1) if part else None
    return CardFacts(**{field: text for field, text in stated.items() if text is not None})


def _listed(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())
