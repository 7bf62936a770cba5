"""What the comparison of slice poolings is made of, read from a recipe and fixed before the first run."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..configuration.configuration_pedclip import VOLUME_POOLING
from ..configuration.data import SplitsConfig
from ..configuration.training import TrainConfig, load_recipe
from ..processing.phantom.study import Clinic
from ..processing.phantom.volume_folder import VolumeSettings
from .experiment import check_seeds, read_design

FIELDS = ("tower", "adapter", "seeds", "poolings", "volumes")
TOWER = "tower"


@dataclass(frozen=True)
class Run:
    """One training: the tower on slices, or on top of it one pooling on volumes."""

    arm: str  # tower, or one of VOLUME_POOLING
    seed: int

    @property
    def name(self) -> str:
        return f"{self.arm}-{self.seed}"


@dataclass(frozen=True)
class Design:
    """The whole experiment. `tower` and `adapter` are the recipes of RadCLIP's two stages."""

    tower: Path
    adapter: Path
    seeds: Sequence[int]
    poolings: Sequence[str]  # the first is compared with each of the others
    volumes: VolumeSettings

    def __post_init__(self):
        check_seeds(self.seeds)
        if len(set(self.poolings)) < max(len(self.poolings), 2) or set(self.poolings) - set(VOLUME_POOLING):
            raise ValueError(f"poolings is {list(self.poolings)}; name two or more of {', '.join(VOLUME_POOLING)}")

    def recipe_of(self, run: Run) -> TrainConfig:
        return load_recipe(self.tower if run.arm == TOWER else self.adapter)

    def towers(self) -> list[Run]:
        return [Run(TOWER, seed) for seed in self.seeds]

    def adapters(self) -> list[Run]:
        """Seed by seed, so that an experiment that was stopped has all poolings of its first seeds."""
        return [Run(pooling, seed) for seed in self.seeds for pooling in self.poolings]

    def to_dict(self) -> dict[str, Any]:
        """As JSON, without a path of this machine."""
        fields = asdict(self)
        for name, recipe in (("tower", self.tower), ("adapter", self.adapter)):
            training = asdict(load_recipe(recipe))
            training["data"].pop("path")
            training.pop("output")
            fields[name] = {"recipe": recipe.name, **training}
        fields["adapter"]["model"].pop("pretrained")
        return json.loads(json.dumps(fields))


def load_design(path: Path) -> Design:
    """Reads a design; an unknown or missing key is an error. The recipes that it names lie beside it."""
    values = read_design(path, FIELDS)
    volumes: dict[str, Any]
    volumes = {key: tuple(one) if isinstance(one, list) else one for key, one in values["volumes"].items()}
    clinic: dict[str, Any]
    clinic = {key: tuple(one) if isinstance(one, list) else one for key, one in volumes.pop("clinic").items()}
    try:
        settings = VolumeSettings(clinic=Clinic(**clinic), splits=SplitsConfig(**volumes.pop("splits")), **volumes)
    except TypeError as error:  # a key that the dataclass does not have
        raise ValueError(f"{path.name}, volumes: {error}") from error
    recipes = {name: path.parent / values[name] for name in ("tower", "adapter")}
    return Design(**recipes, seeds=values["seeds"], poolings=values["poolings"], volumes=settings)
