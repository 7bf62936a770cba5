"""One run of the ablations: its films, its training as a process of its own, and what its model says of test films."""

# Shapes: N test films
import dataclasses
import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ..configuration.data import DataConfig
from ..processing.data.folder import read_folder
from ..processing.data.sample import Sample
from ..processing.phantom.folder import whole_or_not
from .ablation_design import Design, Run
from .embeddings import ModelUnderTest, load_model
from .gate import gate_accuracy
from .prompt_classification import logits_of, prompt_classification
from .prompts import Question, question_file, questions

FILMS = "films"
EVALUATION = Lock()  # models are opened one at a time: transformers changes global state meanwhile
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def films_of_part(out: Path, part: str | None) -> Path:
    """The folder a run trains on: all films, or one part's rows in a folder that links to the images."""
    films = out / FILMS
    if part is None:
        return films
    folder = out / f"{FILMS}-{part}"
    if not folder.is_dir():
        lines = (films / "metadata.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        with whole_or_not(folder) as new:
            kept = [line for line in lines if json.loads(line)["body_part"] == part]
            (new / "metadata.jsonl").write_text("".join(kept), encoding="utf-8")
            (new / "images").symlink_to(Path("..", FILMS, "images"))
    return folder


def overrides_of(design: Design, run: Run, out: Path) -> dict[str, Any]:
    """What a run changes in the recipe that all share."""
    changed: dict[str, Any] = {
        "output": str(out / run.name),
        "seed": run.seed,
        "data.path": str(films_of_part(out, run.part)),
        "model.vision_config.mobe_layers": list(run.layers),
    }
    if run.part is not None:
        changed["batch_size"] = design.target_batch_size
    return changed


def train(design: Design, run: Run, out: Path) -> None:
    run_training(design.recipe, out / run.name, overrides_of(design, run, out))


def run_training(recipe: Path, folder: Path, changed: Mapping[str, Any]) -> None:
    """`python -m pedclip.train` on one thread; its words go to FOLDER/log.txt. It resumes by itself.

    `changed` are values of the recipe by their names, "data.path" for example.
    """
    words = [f"{key}={json.dumps(value)}" for key, value in changed.items()]
    command = [sys.executable, "-m", "pedclip.train", str(recipe)]
    command += [word for one in words for word in ("--set", one)]
    log = folder / "log.txt"
    folder.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as said:
        done = subprocess.run(command, env={**os.environ, **ONE_THREAD}, stdout=said, stderr=subprocess.STDOUT)
    if done.returncode:
        with log.open(encoding="utf-8") as said:
            last = " ".join("".join(deque(said, maxlen=3)).split())[-300:]
        raise RuntimeError(
            f"the training of {folder.name} ended with {done.returncode} ({last}); see {log}, and run again"
        )


def run_one(design: Design, run: Run, out: Path) -> dict[str, Any]:
    """The result of a run, from OUT/NAME/result.json where it is finished already."""
    file = out / run.name / "result.json"
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    train(design, run, out)
    with EVALUATION:
        data = dataclasses.replace(design.training().data, path=str(out / FILMS))
        tested = load_model(out / run.name / "hub")
        test = read_folder(data, split="test", need_caption=False)
        result = {
            **dataclasses.asdict(run),
            "name": run.name,
            **training_facts(out / run.name, tested),
            **answers(tested, test, data, finding_questions(design), [run.part] if run.part else design.parts),
        }
    new = file.with_name(f"{file.name}.new")
    new.write_text(json.dumps(result) + "\n", encoding="utf-8")
    new.replace(file)
    return result


def training_facts(folder: Path, tested: ModelUnderTest) -> dict[str, Any]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return {
        "steps": max(line["step"] for line in lines),
        "parameters": sum(weight.numel() for weight in tested.model.parameters()),
        "seconds": round(max(line["seconds"] for line in lines if "seconds" in line), 1),  # stopped time left out
    }


def finding_questions(design: Design) -> dict[str, Question]:
    asked = questions(question_file(design.training().questions))
    return {name: question for name, question in asked.items() if question.column == "findings"}


def answers(
    tested: ModelUnderTest,
    test: Sequence[Sample],
    data: DataConfig,
    asked: Mapping[str, Question],
    parts: Sequence[str | None],
) -> dict[str, Any]:
    """{"kind", "gate_accuracy", "predictions": {part: {question: {films, positive, scores}}}}.

    `films` are numbers of the test split in the order of its metadata, `scores` (N,) the similarity to the finding's
    sentences less that to those of "no finding", over the temperature.
    """
    images = tested.embed_images(test, data)
    kinds: set[str] = set()
    predictions: dict[str, dict[str, Any]] = {}
    for part in parts:
        where = {"body_part": [part]}
        for name, question in asked.items():
            selection = question.select(test, where)
            if min(selection.labels.count(one) for one in selection.classes) < question.min_images:
                continue  # the part cannot have the finding, or too few films do
            answer = prompt_classification(tested, images, question, data, where=where, resamples=0)
            kinds.add(answer.result["kind"])
            logits = logits_of(tested, images, question, selection.indices, selection.classes, data)
            positive = [int(label == selection.classes[0]) for label in selection.labels]
            scores = np.round(logits[:, 0] - logits[:, 1], 6).tolist()
            found = {"films": selection.indices, "positive": positive, "scores": scores}
            predictions.setdefault(str(part), {})[name] = found
    if missing := [part for part in parts if part not in predictions]:
        raise ValueError(
            f"the {len(test)} test films are too few to ask about any finding of {', '.join(map(str, missing))}; "
            "draw more patients"
        )
    gate = gate_accuracy(images, tested.body_parts, resamples=0)["value"] if images.gates else None
    return {"kind": ", ".join(sorted(kinds)), "gate_accuracy": gate, "predictions": predictions}
