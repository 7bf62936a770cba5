"""A model folder for the Hub: weights, processor, the code that loads them, licence and card, whole or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import ModelCard
from transformers import AutoConfig, PreTrainedModel, ProcessorMixin
from transformers.image_processing_utils import BaseImageProcessor

from pedclip.auto import (
    PedCLIPForImageClassification,
    PedCLIPImageProcessor,
    PedCLIPModel,
    PedCLIPProcessor,
    PedCLIPVisionModel,
)
from pedclip.card import CardFacts, checkout_file, facts_of, read_card, render_card
from pedclip.configuration.hub_folder_pedclip import write_code_files
from pedclip.fingerprint import FILE as FINGERPRINT
from pedclip.fingerprint import fingerprint
from pedclip.publishing import TRAINING_LABELS, check_terms, refuse_private
from pedclip.samples import FOLDER as SAMPLES_FOLDER
from pedclip.samples import sample_files

# transformers writes these into a re-saved tokenizer's settings: how this machine loaded it, not what it is
LOADING_KEYS = ("is_local", "local_files_only")
CARD = "README.md"


class HubKind(NamedTuple):
    """One architecture that can be published."""

    model_class: type[PreTrainedModel]
    processor_class: type[ProcessorMixin | BaseImageProcessor]
    pipeline_tag: str


KINDS = {
    kind.model_class.__name__: kind
    for kind in (
        HubKind(PedCLIPModel, PedCLIPProcessor, "zero-shot-image-classification"),
        HubKind(PedCLIPForImageClassification, PedCLIPProcessor, "image-classification"),
        HubKind(PedCLIPVisionModel, PedCLIPImageProcessor, "image-feature-extraction"),
    )
}


def load_folder(folder: str | os.PathLike) -> tuple[PreTrainedModel, ProcessorMixin | BaseImageProcessor]:
    """The model and the processor of a PedCLIP folder, by the installed classes and never by the folder's own code."""
    config_file = Path(folder) / "config.json"
    if not config_file.is_file():
        raise FileNotFoundError(
            f"{folder} is not a model folder: it has no config.json; give a folder that train.py or "
            "`pedclip export` wrote"
        )
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    names = config.architectures or []
    known = [KINDS[name] for name in names if name in KINDS]
    if not known:
        raise ValueError(f"{config_file} names the architectures {names}; one of {', '.join(KINDS)} is needed")
    return known[0].model_class.from_pretrained(folder), known[0].processor_class.from_pretrained(folder)


def check_target(out: str | os.PathLike, overwrite: bool) -> None:
    """Refuses a target that would be lost: only a model folder is ever replaced, and only when asked."""
    out = Path(out)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / "config.json").is_file():
        raise FileExistsError(f"{out} exists and is not a model folder; name another one")
    if not overwrite:
        raise FileExistsError(f"{out} exists already; name another folder, or pass --overwrite to replace it")


def write_hub_folder(
    model: PreTrainedModel,
    processor: ProcessorMixin | BaseImageProcessor,
    out: str | os.PathLike,
    facts: CardFacts | None = None,
    card: ModelCard | None = None,
    training_labels: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a folder that loads by itself. It is made beside `out` and renamed at the end: never half of one.

    The card is `card` as it stands, or made from `facts`. `training_labels` goes along as training_labels.json, from
    which an evaluation knows what it may call zero-shot. A whole model gets the files that an Inference Endpoint runs
    (handler.py and requirements.txt), and phantom films for the widget. fingerprint.json says what the folder, opened
    again on this machine, makes of fixed images and texts; `pedclip check` compares with it.
    """
    out = Path(out).absolute()
    check_target(out, overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as work:
        staged = Path(work) / "new"
        model.save_pretrained(staged)
        processor.save_pretrained(staged)
        write_code_files(staged)
        drop_loading_keys(staged / "tokenizer_config.json")
        _write_json(staged / FINGERPRINT, fingerprint(*load_folder(staged)))
        if isinstance(model, PedCLIPModel):
            here = Path(__file__).parent
            shutil.copyfile(here / "handler.py", staged / "handler.py")
            shutil.copyfile(here / "endpoint_requirements.txt", staged / "requirements.txt")
            (staged / SAMPLES_FOLDER).mkdir()
            for film in sample_files():
                shutil.copy(film, staged / SAMPLES_FOLDER)
        shutil.copyfile(checkout_file("LICENSE"), staged / "LICENSE")
        if training_labels is not None:
            _write_json(staged / TRAINING_LABELS, training_labels)
        if card is None:
            write_card(model, facts or CardFacts(), staged, training_labels)
        else:
            card.save(staged / CARD)
        for path in (staged, *staged.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)  # safetensors writes files that only their owner can read
        if out.exists():
            os.replace(out, Path(work) / "old")
        try:
            os.replace(staged, out)
        except BaseException:
            if (Path(work) / "old").exists():
                os.replace(Path(work) / "old", out)
            raise
    return out


def export_folder(source: str | os.PathLike, out: str | os.PathLike, overwrite: bool = False, **changes: Any) -> Path:
    """Rewrites a PedCLIP folder or checkpoint as a complete Hub folder, with its own card or the default one.

    `changes` are fields of `CardFacts` that the card should now state. Raises where the terms of a data set that the
    card names forbid publishing weights, or a file of `source` shows a patient: this is a folder to be handed on.
    """
    check_target(out, overwrite)  # before the minutes that a large model takes to load
    refuse_private(Path(source))
    card, facts = _card_of(Path(source))
    facts = replace(facts, **changes)
    check_terms(facts.datasets, permission="not asked for: what nobody knows is asked about when it is pushed")
    model, processor = load_folder(source)
    return write_hub_folder(
        model, processor, out, facts, None if changes else card, _training_labels(Path(source)), overwrite
    )


def write_card(
    model: PreTrainedModel,
    facts: CardFacts,
    folder: str | os.PathLike,
    training_labels: Mapping[str, Any] | None = None,
) -> None:
    """README.md alone, for a model that lies in `folder` already."""
    pipeline_tag = KINDS[type(model).__name__].pipeline_tag
    render_card(model.config, pipeline_tag, facts, training_labels).save(Path(folder) / CARD)


def update_card(folder: str | os.PathLike, **changes: Any) -> None:
    """Writes a model folder's card anew, with other fields of `CardFacts`; nothing else is touched."""
    folder = Path(folder)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    pipeline_tag = KINDS[config.architectures[0]].pipeline_tag
    facts = replace(_card_of(folder)[1], **changes)
    new = folder / ".README.md.new"
    render_card(config, pipeline_tag, facts, _training_labels(folder)).save(new)
    os.replace(new, folder / CARD)


def _card_of(folder: Path) -> tuple[ModelCard | None, CardFacts]:
    card_file = folder / CARD
    if not card_file.is_file():
        return None, CardFacts()
    card = read_card(card_file)
    return card, facts_of(card)


def _training_labels(folder: Path) -> dict[str, Any] | None:
    file = folder / TRAINING_LABELS
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def drop_loading_keys(settings_file: Path) -> None:
    """Takes out of a tokenizer's settings how this machine loaded it."""
    if not settings_file.is_file():  # a vision tower has no tokenizer
        return
    settings = json.loads(settings_file.read_text(encoding="utf-8"))
    _write_json(settings_file, {key: value for key, value in settings.items() if key not in LOADING_KEYS})


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
