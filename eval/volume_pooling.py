"""Slice attention against mean and max pooling, on phantom volumes whose findings lie in few slices.

    python -m pedclip.eval.volume_pooling runs/volume
    python -m pedclip.eval.volume_pooling runs/volume --page docs/volume

Trains what configuration/recipes/volume_design.yaml says: for each seed a tower on single slices (volume_tower.yaml),
and on that tower, frozen, one model a pooling (volume.yaml); two runs at a time, a thread each. Run again, it goes on:
a finished run stays, one that was stopped resumes. A folder that was begun with another design is refused. OUT then
holds results.json and, for each run, result.json with what it says of every test volume; --page brings the figures and
the tables of that folder up to date. The volumes are generated: the numbers say nothing about medicine.
"""

import dataclasses
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..configuration.data import DataConfig
from ..processing.data.samples import read_samples
from ..processing.phantom.volume_folder import write_slices, write_volumes
from .embeddings import load_model
from .experiment import (
    AT_ONCE,
    EVALUATION,
    arguments_of,
    remember,
    run_at_once,
    spending,
    spent,
    train_as_process,
)
from .json_files import write_json
from .statistics import RESAMPLES
from .tasks import provenance
from .volume import MIN_IMAGES, answers, chances, compare, embed_splits
from .volume_design import TOWER, Design, Run, load_design

DESIGN = Path(__file__).parent.parent / "configuration" / "recipes" / "volume_design.yaml"
SLICES, VOLUMES = "slices", "volumes"
NOTE = (
    "Phantom volumes are generated from geometric solids. These numbers compare small models on them under one "
    "budget; they say nothing about medicine."
)


def compare_poolings(design: Design, out: Path) -> dict[str, Any]:
    """Runs what is not finished and returns the whole result, which stands in OUT/results.json too."""
    remember(design.to_dict(), out)
    with spending(out, [*design.towers(), *design.adapters()]):
        write_slices(out / SLICES, design.volumes)
        write_volumes(out / VOLUMES, design.volumes)
        results = run_all(design, out)

    test = read_samples(data_of(design, design.adapters()[0], out), split="test", need_caption=False)
    slices = read_samples(data_of(design, design.towers()[0], out), split="test", need_caption=False)
    arms = {arm: [one["answers"] for one in results if one["arm"] == arm] for arm in (TOWER, *design.poolings)}
    flat = compare({TOWER: arms.pop(TOWER)}, [one.patient_id for one in slices])
    found = {
        "note": NOTE,
        "data_set": "pedclip/phantom (synthetic)",
        "3-D": compare(arms, [one.patient_id for one in test]) | {"chance": chances(results[-1]["answers"])},
        "2-D": flat["values"][TOWER],
        "2-D chance": chances(results[0]["answers"]),
        "volumes": counts(out / VOLUMES),
        SLICES: counts(out / SLICES),
        "runs": [{key: value for key, value in one.items() if key != "answers"} for one in results],
        "seconds": spent(out),
        "at_once": AT_ONCE,
        "design": design.to_dict(),
        **provenance(test, 0, RESAMPLES),
    }
    write_json(out / "results.json", found)
    return found


def counts(folder: Path) -> dict[str, dict[str, int]]:
    """{split: {all, patients, twins, and each finding}}"""
    found: dict[str, dict[str, Any]] = {}
    for row in map(json.loads, (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()):
        of_split = found.setdefault(row["split"], {"all": 0, "patients": set(), "no finding": 0})
        of_split["all"] += 1
        of_split["patients"].add(row["patient_id"])
        for name in row["findings"] or ["no finding"]:
            of_split[name] = of_split.get(name, 0) + 1
    return {split: one | {"patients": len(one["patients"])} for split, one in found.items()}


def data_of(design: Design, run: Run, out: Path) -> DataConfig:
    folder = out / (SLICES if run.arm == TOWER else VOLUMES)
    return dataclasses.replace(design.recipe_of(run).data, path=str(folder))


def changes_of(design: Design, run: Run, out: Path) -> dict[str, Any]:
    """What a run changes in its recipe."""
    changed: dict[str, Any] = {
        "output": str(out / run.name),
        "seed": run.seed,
        "data.path": data_of(design, run, out).path,
    }
    if run.arm != TOWER:
        changed["model.pretrained"] = str(out / Run(TOWER, run.seed).name / "hub")
        changed["model.config.volume_pooling"] = run.arm
    return changed


def run_one(design: Design, run: Run, out: Path) -> dict[str, Any]:
    """The result of a run, from OUT/NAME/result.json where it is finished already."""
    file = out / run.name / "result.json"
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    recipe = design.tower if run.arm == TOWER else design.adapter
    train_as_process(recipe, changes_of(design, run, out), out / run.name)
    with EVALUATION:
        tested = load_model(out / run.name / "hub")
        data = data_of(design, run, out)
        lines = map(json.loads, (out / run.name / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        result = {
            **dataclasses.asdict(run),
            "name": run.name,
            "seconds": round(max(line["seconds"] for line in lines if "seconds" in line), 1),  # of training steps
            "adapter_parameters": sum(weight.numel() for weight in tested.model.slice_pooling.parameters()),
            "answers": answers(tested, embed_splits(tested, data), data, design.volumes.findings, MIN_IMAGES),
        }
    write_json(file, result)
    return result


def run_all(design: Design, out: Path) -> list[dict[str, Any]]:
    """The results of all runs: towers first, because an adapter stands on one. After a failure no further is begun."""
    towers = run_at_once(design.towers(), lambda run: run_one(design, run, out), "Towers")
    return [*towers, *run_at_once(design.adapters(), lambda run: run_one(design, run, out), "Poolings")]


def main(arguments: Sequence[str] | None = None) -> int:
    args = arguments_of(__doc__, DESIGN, "folder of the documentation to bring up to date", arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        design = load_design(args.design)
        results = compare_poolings(design, args.out)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"pedclip.eval.volume_pooling: {error}", file=sys.stderr)
        return 2
    from .volume_page import report, write_page  # matplotlib takes seconds to import

    print(report(results))
    if args.page is not None:
        shown = design.adapters()[0]
        write_page(args.page, results, args.out / shown.name / "hub", data_of(design, shown, args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
