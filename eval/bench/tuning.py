"""Trains a copy of the image tower with a linear head, from the head that a probe found; the given model stays.

The paper says "linear probing" in its text and "fine-tuning" in Table 2, and how neither was done. Settings are ours;
starting from the probe is after Kumar et al. 2022 (Fine-Tuning can Distort Pretrained Features, arXiv 2202.10054).
"""

# Shapes: N images, B batch, D embedding, X further inputs, C outputs
import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from ...configuration.data import DataConfig
from ...processing.data.dataset import PairCollator, PairDataset
from ..finite import require_finite
from .asked import Asked

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How it is trained; all of it is ours."""

    layers: int | None = None  # the last so many of the tower, its norm and projection; None: the whole tower
    epochs: int = 8
    patience: int = 3  # epochs without a better validation score before it stops
    batch_size: int = 32
    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.05
    largest_gradient: float = 1.0  # the norm at which gradients are cut

    def __post_init__(self):
        for name in ("epochs", "patience", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; fine-tuning needs at least 1")
        if self.layers is not None and self.layers < 0:
            raise ValueError(
                f"layers is {self.layers}; 0 tunes the head, the norm and the projection, None everything"
            )


@dataclass(frozen=True)
class Tuned:
    """What the best epoch gave on test, and how training went."""

    outputs: np.ndarray  # (N, C) of the test images
    by_epoch: list[float]  # validation score, higher is better; the first is the probe's own, before any step
    epoch: int  # the best

    def about(self, settings: Tuning) -> dict[str, Any]:
        """For an answer's result."""
        return {"settings_of_tuning": asdict(settings), "validation_by_epoch": self.by_epoch, "best_epoch": self.epoch}


class TunedTower(nn.Module):
    """A copy of the image tower under a linear head on the embedding of length 1, as it is for a probe."""

    def __init__(self, model: Any, weights: np.ndarray, bias: np.ndarray, layers: int | None):
        super().__init__()
        self.vision_model = copy.deepcopy(model.vision_model).float()
        self.visual_projection = copy.deepcopy(model.visual_projection).float()
        self.head = nn.Linear(weights.shape[1], weights.shape[0], device=model.logit_scale.device)
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(weights))
            self.head.bias.copy_(torch.from_numpy(bias))
        total = len(self.vision_model.layers)
        if layers is not None and layers > total:
            raise ValueError(f"layers is {layers}, and the tower has {total}; None tunes the whole tower")
        self.requires_grad_(layers is None)
        last = self.vision_model.layers[total - (layers or 0) :]
        for part in (*last, self.vision_model.layernorm, self.visual_projection, self.head):
            part.requires_grad_(True)

    def train(self, mode: bool = True) -> "TunedTower":
        """Parts that are not trained stay as in evaluation, and all batch norms: few films say little about them."""
        super().train(mode)
        for part in (self.vision_model.embeddings, *self.vision_model.layers):
            if not any(parameter.requires_grad for parameter in part.parameters()):
                part.eval()
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, pixel_values: torch.Tensor, further: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) and (B, X) to (B, C)."""
        img_token = self.vision_model(pixel_values, img_token_only=True).pooler_output
        embeds = nn.functional.normalize(self.visual_projection(img_token), dim=-1)  # (B, D)
        return self.head(torch.cat([embeds, further], dim=1))


def tune(
    asked: Asked,
    head: tuple[np.ndarray, np.ndarray],
    targets: np.ndarray,
    loss: Loss,
    score: Callable[[np.ndarray], float],
    settings: Tuning,
    further: Mapping[str, np.ndarray] | None = None,
) -> Tuned:
    """Trains on the train images and gives the outputs of the epoch whose validation outputs `score` highest.

    `head` is weights (C, D + X) and bias (C,); `targets` (N, C) are those of the train images; `further` holds by
    split what the head is given beside the embedding (N, X). Equal settings and seed: equal outputs on one machine.
    Raises ValueError where training runs away.
    """
    with torch.random.fork_rng():
        torch.manual_seed(asked.seed)
        tower = TunedTower(asked.tested.model, *head, settings.layers)
        inputs = {
            split: _Inputs(asked, split, None if further is None else further[split], settings.batch_size)
            for split in ("train", "validation", "test")
        }
        return _trained(tower, inputs, torch.from_numpy(targets).float(), loss, score, settings, asked.seed)


def _trained(
    tower: TunedTower,
    inputs: Mapping[str, "_Inputs"],
    targets: torch.Tensor,
    loss: Loss,
    score: Callable[[np.ndarray], float],
    settings: Tuning,
    seed: int,
) -> Tuned:
    head = list(tower.head.parameters())
    body = [parameter for name, parameter in tower.named_parameters() if not name.startswith("head.")]
    groups = [
        {"params": [parameter for parameter in body if parameter.requires_grad], "lr": settings.learning_rate},
        {"params": head, "lr": settings.head_learning_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    batches = -(-len(targets) // settings.batch_size)
    total = settings.epochs * batches
    # up over the first epoch, for a head that fits already is soon broken by a hasty tower, then down to the end
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / batches, (total - step) / max(total - batches, 1))
    )
    by_epoch = [score(require_finite(inputs["validation"].outputs(tower), "outputs before fine-tuning"))]
    best, kept = 0, copy.deepcopy(tower.state_dict())
    order = torch.Generator().manual_seed(seed)
    with tqdm(total=total, unit="batch", desc="fine-tuning", leave=False) as bar:
        for epoch in range(1, settings.epochs + 1):
            tower.train()
            for rows, pixel_values, further in inputs["train"].batches(torch.randperm(len(targets), generator=order)):
                optimizer.zero_grad()
                loss(tower(pixel_values, further), targets[rows].to(pixel_values.device)).backward()
                nn.utils.clip_grad_norm_(tower.parameters(), settings.largest_gradient)
                optimizer.step()
                schedule.step()
                bar.update()
            outputs = inputs["validation"].outputs(tower)
            if not np.isfinite(outputs).all():
                raise ValueError(
                    f"fine-tuning ran away in epoch {epoch}: outputs are not finite; lower learning_rate "
                    f"({settings.learning_rate:g}) or head_learning_rate ({settings.head_learning_rate:g})"
                )
            by_epoch.append(score(outputs))
            bar.set_postfix(validation=f"{by_epoch[-1]:.4f}")
            if by_epoch[-1] > by_epoch[best]:
                best, kept = epoch, copy.deepcopy(tower.state_dict())
            elif epoch - best >= settings.patience:
                break
    tower.load_state_dict(kept)
    return Tuned(inputs["test"].outputs(tower), by_epoch, best)


class _Inputs:
    """One split's pixels and further inputs, batch by batch."""

    def __init__(self, asked: Asked, split: str, further: np.ndarray | None, batch_size: int):
        samples = asked.splits[split].samples
        data: DataConfig = replace(asked.data, cache_gib=asked.data.cache_gib / 3)  # three splits share the room
        self.dataset = PairDataset(samples, asked.tested.processor, data, None)
        self.collator = PairCollator(asked.tested.processor, data)
        self.further = torch.from_numpy(np.zeros((len(samples), 0)) if further is None else further).float()
        self.batch_size = batch_size
        self.device = asked.tested.model.logit_scale.device

    def batches(self, order: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        for rows in order.split(self.batch_size):
            pixel_values = self.collator.pixel_values(self.dataset.__getitems__(rows.tolist()))
            yield rows, pixel_values.to(self.device), self.further[rows].to(self.device)

    @torch.inference_mode()
    def outputs(self, tower: TunedTower) -> np.ndarray:
        """(N, C) in the samples' order."""
        tower.eval()
        everything = torch.arange(len(self.dataset))
        parts = [tower(pixel_values, further).cpu().numpy() for _, pixel_values, further in self.batches(everything)]
        return np.concatenate(parts).astype(np.float64)
