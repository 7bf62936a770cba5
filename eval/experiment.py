"""What experiments of several runs share: a design that stays, films, trainings as processes, two at a time."""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Event, Lock
from typing import Any, Protocol, TypeVar

import torch
import yaml
from tqdm.auto import tqdm

from ..configuration.data import SplitsConfig
from ..configuration.training import load_recipe
from ..processing.phantom.folder import FolderSettings
from ..processing.phantom.study import Clinic
from .json_files import read_json, write_json
from .prompts import question_file

EVALUATION = Lock()  # models are opened one at a time: transformers changes global state meanwhile
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
AT_ONCE = 2  # runs, a thread each
SECONDS = "seconds.txt"  # of each command that had runs to do, films and evaluation included


def arguments_of(
    description: str | None, design: Path, page: str, arguments: Sequence[str] | None
) -> argparse.Namespace:
    """The command line of an experiment: `out`, `design` (this one unless another is named) and `page`, a file or a
    folder as the words in `page` say."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the runs")
    parser.add_argument("--design", type=Path, default=design, help=f"instead of configuration/recipes/{design.name}")
    parser.add_argument("--page", type=Path, help=page)
    return parser.parse_args(arguments)


def read_design(path: Path, fields: Sequence[str]) -> dict[str, Any]:
    """The keys of a design; an unknown or missing one is an error."""
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict) or set(values) != set(fields):
        given = sorted(values) if isinstance(values, dict) else values
        raise ValueError(f"{path.name} has {given}; a design has the keys {', '.join(fields)}, no more and no less")
    return values


def check_seeds(seeds: Sequence[int]) -> None:
    """Raises unless there is one, and each once."""
    if len(set(seeds)) < max(len(seeds), 1):
        raise ValueError(f"seeds is {list(seeds)}; name at least one, and each once")


def recipe_facts(recipe: Path) -> dict[str, Any]:
    """What a design says of its recipe: without a path of this machine, the questions by their hash."""
    training = asdict(load_recipe(recipe))
    training["data"].pop("path")
    training.pop("output")
    asked = hashlib.sha256(question_file(training["questions"]).read_bytes()).hexdigest()
    return {"recipe": recipe.name, "training": training, "questions_sha256": asked}


class Named(Protocol):
    @property
    def name(self) -> str: ...


Job = TypeVar("Job", bound=Named)


def remember(now: Mapping[str, Any], out: Path) -> None:
    """Writes OUT/design.json before the first run; afterwards any other design is an error, and nothing is changed."""
    file = out / "design.json"
    if file.is_file():
        before = read_json(file)
        if differing := sorted(_differing(before, now)):
            raise ValueError(
                f"{out} was begun with another design (it differs in {', '.join(differing)}), and runs of two designs "
                "cannot be compared; put the recipe back, or name another folder"
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    write_json(file, now)


def film_settings(values: Mapping[str, Any], name: str) -> FolderSettings:
    """The `films` of a design; `name` is the design's, for the error about an unknown key."""
    films = dict(values)
    clinic: dict[str, Any]
    clinic = {key: tuple(value) if isinstance(value, list) else value for key, value in films.pop("clinic").items()}
    try:
        return FolderSettings(clinic=Clinic(**clinic), splits=SplitsConfig(**films.pop("splits")), **films)
    except TypeError as error:  # a key that the dataclass does not have
        raise ValueError(f"{name}, films: {error}") from error


@contextmanager
def spending(out: Path, jobs: Sequence["Job"]) -> Iterator[None]:
    """Adds the seconds within to OUT/seconds.txt, except where all jobs are finished: it tells nothing of theirs."""
    pending = [job for job in jobs if not (out / job.name / "result.json").is_file()]
    began = time.monotonic()
    try:
        yield
    finally:
        if pending:
            with (out / SECONDS).open("a", encoding="utf-8") as file:
                file.write(f"{time.monotonic() - began:.1f}\n")


def spent(out: Path) -> float:
    """Seconds of all commands that had runs to do."""
    return round(sum(map(float, (out / SECONDS).read_text(encoding="utf-8").split())), 1)


def train_as_process(recipe: Path, changed: Mapping[str, Any], folder: Path) -> None:
    """`python -m pedclip.train` on one thread, with values of the recipe changed; it resumes by itself.

    Its words go to FOLDER/log.txt. Raises RuntimeError with the last of them where it fails.
    """
    command = [sys.executable, "-m", "pedclip.train", str(recipe)]
    command += [word for key, value in changed.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    log = folder / "log.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as said:
        done = subprocess.run(command, env={**os.environ, **ONE_THREAD}, stdout=said, stderr=subprocess.STDOUT)
    if done.returncode:
        with log.open(encoding="utf-8") as said:
            last = " ".join("".join(deque(said, maxlen=3)).split())[-300:]
        raise RuntimeError(
            f"the training of {folder.name} ended with {done.returncode} ({last}); see {log}, and run again"
        )


def run_at_once(jobs: Sequence[Job], do: Callable[[Job], dict[str, Any]], what: str) -> list[dict[str, Any]]:
    """`do` of every job, AT_ONCE at a time, in the jobs' order. After a failure no further job is begun."""
    torch.set_num_threads(1)  # of each evaluation: a training goes on beside it
    stopped = Event()
    failed: list[BaseException] = []

    def begin(job: Job) -> dict[str, Any]:
        if stopped.is_set():
            raise RuntimeError(f"{job.name} was not begun, since another run had failed")
        try:
            return do(job)
        except BaseException as error:
            failed.append(error)
            stopped.set()
            raise

    with ThreadPoolExecutor(AT_ONCE) as pool, tqdm(total=len(jobs), unit="run", desc=what) as bar:
        futures = [pool.submit(begin, job) for job in jobs]
        try:
            for _ in as_completed(futures):
                if failed:  # what was not begun may come out of as_completed before what failed
                    raise failed[0]
                bar.update()
        finally:
            stopped.set()
        return [future.result() for future in futures]


def _differing(before: Any, now: Any, where: str = "") -> list[str]:
    """The places where two nested mappings differ, as `training.epochs`."""
    if isinstance(before, dict) and isinstance(now, Mapping):
        found = []
        for key in {*before, *now}:
            found += _differing(before.get(key), now.get(key), f"{where}.{key}" if where else key)
        return found
    return [] if before == now else [where]
