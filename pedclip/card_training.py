"""What a training run knows for its model's card: the author's words, the data sets, the base models, the machine."""

import json
import os
import platform
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard

from pedclip.card import CardFacts, facts_of
from pedclip.configuration.training import TrainConfig
from pedclip.processing.data.captions import Captions
from pedclip.processing.data.sample import Sample

HUB_ID = re.compile(r"[\w][\w.-]*/[\w.-]+")


def card_facts(config: TrainConfig) -> CardFacts:
    """The card's facts that a recipe states. A model that goes on from another one keeps that one's data sets."""
    stated: dict[str, Any] = {key: value for key, value in asdict(config.card).items() if value is not None}
    named = [config.model.pretrained, config.model.vision, config.model.text]
    ids = [name for name in named if name and HUB_ID.fullmatch(name) and not Path(name).exists()]
    stated["base_models"] = tuple(stated.get("base_models", ids))
    inherited: tuple[str, ...] = ()
    if config.model.pretrained and (card_file := Path(config.model.pretrained) / "README.md").is_file():
        inherited = facts_of(ModelCard.load(card_file)).datasets
    stated["datasets"] = tuple(dict.fromkeys([*inherited, *config.data.datasets]))
    return CardFacts(**stated)


def seen_in_training(config: TrainConfig, samples: Iterable[Sample]) -> dict[str, Any]:
    """training_labels.json. A model that goes on from another one keeps its data sets and curators."""
    labels = Captions(config.data).training_labels(samples)
    labels["data_sets"] = list(card_facts(config).datasets)
    before = Path(config.model.pretrained or "") / "training_labels.json"
    if config.model.pretrained and before.is_file():
        inherited = json.loads(before.read_text(encoding="utf-8"))
        curated = [*inherited.get("curated_with", []), *labels["curated_with"]]
        labels["curated_with"] = sorted(map(list, {tuple(one) for one in curated}))
        labels["data_sets"] = list(dict.fromkeys([*inherited.get("data_sets", []), *labels["data_sets"]]))
    return labels


def hardware_line(seconds: float, processes: int, device: torch.device, precision: str) -> str:
    """On what, and how long; evaluation and checkpoints included."""
    if device.type == "cuda":
        machine = f"{processes} x {torch.cuda.get_device_name(device)}"
    else:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        machine = f"{cores} CPU cores ({platform.machine()}), {processes} process{'es' if processes > 1 else ''}"
    return f"Trained in {seconds / 3600:.2f} hours on {machine}, {precision}."
