"""The optimizers of train.py: AdamW, or Muon for the matrices of both towers with AdamW for everything else."""

import math
from typing import Any

import torch

from pedclip.configuration.training import TrainConfig
from pedclip.modeling_pedclip.modeling_pedclip import PedCLIPModel


def build_optimizer(model: PedCLIPModel, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW; matrices decay, while biases, norms, tokens, positions and the temperature do not.

    With `optimizer: muon` the towers' matrices get Muon (Jordan et al. 2024; torch.optim.Muon), whose steps have equal
    size in every direction: towers with new weights learn in fewer steps. The experts are stacks of matrices, which
    torch's Muon does not take, so they stay with AdamW.
    """
    text_rate = config.learning_rate if config.text_learning_rate is None else config.text_learning_rate
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    matrices: list[torch.nn.Parameter] = []
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            continue
        decays = weight.ndim >= 2 and "embeddings." not in name and not name.endswith("_bias")
        if config.optimizer == "muon" and decays and weight.ndim == 2:
            matrices.append(weight)
            continue
        rate = text_rate if name.startswith("text_model.") else config.learning_rate
        groups.setdefault((rate, config.weight_decay if decays else 0.0), []).append(weight)
    settings = [{"params": weights, "lr": rate, "weight_decay": decay} for (rate, decay), weights in groups.items()]
    first, second = config.betas
    adamw = torch.optim.AdamW(settings, betas=(first, second), fused=True)
    if not matrices:
        return adamw
    muon = torch.optim.Muon(matrices, lr=config.muon_learning_rate, weight_decay=config.weight_decay)
    return Together(muon, adamw)


class Together(torch.optim.Optimizer):
    """Several optimizers that step, are scheduled and are saved as one. Their parameters must not overlap."""

    def __init__(self, *parts: torch.optim.Optimizer):
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.parts = parts
        # the very groups of the parts: what a schedule sets here, they use
        self.param_groups = [group for part in parts for group in part.param_groups]

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def learning_rate_share(step: int, steps: int, warmup: float) -> float:
    """Of the full learning rate: linear up over the warm-up, then half a cosine down to 0."""
    rising = round(steps * warmup)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * min((step - rising) / max(steps - rising, 1), 1.0)))
