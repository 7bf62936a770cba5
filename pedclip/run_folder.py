"""The folder of a training run: metrics line by line, checkpoints that change places, the recipe it began with."""

import dataclasses
import json
import shutil
from pathlib import Path

import yaml
from accelerate.tracking import GeneralTracker, on_main_process

from pedclip.configuration.training import TrainConfig


class JsonLinesTracker(GeneralTracker):
    """metrics.jsonl: one JSON object a line."""

    name = "jsonl"
    requires_logging_directory = False

    def __init__(self, path: Path):
        super().__init__()
        self.path = path

    @property
    def tracker(self) -> Path:
        return self.path

    @on_main_process
    def log(self, values: dict, step: int | None = None, **kwargs):
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    def forget_after(self, step: int):
        """Drops what a killed run wrote after its last checkpoint; the resumed run writes it again."""
        if self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
            self.path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def replace_folder(new: Path, target: Path):
    """Puts a finished folder in the place of an older one, so that a whole one is there at every moment but one."""
    older = target.with_name(target.name + ".old")
    shutil.rmtree(older, ignore_errors=True)
    if target.exists():
        target.rename(older)
    new.rename(target)
    shutil.rmtree(older, ignore_errors=True)


def whole_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint; its predecessor where the run was killed while the two changed places."""
    for candidate in (folder, folder.with_name(folder.name + ".old")):
        if candidate.is_dir():
            return candidate
    return None


# what may change between a run's beginning and its resumption, since the weights do not depend on it
FREE_TO_CHANGE = {"output", "card", "num_workers", "log_every", "checkpoint_every"}


def remember_recipe(config: TrainConfig, output: Path, begun: bool):
    """Writes recipe.yaml; where a checkpoint exists (`begun`), makes sure that it was trained by this very recipe."""
    path = output / "recipe.yaml"
    now = dataclasses.asdict(config)
    if begun and path.exists():
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
        changed = sorted(key for key in now.keys() - FREE_TO_CHANGE if now[key] != before.get(key))
        if changed:
            raise ValueError(
                f"{output} holds a run with another recipe (other {', '.join(changed)}); take the recipe of "
                f"{path}, or another --output, or delete the folder"
            )
    path.write_text(yaml.safe_dump(now, sort_keys=False), encoding="utf-8")


def earlier_model(name: str) -> str:
    """A model by its id or folder, as it is; FileNotFoundError for the folder of a training that has not been."""
    parts = Path(name).parts
    of_the_hub = "://" in name or (len(parts) <= 2 and parts[0] not in (".", "..", "/"))
    if not of_the_hub and not Path(name).is_dir():
        raise FileNotFoundError(
            f"model.pretrained is {name}, and there is no such folder; where a recipe is the second stage, train the "
            "first before (of volume.yaml that is volume_tower.yaml), or name another model"
        )
    return name
