"""What the ablations compare, read from a recipe and fixed before the first run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..configuration.training import TrainConfig, load_recipe
from ..processing.phantom.folder import FolderSettings
from .experiment import check_seeds, film_settings, read_design, recipe_facts

FIELDS = ("recipe", "seeds", "parts", "layers", "target_batch_size", "films")
ROLES = ("first", "middle", "last", "none")  # Fig. 4; the last is Fig. 5's MoBE, none its MLP
TARGET = "target"


@dataclass(frozen=True)
class Run:
    """One training: an arm with a seed."""

    arm: str  # one of ROLES, or `target`
    seed: int
    layers: Sequence[int]  # with experts
    part: str | None = None  # the only one trained on; None: all

    @property
    def name(self) -> str:
        return f"{self.arm}-{self.part}-{self.seed}" if self.part else f"{self.arm}-{self.seed}"


@dataclass(frozen=True)
class Design:
    """The whole experiment: films, arms and seeds. `recipe` is the training that all arms share."""

    recipe: Path
    seeds: Sequence[int]
    parts: Sequence[str]
    layers: Mapping[str, Sequence[int]]  # ROLES -> layers with experts
    target_batch_size: int
    films: FolderSettings

    def __post_init__(self):
        if tuple(self.layers) != ROLES or self.layers["none"]:
            raise ValueError(f"layers is {dict(self.layers)}; name {', '.join(ROLES)} in this order, none as []")
        check_seeds(self.seeds)
        strange = sorted(set(self.parts) ^ set(self.films.clinic.parts))
        if strange or not self.parts:
            raise ValueError(
                f"parts is {list(self.parts)} and the films' clinic has {', '.join(self.films.clinic.parts)}; "
                "both must be the same, or an arm would be asked about parts that it never saw"
            )
        if self.target_batch_size < 2:
            raise ValueError(
                f"target_batch_size is {self.target_batch_size}; a contrastive loss needs at least 2 pairs"
            )

    def training(self) -> TrainConfig:
        return load_recipe(self.recipe)

    def runs(self) -> list[Run]:
        """Every run, seed by seed, so that an experiment that was stopped has all arms of its first seeds."""
        found = []
        for seed in self.seeds:
            found += [Run(arm, seed, layers) for arm, layers in self.layers.items()]
            found += [Run(TARGET, seed, [], part) for part in self.parts]
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON, without a path of this machine; the questions by their hash."""
        return json.loads(json.dumps(asdict(self) | recipe_facts(self.recipe)))


def load_design(path: Path) -> Design:
    """Reads a design; an unknown or missing key is an error. The recipe that it names lies beside it."""
    values = read_design(path, FIELDS)
    return Design(
        recipe=path.parent / values["recipe"],
        seeds=values["seeds"],
        parts=values["parts"],
        layers=values["layers"],
        target_batch_size=values["target_batch_size"],
        films=film_settings(values["films"], path.name),
    )
