"""A model with its processor, and what it makes of images and texts; each image goes through it once."""

# Shapes: N images, D embedding, E experts
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..auto import PedCLIPModel, PedCLIPProcessor  # with transformers' Auto classes told about them
from ..configuration.data import DataConfig
from ..processing.data.dataset import PairCollator, PairDataset
from ..processing.data.sample import Sample
from ..processing.dicom_series_pedclip import refuse_loose_slices
from ..processing.text_cache_pedclip import PedCLIPTextCache
from .finite import require_finite

BATCH = 64
NO_NUMBERS = {"fingerprint.json", "training_labels.json"}  # of a model folder: no output depends on them


@dataclass
class ModelUnderTest:
    """What an evaluation needs of a model."""

    model: Any
    processor: Any
    training_labels: dict[str, Any] | None = None  # what it saw in training; None: unknown
    name: str = "model"
    _texts: PedCLIPTextCache = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._texts = PedCLIPTextCache(self.model, self.processor, batch_size=BATCH)

    @property
    def body_parts(self) -> list[str]:
        return list(self.model.config.body_parts)

    @property
    def temperature_factor(self) -> float:
        """What similarities are multiplied with, as in the model's forward: exp(logit_scale), below its limit."""
        return float(self.model.logit_scale.detach().clamp(max=self.model.config.logit_scale_max).exp())

    def embed_texts(self, texts: Iterable[str]) -> np.ndarray:
        """(N, D), normalised; a text seen before is not computed again. ValueError where one is not finite."""
        return require_finite(self._texts(list(texts)).cpu().numpy(), f"{self.name}, embeddings of texts")

    def embed_images(
        self,
        samples: Sequence[Sample],
        data: DataConfig,
        batch_size: int = BATCH,
        advance: Callable[[int], Any] | None = None,
        labelled: bool = True,
    ) -> "EmbeddedImages":
        """Reads the images and puts each through the image tower once; tells `advance` how many each batch had.

        Without `labelled` body parts may have any name, and no image has an expert of its own.
        """
        body_parts = self.body_parts if labelled else None
        return self.embed_dataset(PairDataset(samples, self.processor, data, body_parts), data, batch_size, advance)

    @torch.inference_mode()
    def embed_dataset(
        self,
        dataset: PairDataset,
        data: DataConfig,
        batch_size: int = BATCH,
        advance: Callable[[int], Any] | None = None,
    ) -> "EmbeddedImages":
        """The same for images that are read already. ValueError where an embedding or a gate is not finite."""
        collator = PairCollator(self.processor, data)
        embeds, gates, energies = [], [], []
        weights: list[np.ndarray] = []
        for first in range(0, len(dataset), batch_size):
            items = dataset.__getitems__(range(first, min(first + batch_size, len(dataset))))
            seen = {name: one.to(self.model.logit_scale.device) for name, one in collator.seen(items).items()}
            out = self.model.get_image_features(**seen)
            embeds.append(_normalised(out.pooler_output))
            routers = [logits.float() for logits in out.router_logits or ()]
            if out.slice_attentions is not None:
                mask = seen["slice_mask"]
                weights += [
                    row[kept].float().cpu().numpy() for row, kept in zip(out.slice_attentions, mask, strict=True)
                ]
                # a volume's gate is the mean of its slices'
                routers = [_mean_of_slices(logits, mask) for logits in routers]
            gates.append([logits.softmax(-1).cpu().numpy() for logits in routers])
            energies.append([logits.logsumexp(-1).cpu().numpy() for logits in routers])
            if advance is not None:
                advance(len(items))
        by_layer = [np.concatenate(layer) for layer in zip(*gates, strict=True)]
        energy = [np.concatenate(layer) for layer in zip(*energies, strict=True)]
        embedded = require_finite(np.concatenate(embeds), f"{self.name}, embeddings of images")
        for number, layer in enumerate([*by_layer, *energy]):
            require_finite(layer, f"{self.name}, gate of MoBE layer {number % len(by_layer)}")
        return EmbeddedImages(dataset.samples, embedded, by_layer, dataset.body_part, energy, weights)

    @torch.inference_mode()
    def embed_volumes(
        self, volumes: Iterable[Any], advance: Callable[[int], Any] | None = None, **settings: Any
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Studies of several images, one after another: (N, D), normalised, and each one's shares of its slices (S,).

        `volumes` are whatever the processor takes as one study; `settings` are those of its `volumes=` (window, ...).
        """
        if isinstance(volumes, list | tuple):
            refuse_loose_slices(volumes)
        embeds, shares = [], []
        for volume in volumes:
            inputs = self.processor(volumes=[volume], return_tensors="pt", **settings)
            out = self.model.get_image_features(**inputs.to(self.model.logit_scale.device))
            embeds.append(_normalised(out.pooler_output))
            shares.append(out.slice_attentions[0].float().cpu().numpy())
            if advance is not None:
                advance(1)
        return require_finite(np.concatenate(embeds), f"{self.name}, embeddings of studies"), shares


@dataclass(frozen=True)
class EmbeddedImages:
    """Images as a model sees them."""

    samples: Sequence[Sample]
    embeds: np.ndarray  # (N, D), normalised
    gates: list[np.ndarray]  # (N, E) for each MoBE layer: how much each expert is involved; sums to 1
    experts: list[int]  # each image's own, or -100
    energies: list[np.ndarray] = field(default_factory=list)  # (N,) for each MoBE layer: log-sum-exp of its logits
    slice_weights: list[np.ndarray] = field(default_factory=list)  # of volumes: each slice's share (S,); sums to 1

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


def model_hash(folder: Path | str) -> str:
    """SHA-256 over what a model folder's numbers depend on: weights, settings, vocabulary; not its card."""
    total = hashlib.sha256()
    for file in sorted(Path(folder).iterdir()):
        if file.suffix in (".safetensors", ".json", ".txt", ".model") and file.name not in NO_NUMBERS:
            with file.open("rb") as content:
                total.update(f"{file.name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _mean_of_slices(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(B, S, E) to (B, E), over the slices that are there."""
    return (logits * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def _normalised(embeds: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(embeds.float(), dim=-1).cpu().numpy()
