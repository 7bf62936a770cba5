"""What a training recipe may say, and how it is read: YAML to dataclasses, where an unknown key is an error."""

import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .data import DataConfig

PRECISIONS = ("fp32", "bf16")
KEEP_FOR_HUB = ("best", "last")
OPTIMIZERS = ("adamw", "muon")


@dataclass(kw_only=True)
class ModelConfig:
    """Where the weights come from. With `pretrained` a PedCLIP goes on; else each tower is loaded or made new.

    An id is one of the Hub, a folder, or `package://NAME/FOLDER` for weights that a Python package carries.
    """

    pretrained: str | None = None  # a PedCLIP; its towers are then its own
    vision: str | None = None  # a ViT; null: new weights, of the size that vision_config says
    text: str | None = None  # a BERT with its tokenizer
    tokenizer: str | None = (
        None  # in place of text: new weights, of the size that text_config says, for this tokenizer
    )
    vision_config: dict = field(default_factory=dict)  # fields of PedCLIPVisionConfig
    text_config: dict = field(default_factory=dict)  # fields of the BERT's config to change, its dropout for example
    config: dict = field(default_factory=dict)  # further fields of PedCLIPConfig; they change a pretrained one too
    attn_implementation: str | None = None  # as in transformers; null: its own choice, sdpa
    freeze: list[str] = field(default_factory=list)  # parameters whose names begin with one of these stay as they are

    def __post_init__(self):
        given = [name for name in ("pretrained", "text", "tokenizer") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"model.pretrained, model.text, model.tokenizer: the recipe gives {' and '.join(given) or 'none'};"
                " give exactly one: pretrained to go on from a PedCLIP, text to start one from a BERT, tokenizer to "
                "start one with a new BERT"
            )
        if self.pretrained is not None and (self.vision or self.vision_config or self.text_config):
            raise ValueError(
                "model.pretrained brings its own towers; leave model.vision, model.vision_config and "
                "model.text_config out"
            )


@dataclass(kw_only=True)
class CardConfig:
    """What the model's card says that only its author knows."""

    name: str = "PedCLIP"
    license: str = "other"  # of the weights, as the Hub spells it: what the terms of the training data allow
    training_data: str | None = None  # Markdown; null: the card says that nobody stated it, and `pedclip check` too
    base_models: list[str] | None = None  # ids on the Hub; null: those ids that the model: part names
    emissions_grams: float | None = None  # of CO2 equivalents, as measured by whoever trained; null: not measured


@dataclass(kw_only=True)
class TrainConfig:
    """What a recipe may set. The defaults are the paper's where it states them, and ours where it does not."""

    model: ModelConfig
    data: DataConfig
    output: str  # folder of the run: checkpoints, metrics, and at the end hub/
    card: CardConfig = field(default_factory=CardConfig)

    epochs: int = 50  # paper
    batch_size: int = 256  # paper; pairs per optimizer step, over all processes: the negatives of each other
    learning_rate: float = 1e-5  # paper
    text_learning_rate: float | None = None  # ours; null: the same as learning_rate
    optimizer: str = "adamw"  # ours; "muon" takes Muon for the matrices of both towers: better for new weights
    muon_learning_rate: float = 0.02  # ours; of Muon's matrices, in Muon's own units
    weight_decay: float = 0.1  # ours; not on biases, norms, positions and the temperature
    betas: list[float] = field(default_factory=lambda: [0.9, 0.98])  # ours
    warmup: float = 0.02  # ours; share of all steps over which the learning rate rises; then it falls as a cosine to 0
    max_grad_norm: float = 1.0  # ours
    teacher_forcing: float = 0.2  # paper: the first 10 of 50 epochs; share of the epochs in which labels pick experts
    gate_weight: float = 1.0  # paper: lambda while the teacher forces; afterwards it falls linearly
    gate_weight_end: float = 0.0  # ours: the paper gives no end value

    keep_aspect_ratio: bool = False  # ours; true: fit the image in and pad, false: stretch it
    max_text_tokens: int = 120  # paper
    precision: str = "fp32"  # ours; "bf16" computes in bfloat16 and keeps the weights in float32
    gradient_checkpointing: bool = False  # ours; less memory for more time
    torch_compile: bool = False  # ours; each layer of both towers as one graph; the first steps wait for the compiler
    seed: int = 0
    num_workers: int = 0  # processes that read images, for each training process
    log_every: int = 10  # optimizer steps between two lines of metrics
    checkpoint_every: int | None = None  # optimizer steps; null: after each epoch alone
    questions: str = "prompts"  # what held-out images are asked: a file of eval/ by its name, or a YAML file like it
    best_metric: str = "body_part_auc"  # of the evaluation after each epoch; the highest is kept as best
    keep_for_hub: str = "best"  # which of the two kept checkpoints becomes the Hub folder

    def __post_init__(self):
        if self.batch_size < 2:
            raise ValueError(f"batch_size is {self.batch_size}; a contrastive loss needs at least 2 pairs")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision!r}; choose one of {', '.join(PRECISIONS)}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer is {self.optimizer!r}; choose one of {', '.join(OPTIMIZERS)}")
        if self.keep_for_hub not in KEEP_FOR_HUB:
            raise ValueError(f"keep_for_hub is {self.keep_for_hub!r}; choose one of {', '.join(KEEP_FOR_HUB)}")
        if len(self.betas) != 2:
            raise ValueError(f"betas is {self.betas}; AdamW takes two")
        for name in ("epochs", "max_text_tokens", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("warmup", "teacher_forcing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a share, from 0 to 1")
        for name in (
            "learning_rate",
            "muon_learning_rate",
            "weight_decay",
            "gate_weight",
            "gate_weight_end",
            "max_grad_norm",
            "num_workers",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must not be negative")

        if self.max_grad_norm <= 0:
            raise ValueError(f"max_grad_norm is {self.max_grad_norm}; it must be above 0 (1e9 is as good as none)")

    @property
    def teacher_forcing_epochs(self) -> int:
        return round(self.teacher_forcing * self.epochs)

    def gate_weight_at(self, epoch: float) -> float:
        """lambda after `epoch` epochs, fractions included: constant while the teacher forces, then linear."""
        annealed = self.epochs - self.teacher_forcing_epochs
        done = min(max(epoch - self.teacher_forcing_epochs, 0.0) / annealed, 1.0) if annealed else 0.0
        return self.gate_weight + (self.gate_weight_end - self.gate_weight) * done


def load_recipe(path: str | Path, overrides: list[str] | None = None) -> TrainConfig:
    """Reads a recipe, with `key=value` overrides (`data.path=my/xrays`, value in YAML) applied on top."""
    values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds no keys; a recipe is a YAML mapping, see configuration/recipes/")
    for override in overrides or []:
        key, equals, value = override.partition("=")
        if not equals:
            raise ValueError(f"override {override!r} has no '='; write it as key=value, for example epochs=5")
        *parents, name = key.split(".")
        level = values
        for parent in parents:
            level = level.setdefault(parent, {})
        level[name] = yaml.safe_load(value)
    return _build(TrainConfig, values, where="")


def _build(dataclass_type: Any, values: Any, where: str):
    """A dataclass from nested mappings; an unknown key or a wrong type is an error that names the place."""
    if not isinstance(values, dict):
        raise ValueError(f"{where[:-1]} is {values!r}; it must hold keys")
    hints = typing.get_type_hints(dataclass_type)
    for key in values:
        if key not in hints:
            close = difflib.get_close_matches(str(key), hints, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(hints)}"
            raise ValueError(f"unknown key {where + str(key)!r} in the recipe; {hint}")
    required = {
        field.name
        for field in dataclasses.fields(dataclass_type)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    missing = sorted(required - set(values))
    if missing:
        raise ValueError(f"the recipe lacks {', '.join(repr(where + key) for key in missing)}")
    return dataclass_type(**{key: _convert(hints[key], value, where + key) for key, value in values.items()})


def _convert(wanted: Any, value: Any, where: str) -> Any:
    if isinstance(wanted, types.UnionType):
        if value is None and type(None) in typing.get_args(wanted):
            return None
        choices = [choice for choice in typing.get_args(wanted) if choice is not type(None)]
        wanted = next(
            (choice for choice in choices if isinstance(value, typing.get_origin(choice) or choice)), choices[0]
        )
    if dataclasses.is_dataclass(wanted):
        return _build(wanted, value, where + ".")
    plain = typing.get_origin(wanted) or wanted
    if plain is float and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-5, without a dot, as text
        except ValueError:
            pass
    if not isinstance(value, plain) or (isinstance(value, bool) and plain is not bool):
        raise ValueError(f"{where} is {value!r}, which is no {plain.__name__}")
    return value
