"""A model folder for the Hub: weights, processor, the code that loads them, licence and card, whole or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel, ProcessorMixin
from transformers.image_processing_utils import BaseImageProcessor

import pedclip
from pedclip.auto import (
    PedCLIPForImageClassification,
    PedCLIPImageProcessor,
    PedCLIPModel,
    PedCLIPProcessor,
    PedCLIPVisionModel,
)
from pedclip.configuration.hub_folder_pedclip import write_code_files

# transformers writes these into a re-saved tokenizer's settings: how this machine loaded it, not what it is
LOADING_KEYS = ("is_local", "local_files_only")


@dataclass(frozen=True, kw_only=True)
class HubKind:
    """One architecture that can be published, and how the card says to use it."""

    model_class: type[PreTrainedModel]
    processor_class: type[ProcessorMixin | BaseImageProcessor]
    pipeline_tag: str
    load_example: str


KINDS = {
    kind.model_class.__name__: kind
    for kind in (
        HubKind(
            model_class=PedCLIPModel,
            processor_class=PedCLIPProcessor,
            pipeline_tag="zero-shot-image-classification",
            load_example="""\
import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor

folder = "this folder, or its id on the Hub"
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
texts = ["wrist x-ray", "chest x-ray"]
inputs = processor(images=Image.open("radiograph.png"), text=texts, return_tensors="pt")
with torch.no_grad():
    print(model(**inputs).logits_per_image.softmax(dim=-1))""",
        ),
        HubKind(
            model_class=PedCLIPForImageClassification,
            processor_class=PedCLIPProcessor,
            pipeline_tag="image-classification",
            load_example="""\
from transformers import pipeline

folder = "this folder, or its id on the Hub"
classify = pipeline("image-classification", model=folder, trust_remote_code=True)
print(classify("radiograph.png"))""",
        ),
        HubKind(
            model_class=PedCLIPVisionModel,
            processor_class=PedCLIPImageProcessor,
            pipeline_tag="image-feature-extraction",
            load_example="""\
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

folder = "this folder, or its id on the Hub"
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=True)
inputs = processor(images=Image.open("radiograph.png"), return_tensors="pt")
with torch.no_grad():
    print(model(**inputs).pooler_output.shape)""",
        ),
    )
}


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


def render_card(config: PreTrainedConfig, kind: HubKind, facts: CardFacts) -> ModelCard:
    """Fills model_card.md. The YAML on top is for the Hub, the text for the reader."""
    vision = config.vision_config if "vision_config" in config.sub_configs else config
    described = {
        "image size": f"{vision.image_size} x {vision.image_size}",
        "image tower": f"ViT, {vision.num_hidden_layers} layers, width {vision.hidden_size}",
        "body-part experts": f"{vision.num_experts}, in layers {vision.mobe_layers} (counted from 0)",
    }
    if "body_parts" in config.to_dict():
        described["body parts"] = ", ".join(config.body_parts)
    return ModelCard.from_template(
        ModelCardData(
            language="en",
            license=facts.license,
            library_name="transformers",
            pipeline_tag=kind.pipeline_tag,
            model_name=facts.name,
            tags=["radiology", "x-ray", "pediatrics", "medical", "clip", "mixture-of-experts", "pedclip"],
        ),
        template_path=str(checkout_file("model_card.md")),
        facts=described.items(),
        load_example=kind.load_example,
        **{key: value for key, value in asdict(facts).items() if key != "license"},
    )


def write_hub_folder(
    model: PreTrainedModel,
    processor: ProcessorMixin | BaseImageProcessor,
    out: str | os.PathLike,
    facts: CardFacts | None = None,
    card: ModelCard | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a folder that loads by itself. It is made beside `out` and renamed at the end: never half of one.

    The card is `card` as it stands, or made from `facts`.
    """
    out = Path(out).absolute()
    if out.exists() and not overwrite and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} exists already; name another folder, or pass --overwrite to replace it")
    if out.is_file():
        raise NotADirectoryError(f"{out} is a file; name a folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as work:
        staged = Path(work) / "new"
        model.save_pretrained(staged)
        processor.save_pretrained(staged)
        write_code_files(staged)
        _drop_loading_keys(staged / "tokenizer_config.json")
        shutil.copyfile(checkout_file("LICENSE"), staged / "LICENSE")
        kind = KINDS[type(model).__name__]
        (card or render_card(model.config, kind, facts or CardFacts())).save(staged / "README.md")
        for path in (staged, *staged.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)  # safetensors writes files that only their owner can read
        if out.exists():
            os.replace(out, Path(work) / "old")
        try:
            os.replace(staged, out)
        except OSError:
            if (Path(work) / "old").exists():
                os.replace(Path(work) / "old", out)
            raise
    return out


def export_folder(
    source: str | os.PathLike, out: str | os.PathLike, facts: CardFacts | None = None, overwrite: bool = False
) -> Path:
    """Rewrites a PedCLIP folder or checkpoint as a complete Hub folder. Without `facts` it keeps the card it has."""
    model, processor = load_folder(source)
    old_card = Path(source) / "README.md"
    card = ModelCard.load(old_card) if facts is None and old_card.is_file() else None
    return write_hub_folder(model, processor, out, facts=facts, card=card, overwrite=overwrite)


def _drop_loading_keys(settings_file: Path) -> None:
    if not settings_file.is_file():  # a vision tower has no tokenizer
        return
    settings = json.loads(settings_file.read_text(encoding="utf-8"))
    kept = {key: value for key, value in settings.items() if key not in LOADING_KEYS}
    settings_file.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
