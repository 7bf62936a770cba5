"""Fine-tunes PedCLIP on one body part with LoRA, and measures what that did there and elsewhere.

    python examples/lora.py --model runs/demo/hub --part elbow --out runs/lora

Makes phantom films of new children (or takes those that it made before), asks for every finding before and after, and
writes

    OUT/adapter/      the adapter: peft.AutoPeftModelForFeatureExtraction.from_pretrained(..., trust_remote_code=True)
    OUT/merged/       the tuned model, complete for the Hub: AutoModel.from_pretrained(..., trust_remote_code=True)
    OUT/results.json  the table, and each finding

The films are generated: the numbers show that the software works and say nothing about medicine. To tune on films of
your own, give `tune` the samples that `read_folder` makes of your folder.
"""

import argparse
import dataclasses
import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import peft
import torch
from huggingface_hub import ModelCard, ModelCardData
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import AutoModel, AutoProcessor
from transformers.utils import cached_file
from transformers.utils import logging as transformers_logging

from pedclip.card import CardFacts, checkout_file, facts_of
from pedclip.configuration.data import DataConfig, SplitsConfig
from pedclip.configuration.training import load_recipe
from pedclip.demo import CLINIC
from pedclip.eval.demo import NOTE, ask_all, finding_questions
from pedclip.eval.embeddings import ModelUnderTest
from pedclip.eval.statistics import RESAMPLES, Metric, estimate, mean_of, paired_difference
from pedclip.hub import TRAINING_LABELS, write_hub_folder
from pedclip.optimizer import learning_rate_share
from pedclip.processing.data.batches import PairBatches
from pedclip.processing.data.captions import Captions
from pedclip.processing.data.dataset import PairCollator, PairDataset
from pedclip.processing.data.folder import read_folder
from pedclip.processing.data.sample import Sample
from pedclip.processing.phantom.applicable import APPLICABLE
from pedclip.processing.phantom.folder import FolderSettings, whole_or_not, write_folder
from pedclip.processing.phantom.render import MAX_SIDE, MIN_SIDE

# Chosen by the AUC of validation patients with --split validation; docs/peft.md has what was tried
RANK = 8
EPOCHS = 10
BATCH = 64
LEARNING_RATE = 3e-3
ATTENTION = [
    "query",
    "value",
]  # the text tower's; with "q_proj" and "v_proj" the image tower's too, which costs elsewhere
EXPERTS = ["experts.up_proj", "experts.down_proj"]  # stacked parameters, no modules: r is the rank of each expert

SEED = 1  # of films and training; the demo's children have 0, and nobody is drawn twice
PATIENTS = 2400
Films = dict[str, list[Sample]]  # "here": the part that is tuned on; "elsewhere": all others


# ---- model and films


def load(name: str) -> tuple[Any, Any]:
    """Model and processor of a folder or of an id on the Hub, by the Auto classes that anybody would use."""
    if not Path(name).is_dir() and name.count("/") != 1:
        raise FileNotFoundError(f"{name} is no folder and no id on the Hub; `make demo` writes one to runs/demo/hub")
    model = AutoModel.from_pretrained(name, trust_remote_code=True)
    return model.eval(), AutoProcessor.from_pretrained(name, trust_remote_code=True)


def file_of(name: str, file: str) -> Path | None:
    """A file of the model's folder or repository, where it has one."""
    found = cached_file(name, file, _raise_exceptions_for_missing_entries=False)
    return None if found is None else Path(found)


def check_part(part: str, body_parts: Sequence[str]) -> None:
    possible = [name for name in body_parts if APPLICABLE.get(name)]
    if part not in possible:
        raise ValueError(
            f"part is {part!r}; choose one that model and phantom know, with findings: {', '.join(possible)}"
        )


def make_films(folder: Path, part: str, side: int, patients: int = PATIENTS) -> None:
    """Films of `part` to tune and to test on, and of all other parts to test on: other children, by other seeds."""
    others = {name: share for name, share in CLINIC.parts.items() if name != part}
    tuned = SplitsConfig(validation_share=0.15, test_share=0.25)
    untuned = SplitsConfig(validation_share=0.39, test_share=0.6)  # nearly nobody to train on
    drawn = ((part, {part: 1.0}, tuned, patients), (f"not-{part}", others, untuned, max(patients * 2 // 3, 1)))
    for seed, (name, parts, splits, count) in enumerate(drawn, start=SEED):
        settings = FolderSettings(
            patients=count,
            seed=seed,
            side=min(max(side, MIN_SIDE), MAX_SIDE),
            twins=True,
            clinic=dataclasses.replace(CLINIC, parts=parts),
            splits=splits,
        )
        write_folder(folder / name, settings)


def demo_data() -> DataConfig:
    """Captions and augmentation as the demo's recipe has them; the path is set where films are read."""
    return load_recipe(checkout_file("configuration/recipes/phantom.yaml")).data


# ---- tuning


def with_lora(model: torch.nn.Module, rank: int = RANK) -> peft.PeftModel:
    """The model, frozen, with adapters that begin as zero: in the text tower's attention and in the experts."""
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=ATTENTION,
        target_parameters=EXPERTS,
        task_type="FEATURE_EXTRACTION",  # what AutoPeftModelForFeatureExtraction looks for
    )
    return peft.get_peft_model(model, config)


def tune(
    adapter: peft.PeftModel,
    processor: Any,
    samples: Sequence[Sample],
    data: DataConfig,
    *,
    epochs: int = EPOCHS,
    batch_size: int = BATCH,
    learning_rate: float = LEARNING_RATE,
    seed: int = SEED,
) -> None:
    """Trains the adapter with the model's own loss on pairs of film and caption."""
    batches = PairBatches(samples, batch_size, seed, together=data.together)
    loader = DataLoader(
        PairDataset(samples, processor, data, adapter.config.body_parts),
        batch_sampler=batches,
        collate_fn=PairCollator(processor, data, seed=seed),
    )
    steps = epochs * len(batches)
    optimizer = torch.optim.AdamW([one for one in adapter.parameters() if one.requires_grad], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_share(step, steps, 0.05))
    train_mode(adapter)
    with tqdm(total=steps, unit="step", desc="LoRA") as bar:
        for epoch in range(epochs):
            batches.set_epoch(epoch)
            for batch in loader:
                batch = {key: value.to(adapter.device) for key, value in batch.items()}
                # the part is known, so its own expert answers alone: the other experts get no gradient, not even the
                # small one that Adam would make a full step of
                out = adapter(**batch, return_loss=True, teacher_forcing=True)
                out.loss.backward()
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                bar.set_postfix(loss=f"{out.loss.item():.3f}", refresh=False)
                bar.update()
    adapter.eval()


def train_mode(adapter: torch.nn.Module) -> None:
    """Training mode, but for batch norm, whose running means are no parameters.

    They would change in a frozen model, and an adapter's file does not hold them.
    """
    adapter.train()
    for module in adapter.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()


# ---- measuring


def ask(model: torch.nn.Module, processor: Any, films: Films, data: DataConfig) -> dict[str, dict[str, tuple]]:
    """For each place every finding that its films can be asked for: its scores' AUC, and which films it is about."""
    tested = ModelUnderTest(model, processor)
    asked = finding_questions("phantom_prompts")
    return {
        place: ask_all(tested, tested.embed_images(samples, data), asked, data, SEED, resamples=0)
        for place, samples in films.items()
    }


def compare(before: Mapping, after: Mapping, films: Films) -> list[dict[str, Any]]:
    """A row for each place: the mean AUC over its findings before, after, and the difference on the same patients."""
    rows = []
    for place, samples in films.items():
        patients = [sample.patient_id for sample in samples]
        if not after[place]:
            raise ValueError(f"{len(samples)} films {place} show no finding 5 times or more; take another part")
        old, new = (mean_of([among(*answer) for answer in found[place].values()]) for found in (before, after))
        rows.append(
            {
                "place": place,
                "films": len(samples),
                "patients": len(set(patients)),
                "before": estimate(old, patients, RESAMPLES, SEED).to_dict(),
                "after": estimate(new, patients, RESAMPLES, SEED).to_dict(),
                "difference": paired_difference(new, old, patients, RESAMPLES, SEED).to_dict(),
                "findings": {
                    name: {"before": before[place][name][0].result["value"], "after": answer.result["value"]}
                    for name, (answer, _) in after[place].items()
                },
            }
        )
    return rows


def among(answer: Any, rows: Sequence[int]) -> Metric:
    """A finding's metric as a function of the weights of all films, of which it is asked of some."""
    return lambda weights: answer.metric(weights[:, list(rows)])


def table(rows: Sequence[Mapping[str, Any]], part: str, split: str) -> str:
    names = {"here": part, "elsewhere": "all other parts"}
    header = ("", "findings", "films", "patients", "before", "after", "difference")
    lines = [
        (
            names[row["place"]],
            *(str(number) for number in (len(row["findings"]), row["films"], row["patients"])),
            *(
                with_interval(row[key], "+" if key == "difference" else "")
                for key in ("before", "after", "difference")
            ),
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    shown = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in (header, *lines)
    ]
    said = [f"{names[row['place']]}: {verdict(row['difference'])}" for row in rows]
    title = f"Mean AUC over findings of {split} patients whom no training has seen (95 % interval over patients)"
    return "\n".join([title, *(line.rstrip() for line in shown), "; ".join(said) + ".", NOTE])


def with_interval(value: Mapping[str, Any], sign: str = "") -> str:
    flag = " below chance" if not sign and value["value"] < 0.5 else ""
    if value["low"] is None:
        return f"{value['value']:{sign}.3f}{flag}"
    return f"{value['value']:{sign}.3f} ({value['low']:{sign}.3f} to {value['high']:{sign}.3f}){flag}"


def verdict(difference: Mapping[str, Any]) -> str:
    """What the interval of the difference allows to say, in whichever direction."""
    if difference["low"] is not None and difference["low"] > 0:
        return "higher after tuning"
    if difference["high"] is not None and difference["high"] < 0:
        return "lower after tuning"
    return "no difference that these patients can show"


# ---- saving


def save_adapter(adapter: peft.PeftModel, folder: Path, text: str) -> None:
    """The adapter alone, with a card that says what it is."""
    adapter.save_pretrained(folder)
    base = adapter.peft_config["default"].base_model_name_or_path
    on_hub = None if Path(base).exists() else base
    data = ModelCardData(library_name="peft", base_model=on_hub, tags=["lora", "radiology", "x-ray", "pedclip"])
    title = f"LoRA adapter of {on_hub or 'a PedCLIP'}"  # a folder here means nothing elsewhere
    ModelCard(f"---\n{data.to_yaml()}\n---\n\n# {title}\n\n{text}\n").save(folder / "README.md")


def merge_and_save(
    adapter: peft.PeftModel,
    processor: Any,
    folder: Path,
    facts: CardFacts | None = None,
    labels: Mapping[str, Any] | None = None,
) -> torch.nn.Module:
    """Adds the adapter to the weights and writes a complete folder for the Hub; returns the merged model.

    The adapter is used up: its model is the merged one now.
    """
    merged = adapter.merge_and_unload()
    write_hub_folder(merged, processor, folder, facts, training_labels=labels)
    return merged


def card_facts(base: str, card: Path | None, part: str, on_top: str, hardware: str, shown: str) -> CardFacts:
    """What the merged model's card says: the base's licence and data, what came on top, and its own results alone."""
    old = CardFacts() if card is None else facts_of(ModelCard.load(card))
    return CardFacts(
        name=f"{old.name}, tuned on the {part.replace('_', ' ')}",
        license=old.license,
        training_data=f"{old.training_data}\n\n{on_top}",
        datasets=tuple(dict.fromkeys([*old.datasets, "phantom"])),
        base_models=old.base_models if Path(base).exists() else (base,),
        results=f"```\n{shown}\n```",
        hardware=f"{old.hardware} {hardware}",
    )


def all_labels(file: Path | None, samples: Sequence[Sample], data: DataConfig) -> dict[str, Any] | None:
    """What base and tuning have seen together; unknown where the base's is."""
    if file is None:
        return None
    old, new = json.loads(file.read_text(encoding="utf-8")), Captions(data).training_labels(samples)
    named = {key: sorted({*old[key], *new[key]}) for key in ("body_part", "findings")}
    return {**named, **{key: old[key] + new[key] for key in ("captions", "captions_from_text")}}


# ---- the run


def run(
    base: str,
    part: str,
    out: Path,
    films_folder: Path,
    *,
    split: str = "test",
    patients: int = PATIENTS,
    epochs: int = EPOCHS,
) -> str:
    """Everything, in order; returns the table."""
    if out.exists():
        raise FileExistsError(f"{out} exists already; name another folder, or remove it first")
    model, processor = load(base)
    card, labels = file_of(base, "README.md"), file_of(base, TRAINING_LABELS)
    check_part(part, model.config.body_parts)
    make_films(films_folder, part, model.config.vision_config.image_size, patients)
    recipe = demo_data()
    here, elsewhere = (dataclasses.replace(recipe, path=str(films_folder / name)) for name in (part, f"not-{part}"))
    training = read_folder(here, split="train")
    films = {
        "here": read_folder(here, split=split, need_caption=False),
        "elsewhere": read_folder(elsewhere, split=split, need_caption=False),
    }

    before = ask(model, processor, films, recipe)
    torch.manual_seed(SEED)  # where adapters begin
    adapter = with_lora(model)
    adapter.print_trainable_parameters()
    began = time.monotonic()
    tune(adapter, processor, training, here, epochs=epochs)
    hardware = f"LoRA: {time.monotonic() - began:.0f} seconds on {torch.get_num_threads()} threads."
    rows = compare(before, ask(adapter, processor, films, recipe), films)

    shown = table(rows, part, split)
    on_top = (
        f"Tuned by LoRA on {len(training):,} generated films of the {part.replace('_', ' ')} (pedclip/phantom, "
        f"synthetic): rank {RANK}, {epochs} epochs, learning rate {LEARNING_RATE}."
    )
    results = {
        "part": part,
        "base": base,
        "split": split,
        "rows": rows,
        "note": NOTE,
        "tuning": f"{on_top} {hardware}",
    }
    with whole_or_not(out.absolute()) as new:
        save_adapter(adapter, new / "adapter", f"{on_top}\n\n```\n{shown}\n```")
        facts = card_facts(base, card, part, on_top, hardware, shown)
        merge_and_save(adapter, processor, new / "merged", facts, all_labels(labels, training, here))
        (new / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="runs/demo/hub", help="folder, or id on the Hub (default: %(default)s)")
    parser.add_argument("--part", default="elbow", help="body part to tune on (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="new folder for adapter, merged model and results")
    parser.add_argument(
        "--films", type=Path, default=Path("runs/lora-films"), help="kept there (default: %(default)s)"
    )
    parser.add_argument("--split", choices=("test", "validation"), default="test", help="validation: to try settings")
    parser.add_argument("--patients", type=int, default=PATIENTS, help="generated children (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="(default: %(default)s)")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    transformers_logging.disable_progress_bar()
    began = time.monotonic()
    try:
        sizes = {"patients": args.patients, "epochs": args.epochs}
        shown = run(args.model, args.part, args.out, args.films, split=args.split, **sizes)
    except (ValueError, OSError) as error:
        print(f"lora.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(f"\n{shown}\n\n{(time.monotonic() - began) / 60:.1f} minutes. Adapter, merged model and results: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
