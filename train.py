"""Trains PedCLIP from a recipe and leaves a folder for the Hub.

    python train.py configuration/recipes/xr.yaml
    python train.py configuration/recipes/xr.yaml --output runs/mine --set epochs=3 --set data.path=my/xrays
    accelerate launch --num_processes 2 train.py configuration/recipes/pexr.yaml

Run again with the same recipe and output, it goes on where it stopped. OUTPUT then holds

    hub/                the model: AutoModel.from_pretrained("OUTPUT/hub", trust_remote_code=True)
    metrics.jsonl       one line every `log_every` steps and one an epoch; tensorboard/ holds the same curves
    checkpoints/        last (with the optimizer's state) and best; each also loads as a model
    skipped_rows.jsonl  training rows whose image or text could not be used, and why; those held out have a file too
    recipe.yaml         the recipe as it was run, overrides included
    training_manifest.npz  hashes of patients and images, by which leaks into a test set are found; not for the Hub
"""

import argparse
import dataclasses
import importlib.util
import json
import logging
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import (
    DistributedDataParallelKwargs,
    InitProcessGroupKwargs,
    is_tensorboard_available,
    set_seed,
)
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import load_file
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import AutoTokenizer
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils import logging as transformers_logging

from pedclip import PedCLIPImageProcessor, PedCLIPModel, PedCLIPProcessor
from pedclip.card_training import card_facts, hardware_line, seen_in_training
from pedclip.configuration.training import ModelConfig, TrainConfig, load_recipe
from pedclip.eval.prompts import question_file
from pedclip.eval.training import evaluate
from pedclip.eval.training_manifest import MANIFEST, write_manifest
from pedclip.hub import TRAINING_LABELS, write_card, write_hub_folder
from pedclip.meter import Meter, peak_flops, slices_in
from pedclip.optimizer import build_optimizer, learning_rate_share
from pedclip.processing.data.batches import PairBatches, Pick
from pedclip.processing.data.dataset import PairCollator, PairDataset
from pedclip.processing.data.samples import read_samples
from pedclip.processing.data.shards import ShardSamples
from pedclip.run_folder import JsonLinesTracker, earlier_model, remember_recipe, replace_folder, whole_checkpoint

logger = logging.getLogger("pedclip.train")


# ---- what is trained


def resolve(name: str) -> str:
    """A Hub id or folder as it is; `package://NAME/FOLDER` as the folder inside that Python package."""
    if not name.startswith("package://"):
        return name
    package, _, folder = name.removeprefix("package://").partition("/")
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ValueError(f"{name}: the package {package} is not installed; pip install {package.replace('_', '-')}")
    # an imported package may have more places than its spec: in a checkout pedclip's folders lie one level up
    places = list(getattr(sys.modules.get(package), "__path__", None) or found.submodule_search_locations)
    return str(
        next((Path(place, folder) for place in places if Path(place, folder).is_dir()), Path(places[0], folder))
    )


def build_model(config: ModelConfig) -> PedCLIPModel:
    if config.pretrained is not None:
        model = PedCLIPModel.from_pretrained(resolve(earlier_model(config.pretrained)), **config.config)
    else:
        vision = None if config.vision is None else resolve(config.vision)
        fields = {f"vision_{key}": value for key, value in config.vision_config.items()}
        text_fields = dict(config.text_config)
        if config.tokenizer is not None:
            tokenizer = AutoTokenizer.from_pretrained(resolve(config.tokenizer))
            text_fields |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        fields |= {f"text_{key}": value for key, value in text_fields.items()}
        text = None if config.text is None else resolve(config.text)
        model = PedCLIPModel.from_vision_text_pretrained(vision, text, **fields, **config.config)
    if config.attn_implementation is not None:
        model.set_attn_implementation(config.attn_implementation)
    for prefix in config.freeze:
        frozen = [weight for name, weight in model.named_parameters() if name.startswith(prefix)]
        if not frozen:
            raise ValueError(
                f"model.freeze names {prefix!r}, and no parameter begins so; text_model., for example, does"
            )
        for weight in frozen:
            weight.requires_grad_(False)
    return model


def build_processor(config: TrainConfig, image_size: int) -> PedCLIPProcessor:
    if config.model.pretrained is not None:
        processor = PedCLIPProcessor.from_pretrained(resolve(config.model.pretrained))
    else:
        size = {"height": image_size, "width": image_size}
        tokenizer = AutoTokenizer.from_pretrained(resolve(config.model.tokenizer or config.model.text))
        processor = PedCLIPProcessor(PedCLIPImageProcessor(size=size), tokenizer)
    processor.image_processor.keep_aspect_ratio = config.keep_aspect_ratio
    processor.tokenizer.model_max_length = config.max_text_tokens
    processor.tokenizer.init_kwargs["max_length"] = config.max_text_tokens  # what the processor cuts at; saved with it
    return processor


def compile_layers(model: PedCLIPModel, **how: Any):
    """Every layer of both towers as a graph of its own: alike layers share one, and the weights keep their names."""
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.compile(**how)


def train_mode(model: torch.nn.Module):
    """Training mode, but no dropout in a tower that is frozen whole."""
    model.train()
    for tower in model.children():
        if not any(weight.requires_grad for weight in tower.parameters()):
            tower.eval()


# ---- batches


class ShareOfBatches:
    """This process's part of every batch, from the batch where a resumed epoch goes on."""

    def __init__(self, batches: PairBatches, rank: int, processes: int):
        self.batches, self.rank, self.processes = batches, rank, processes
        self.first_batch = 0

    def __iter__(self) -> Iterator[list[Pick]]:
        share = self.batches.batch_size // self.processes
        for number, batch in enumerate(self.batches):
            if number >= self.first_batch:
                yield batch[self.rank * share : (self.rank + 1) * share]

    def __len__(self) -> int:
        return len(self.batches) - self.first_batch


# ---- what is written


@dataclasses.dataclass
class Progress:
    """Where the training stands; travels with every checkpoint."""

    epoch: int = 0  # the epoch that is running
    batch: int = 0  # of that epoch, the next one
    step: int = 0  # optimizer steps done
    best: float | None = None
    seconds: float = 0.0

    def state_dict(self) -> dict:
        return dataclasses.asdict(self)

    def load_state_dict(self, state: dict):
        for key, value in state.items():
            setattr(self, key, value)


def save_checkpoint(accelerator: Accelerator, target: Path):
    """Model folder and training state together: every process calls this, the first one writes the model."""
    new = target.with_name(target.name + ".new")
    if accelerator.is_main_process:
        shutil.rmtree(new, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(new), safe_serialization=True)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        replace_folder(new, target)


# ---- the run


def train(config: TrainConfig) -> Path:
    """Trains, and returns the Hub folder."""
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    metrics = JsonLinesTracker(output / "metrics.jsonl")
    accelerator = Accelerator(
        mixed_precision={"fp32": "no"}.get(config.precision, config.precision),
        log_with=[metrics, "tensorboard"] if is_tensorboard_available() else [metrics],
        project_dir=str(output),
        # MoBE's experts all take part in every step; what is frozen takes part in none
        kwargs_handlers=[
            DistributedDataParallelKwargs(broadcast_buffers=False),
            InitProcessGroupKwargs(timeout=timedelta(hours=6)),  # the others wait while the first one evaluates
        ],
    )
    processes, rank = accelerator.num_processes, accelerator.process_index
    if config.batch_size % processes:
        raise ValueError(f"batch_size is {config.batch_size} for {processes} processes; take a multiple")
    asked = question_file(config.questions)
    set_seed(config.seed)
    model = build_model(config.model)
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    processor = build_processor(config, model.config.vision_config.image_size)
    body_parts = model.config.body_parts
    set_seed(config.seed, device_specific=True)  # dropout differs between processes

    is_main = accelerator.is_main_process
    samples = read_samples(config.data, split="train", skipped_file=output / "skipped_rows.jsonl" if is_main else None)
    if is_main:
        rows = read_samples(config.data, split="validation", skipped_file=output / "skipped_validation_rows.jsonl")
        held_out = PairDataset(rows, processor, config.data, body_parts)
    labels = seen_in_training(config, samples)
    facts = card_facts(config)
    blocks = samples.blocks if isinstance(samples, ShardSamples) else None
    batches = PairBatches(samples, config.batch_size, config.seed, config.data.balance, config.data.together, blocks)
    share = ShareOfBatches(batches, rank, processes)
    loader = DataLoader(
        PairDataset(samples, processor, config.data, body_parts),
        batch_sampler=share,
        collate_fn=PairCollator(processor, config.data, seed=config.seed),
        num_workers=config.num_workers,
        generator=torch.Generator(),  # or else each epoch's start draws from the generator that dropout uses
        pin_memory=accelerator.device.type == "cuda",
    )

    steps = config.epochs * len(batches)
    optimizer = build_optimizer(model, config)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_share(step, steps, config.warmup)
    )
    progress = Progress()
    plain_model = model
    if config.torch_compile:
        compile_layers(model)
    model, optimizer = accelerator.prepare(model, optimizer)
    accelerator.register_for_checkpointing(schedule, progress)

    def write_model(models, weights, folder):
        if accelerator.is_main_process:
            plain_model.save_pretrained(folder)
            processor.save_pretrained(folder)
            Path(folder, TRAINING_LABELS).write_text(json.dumps(labels, indent=2) + "\n", encoding="utf-8")
            write_card(plain_model, facts, folder, labels)  # whoever exports a checkpoint gets what the recipe states
        weights.clear()  # written already, and not twice

    def read_model(models, folder):
        plain_model.load_state_dict(load_file(Path(folder, "model.safetensors")))
        models.clear()

    accelerator.register_save_state_pre_hook(write_model)
    accelerator.register_load_state_pre_hook(read_model)

    last, best = output / "checkpoints" / "last", output / "checkpoints" / "best"
    last.parent.mkdir(exist_ok=True)
    start = whole_checkpoint(last)
    if accelerator.is_main_process:
        remember_recipe(config, output, begun=start is not None)
        if start is None or not (output / MANIFEST).is_file():
            write_manifest(output / MANIFEST, {"train": samples, "validation": rows}, config.data.datasets)
    if start is not None:
        accelerator.load_state(str(start))
        accelerator.print(f"Going on from {start}: epoch {progress.epoch + 1}, step {progress.step} of {steps}")
    if accelerator.is_main_process:
        metrics.forget_after(progress.step if start is not None else -1)
    accelerator.init_trackers("tensorboard")

    def write_folder(model_now: PedCLIPModel, folder: Path):
        hardware = hardware_line(progress.seconds, processes, accelerator.device, config.precision)
        stated = dataclasses.replace(facts, hardware=hardware)
        write_hub_folder(model_now, processor, folder, stated, training_labels=labels, overwrite=True)

    def look() -> float:
        """Evaluates on the held-out images, writes the scores down, and returns the one that decides."""
        plain_model.eval()
        scores = evaluate(plain_model, processor, held_out, config.data, labels, asked)
        if config.best_metric not in scores:
            raise ValueError(
                f"best_metric is {config.best_metric!r}, and the held-out images of {config.data.path} give "
                f"{', '.join(scores)}; choose one of them"
            )
        line = {f"validation/{key}": value for key, value in scores.items()}
        accelerator.log(line | {"epoch": progress.epoch}, step=progress.step)
        shown = ", ".join(f"{key} {value:.3f}" for key, value in scores.items())
        bar.write(f"epoch {progress.epoch}/{config.epochs}: {shown}")
        return scores[config.best_metric]

    meter = Meter(plain_model.config, processes, peak_flops(accelerator.device))
    began = time.monotonic() - progress.seconds
    bar = tqdm(total=steps, initial=progress.step, unit="step", disable=not accelerator.is_main_process)
    if start is None and accelerator.is_main_process:
        look()  # where the curves begin; and what is wrong with the held-out images is said before hours of training
    while progress.epoch < config.epochs:
        teacher_forcing = progress.epoch < config.teacher_forcing_epochs
        batches.set_epoch(progress.epoch)
        share.first_batch = progress.batch
        train_mode(plain_model)
        for batch in loader:
            gate_weight = config.gate_weight_at(progress.epoch + progress.batch / len(batches))
            meter.step(batch["attention_mask"].sum(dim=1).tolist(), slices_in(batch))  # on the host: waits for nothing
            batch = {key: value.to(accelerator.device, non_blocking=True) for key, value in batch.items()}
            out = model(**batch, return_loss=True, teacher_forcing=teacher_forcing, gate_weight=gate_weight)
            accelerator.backward(out.loss)
            norm = accelerator.clip_grad_norm_(model.parameters(), config.max_grad_norm)
            optimizer.step()
            rate = float(schedule.get_last_lr()[0])
            schedule.step()
            optimizer.zero_grad()
            with torch.no_grad():  # beyond the limit the clamp in forward would let no gradient bring it back
                plain_model.logit_scale.clamp_(max=plain_model.config.logit_scale_max)

            progress.step += 1
            progress.batch += 1
            progress.seconds = time.monotonic() - began
            bar.update()
            if progress.step % config.log_every == 0 or progress.step == steps:
                names = [key for key in ("loss", "contrastive_loss", "gate_loss") if key in out]
                losses = {key: float(accelerator.reduce(out[key].detach(), "mean")) for key in names}
                bar.set_postfix(epoch=f"{progress.epoch + 1}/{config.epochs}", loss=f"{losses['loss']:.3f}")
                line = {f"train/{key}": value for key, value in losses.items()}
                line |= {
                    "train/learning_rate": rate,
                    "train/gate_weight": gate_weight,
                    "train/teacher_forcing": float(teacher_forcing),
                    "train/temperature": float((-plain_model.logit_scale.detach()).exp()),
                    "train/gradient_norm": float(norm),
                    "epoch": progress.epoch + progress.batch / len(batches),
                    "seconds": progress.seconds,
                    **{f"speed/{key}": value for key, value in meter.read().items()},
                }
                accelerator.log(line, step=progress.step)
            within_epoch = progress.batch < len(batches)  # at its end another one comes, after the evaluation
            if config.checkpoint_every and progress.step % config.checkpoint_every == 0 and within_epoch:
                save_checkpoint(accelerator, last)

        progress.epoch, progress.batch = progress.epoch + 1, 0
        if accelerator.is_main_process:
            score = look()
            if progress.best is None or score > progress.best:
                progress.best = score
                write_folder(plain_model, best)
        save_checkpoint(accelerator, last)
    bar.close()

    hub = output / "hub"
    if accelerator.is_main_process:
        if config.keep_for_hub == "best":
            plain_model = PedCLIPModel.from_pretrained(best)
        write_folder(plain_model, hub)
    accelerator.end_training()
    return hub


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="YAML file, see configuration/recipes/")
    parser.add_argument("--output", help="folder of the run, instead of the recipe's")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="change a value of the recipe",
    )
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("accelerate").setLevel(logging.WARNING)  # it reports each file of each checkpoint
    transformers_logging.disable_progress_bar()
    overrides = args.overrides + ([f"output={args.output}"] if args.output else [])
    try:
        config = load_recipe(args.recipe, overrides)
        hub = train(config)
    except (ValueError, OSError, StrictDataclassError) as error:
        print(f"train.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(
        f"\nThe model is in {hub}. Load it with\n\n"
        "    from transformers import AutoModel, AutoProcessor\n"
        f'    model = AutoModel.from_pretrained("{hub}", trust_remote_code=True)\n'
        f'    processor = AutoProcessor.from_pretrained("{hub}", trust_remote_code=True)\n\n'
        f"Curves: {config.output}/metrics.jsonl, or tensorboard --logdir {config.output}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
