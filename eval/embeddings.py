"""A model with its processor, and what it makes of images and texts; each image goes through it once."""

# Shapes: N images, D embedding, E experts
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..auto import PedCLIPModel, PedCLIPProcessor  # with transformers' Auto classes told about them
from ..configuration.data import DataConfig
from ..processing.data.dataset import PairCollator, PairDataset
from ..processing.data.sample import Sample

BATCH = 64


@dataclass
class ModelUnderTest:
    """What an evaluation needs of a model."""

    model: Any
    processor: Any
    training_labels: dict[str, Any] | None = None  # what it saw in training; None: unknown
    name: str = "model"
    _texts: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def body_parts(self) -> list[str]:
        return list(self.model.config.body_parts)

    @property
    def temperature_factor(self) -> float:
        """What similarities are multiplied with, as in the model's forward: exp(logit_scale), below its limit."""
        return float(self.model.logit_scale.detach().clamp(max=self.model.config.logit_scale_max).exp())

    @torch.inference_mode()
    def embed_texts(self, texts: Iterable[str]) -> np.ndarray:
        """(N, D), normalised; a text seen before is not computed again."""
        texts = list(texts)
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        for first in range(0, len(new), BATCH):
            part = new[first : first + BATCH]
            inputs = self.processor(text=part, return_tensors="pt", padding=True, truncation=True)
            inputs = {key: value.to(self.model.logit_scale.device) for key, value in inputs.items()}
            embeds = _normalised(self.model.get_text_features(**inputs).pooler_output)
            self._texts.update(zip(part, embeds, strict=True))
        return np.stack([self._texts[text] for text in texts])

    def embed_images(self, samples: Sequence[Sample], data: DataConfig) -> "EmbeddedImages":
        """Reads the images and puts each through the image tower once."""
        return self.embed_dataset(PairDataset(samples, self.processor, data, self.body_parts), data)

    @torch.inference_mode()
    def embed_dataset(self, dataset: PairDataset, data: DataConfig) -> "EmbeddedImages":
        """The same for images that are read already."""
        collator = PairCollator(self.processor, data)
        embeds, gates = [], []
        for first in range(0, len(dataset), BATCH):
            items = dataset.__getitems__(range(first, min(first + BATCH, len(dataset))))
            pixel_values = collator.pixel_values(items).to(self.model.logit_scale.device)
            out = self.model.get_image_features(pixel_values=pixel_values)
            embeds.append(_normalised(out.pooler_output))
            gates.append([logits.float().softmax(-1).cpu().numpy() for logits in out.router_logits or ()])
        by_layer = [np.concatenate(layer) for layer in zip(*gates, strict=True)]
        return EmbeddedImages(dataset.samples, np.concatenate(embeds), by_layer, dataset.body_part)


@dataclass(frozen=True)
class EmbeddedImages:
    """Images as a model sees them."""

    samples: Sequence[Sample]
    embeds: np.ndarray  # (N, D), normalised
    gates: list[np.ndarray]  # (N, E) for each MoBE layer: how much each expert is involved; sums to 1
    experts: list[int]  # each image's own, or -100

    @property
    def patients(self) -> list[str]:
        return [sample.patient_id for sample in self.samples]


def load_model(folder: Path | str) -> ModelUnderTest:
    """A model folder as train.py, `save_pretrained` or the Hub leave it."""
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} is no model folder: it has no config.json")
    labels = folder / "training_labels.json"
    return ModelUnderTest(
        model=PedCLIPModel.from_pretrained(folder).eval(),
        processor=PedCLIPProcessor.from_pretrained(folder),
        training_labels=json.loads(labels.read_text(encoding="utf-8")) if labels.is_file() else None,
        name=folder.name,
    )


def _normalised(embeds: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(embeds.float(), dim=-1).cpu().numpy()
