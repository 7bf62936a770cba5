"""What the ablations compare, read from a recipe and fixed before the first run."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from ..configuration.data import SplitsConfig
from ..configuration.training import TrainConfig, load_recipe
from ..processing.phantom.folder import FolderSettings
from ..processing.phantom.study import Clinic
from .prompts import question_file

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
        if len(set(self.seeds)) < max(len(self.seeds), 1):
            raise ValueError(f"seeds is {list(self.seeds)}; name at least one, and each once")
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
        training = asdict(self.training())
        training["data"].pop("path")
        training.pop("output")
        asked = hashlib.sha256(question_file(training["questions"]).read_bytes()).hexdigest()
        fields = asdict(self) | {"recipe": self.recipe.name, "training": training, "questions_sha256": asked}
        return json.loads(json.dumps(fields))


def load_design(path: Path) -> Design:
    """Reads a design; an unknown or missing key is an error. The recipe that it names lies beside it."""
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict) or set(values) != set(FIELDS):
        given = sorted(values) if isinstance(values, dict) else values
        raise ValueError(f"{path.name} has {given}; a design has the keys {', '.join(FIELDS)}, no more and no less")
    films = dict(values["films"])
    clinic: dict[str, Any]
    clinic = {key: tuple(value) if isinstance(value, list) else value for key, value in films.pop("clinic").items()}
    try:
        settings = FolderSettings(clinic=Clinic(**clinic), splits=SplitsConfig(**films.pop("splits")), **films)
    except TypeError as error:  # a key that the dataclass does not have
        raise ValueError(f"{path.name}, films: {error}") from error
    return Design(
        recipe=path.parent / values["recipe"],
        seeds=values["seeds"],
        parts=values["parts"],
        layers=values["layers"],
        target_batch_size=values["target_batch_size"],
        films=settings,
    )


class Fixed(Protocol):
    """A design as JSON, without a path of this machine."""

    def to_dict(self) -> dict[str, Any]: ...


def remember(design: Fixed, out: Path) -> None:
    """Writes OUT/design.json before the first run; afterwards any other design is an error, and nothing is changed."""
    file, now = out / "design.json", design.to_dict()
    if file.is_file():
        before = json.loads(file.read_text(encoding="utf-8"))
        if differing := sorted(_differing(before, now)):
            raise ValueError(
                f"{out} was begun with another design (it differs in {', '.join(differing)}), and runs of two designs "
                "cannot be compared; put the recipe back, or name another folder"
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.new")
    new.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    new.replace(file)


def _differing(before: Any, now: Any, where: str = "") -> list[str]:
    """The places where two nested mappings differ, as `training.epochs`."""
    if isinstance(before, dict) and isinstance(now, dict):
        found = []
        for key in {*before, *now}:
            found += _differing(before.get(key), now.get(key), f"{where}.{key}" if where else key)
        return found
    return [] if before == now else [where]
