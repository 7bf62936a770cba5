"""The optimizers of train.py: AdamW, or Muon for the matrices of both towers with AdamW for everything else."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from pedclip.configuration.training import TrainConfig
from pedclip.modeling_pedclip.modeling_pedclip import PedCLIPModel


def build_optimizer(model: PedCLIPModel, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW; matrices decay, while biases, norms, tokens, positions and the temperature do not.

    With `optimizer: muon` the towers' matrices, and the stem's convolutions as matrices (out, in x height x width),
    get Muon (Jordan et al. 2024; torch.optim.Muon), whose steps have equal size in every direction: towers with new
    weights learn in fewer steps. What reads pixels or words stays with AdamW, and so do the experts, which are stacks
    of matrices.
    """
    text_rate = config.learning_rate if config.text_learning_rate is None else config.text_learning_rate
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    matrices: list[torch.nn.Parameter] = []
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            continue
        decays = weight.ndim >= 2 and "embeddings." not in name and not name.endswith("_bias")
        of_features = weight.ndim == 4 and weight.shape[1] > model.vision_model.config.num_channels
        if config.optimizer == "muon" and (of_features or (decays and weight.ndim == 2)):
            matrices.append(weight)
            continue
        rate = text_rate if name.startswith("text_model.") else config.learning_rate
        groups.setdefault((rate, config.weight_decay if decays else 0.0), []).append(weight)
    settings = [{"params": weights, "lr": rate, "weight_decay": decay} for (rate, decay), weights in groups.items()]
    first, second = config.betas
    adamw = torch.optim.AdamW(settings, betas=(first, second), fused=True)
    if not matrices:
        return adamw
    muon = MuonOfConvolutions(matrices, lr=config.muon_learning_rate, weight_decay=config.weight_decay)
    return Together(muon, adamw)


class MuonOfConvolutions(torch.optim.Muon):
    """Muon that takes convolutions too, each as the matrix (out, in x height x width) of Jordan et al. 2024."""

    def __init__(self, weights: Sequence[torch.nn.Parameter], **settings: Any):
        matrices = {weight: torch.nn.Parameter(weight.detach().flatten(1)) for weight in weights if weight.ndim > 2}
        self.matrices = matrices
        super().__init__([matrices.get(weight, weight) for weight in weights], **settings)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for weight, matrix in self.matrices.items():
            # each time anew, since a weight may have been loaded or moved to another device
            matrix.data = weight.data.flatten(1)
            matrix.grad = None if weight.grad is None else weight.grad.flatten(1)
        super().step(closure)
        for weight, matrix in self.matrices.items():
            weight.copy_(matrix.view_as(weight))

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        for weight in self.matrices:
            weight.grad = None


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
