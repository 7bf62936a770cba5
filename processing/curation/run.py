"""`pedclip curate`: studies through an engine, in segments, so that a run that was killed goes on.

Which study lies in which segment follows from the source alone. A segment that is done is on disk; of the others the
answers are in the cache. So a killed run repeats those calls alone that were on their way, and ends with the same
bytes.
"""

import asyncio
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml
from pyarrow import parquet
from tqdm.auto import tqdm

from ..data.archive.build import private_folder
from ..data.archive.unfinished import alone, end_with, same_as_before, write_whole
from .asking import load_prompts
from .card import card
from .engines.cache import AnswerCache
from .engines.language import Chat, LanguageEngine
from .rules import RuleEngine
from .schema import Provenance, Study
from .studies import Studies
from .triplets import ASSIGNMENTS, TRIPLETS, Answered, Batch, Identifiers, answered, answered_by_rules, rows_of

WORK, DONE = "unfinished", "finished"  # in the private folder; both gone when the run is done
ANSWERS = "answers.sqlite"
FORMAT = 2  # of the segments: another number means that an older run cannot go on
TABLES = {"triplets": TRIPLETS, "assignments": ASSIGNMENTS}


@dataclass(frozen=True)
class RunSettings:
    """How studies go through an engine."""

    dataset: str = "unnamed"
    prompts: str = "v1"  # of a language model
    attempts: int = 3  # to get a valid answer from it
    identifiers: Identifiers = "mask"
    in_flight: int = 16  # studies that are asked about at a time, each with one question
    workers: int | None = None  # processes of the rules; None: one a core
    studies_in_a_segment: int = 1000
    price: tuple[float, float] | None = None  # of a million tokens of questions, and of answers, in any currency
    permission: str | None = None  # why reports could leave the machine

    def __post_init__(self):
        if self.identifiers not in ("mask", "leave-out", "keep"):
            raise ValueError(f"identifiers is {self.identifiers!r}; choose mask, leave-out, keep")
        if self.in_flight < 1 or self.studies_in_a_segment < 1:
            raise ValueError("in_flight and studies_in_a_segment are at least 1")


def curate(
    studies: Studies,
    out: Path,
    settings: RunSettings,
    chat: Chat | None = None,
    *,
    engine: str = "rules",
    private: Path | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Writes OUT, or goes on with it; returns the summary, which stands in OUT/summary.json too.

    Without a chat the rules answer; with one the summary that is returned says besides what `this run` got and paid
    for. `private` gets skipped.jsonl and the answers, which name studies or hold text. Raises ValueError where OUT
    holds something else or a run of another source or other settings, and OSError where a server does not answer any
    more, or nothing can be kept; then run it again to go on.
    """
    private = (private or private_folder(out)).resolve()
    if private.is_relative_to(out.resolve()):
        raise ValueError(f"the private folder {private} lies in {out}; keep it elsewhere")
    work = private / WORK
    if out.exists() and not work.is_dir() and any(out.iterdir()):
        raise ValueError(f"{out} exists and is no unfinished run; name a new folder, or delete it")
    _make_private(private)
    shutil.rmtree(private / DONE, ignore_errors=True)
    work.mkdir(exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    with alone(work):
        provenance = RuleEngine().provenance
        if chat is not None:
            provenance = Provenance(engine, chat.model, chat.licence, settings.prompts)
        now = {
            "format": FORMAT,
            "engine": [provenance.engine, provenance.model, provenance.model_licence, provenance.prompt_version],
            "asked with": {} if chat is None else chat.settings,
            "identifiers": settings.identifiers,
            "segments": settings.studies_in_a_segment,
            "source": _hash(studies.usable),
        }
        same_as_before(work, now, "run")
        plan = dict(_plan(studies.usable, settings.studies_in_a_segment))
        todo = {name: part for name, part in plan.items() if not (work / f"{name}.json").is_file()}
        left = sum(map(len, todo.values()))
        asked: LanguageEngine | None = None
        with tqdm(total=len(studies.usable), initial=len(studies.usable) - left, desc="studies", unit="study") as bar:
            if chat is None:
                _by_rules(todo, work, out, settings, bar)
            else:
                answers = AnswerCache(cache or private / ANSWERS)
                asked = LanguageEngine(engine, chat, load_prompts(settings.prompts), answers, settings.attempts)
                try:
                    asyncio.run(_by_asking(todo, work, out, settings, chat, asked, bar))
                finally:
                    answers.close()
        summary = _summary(work, list(plan), studies, settings, provenance)
        for name in TABLES:
            _join(work, list(plan), name, out / f"{name}.parquet")
        write_left_out(studies, private)
        write_whole(out / "README.md", card(summary))
        write_whole(out / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
        if asked is not None:
            summary["this run"] = _paid(asked, settings.price)
        os.replace(work, private / DONE)  # one step, so that a kill leaves either all that a next run needs or none
    shutil.rmtree(private / DONE)
    return summary


def write_left_out(studies: Studies, private: Path) -> None:
    """skipped.jsonl with the reasons, and unknown_parts.yaml, to be filled in and given to the next run."""
    _make_private(private)
    lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in studies.skipped)
    write_whole(private / "skipped.jsonl", lines)
    unknown = dict.fromkeys(sorted(studies.unknown_parts))
    write_whole(private / "unknown_parts.yaml", yaml.safe_dump(unknown, allow_unicode=True) if unknown else "{}\n")


def _make_private(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o700)


def _plan(studies: Sequence[Study], size: int) -> Iterator[tuple[str, Sequence[Study]]]:
    for number, first in enumerate(range(0, len(studies), size)):
        yield f"segment-{number:06}", studies[first : first + size]


def _by_rules(todo: Mapping[str, Sequence[Study]], work: Path, out: Path, settings: RunSettings, bar: tqdm) -> None:
    workers = min(settings.workers or os.cpu_count() or 1, len(todo))
    if workers <= 1:
        for name, studies in todo.items():
            rule_segment(work, name, studies, out, settings.identifiers)
            bar.update(len(studies))
        return
    # spawned, not forked: the caller may have threads
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with, initargs=(os.getpid(),)) as pool:
        running = {
            pool.submit(rule_segment, work, name, studies, out, settings.identifiers): len(studies)
            for name, studies in todo.items()
        }
        for done in as_completed(running):
            done.result()
            bar.update(running[done])


def rule_segment(work: Path, name: str, studies: Sequence[Study], out: Path, identifiers: Identifiers) -> None:
    """One segment through the rules, from studies to files."""
    _write_segment(work, name, rows_of(answered_by_rules(studies), out.resolve(), identifiers))


async def _by_asking(
    todo: Mapping[str, Sequence[Study]],
    work: Path,
    out: Path,
    settings: RunSettings,
    chat: Chat,
    engine: LanguageEngine,
    bar: tqdm,
) -> None:
    gate = asyncio.Semaphore(settings.in_flight)

    async def one(study: Study) -> Answered:
        try:
            return await answered(study, engine)
        finally:
            gate.release()
            bar.update()

    async def finish(name: str, tasks: Sequence[asyncio.Task[Answered]]) -> None:
        found = [await task for task in tasks]
        if not engine.has_answered():  # a source may have fewer questions than show it otherwise
            engine.stop_if_all_is_refused(1)
        _write_segment(work, name, rows_of(found, out.resolve(), settings.identifiers))

    try:
        async with chat:
            try:
                async with asyncio.TaskGroup() as group:
                    for name, studies in todo.items():
                        answers = []
                        for study in studies:
                            await gate.acquire()
                            answers.append(group.create_task(one(study)))
                        group.create_task(finish(name, answers))
            finally:
                await engine.settle()
    except* (OSError, ValueError, ImportError) as errors:
        error: BaseException = errors
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


def _write_segment(work: Path, name: str, batch: Batch) -> None:
    """The tables, then the counts: where these are, the segment is done."""
    for kind, table in zip(TABLES, batch.tables(), strict=True):
        new = work / f".{name}-{kind}.{os.getpid()}"
        parquet.write_table(table, new)
        os.replace(new, work / f"{name}-{kind}.parquet")
    about = {"counts": dict(sorted(batch.counts.items())), "failures": dict(sorted(batch.failures.items()))}
    write_whole(work / f"{name}.json", json.dumps(about, ensure_ascii=False))


def _join(work: Path, names: Sequence[str], kind: str, target: Path) -> None:
    """The segments as one file, a row group each."""
    new = target.with_name(f".{target.name}.new")
    with parquet.ParquetWriter(new, TABLES[kind]) as file:
        for name in names:
            table = parquet.read_table(work / f"{name}-{kind}.parquet")
            if table.num_rows:
                file.write_table(table)
    os.replace(new, target)


def _summary(
    work: Path, names: Sequence[str], studies: Studies, settings: RunSettings, provenance: Provenance
) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    for name in names:
        about = json.loads((work / f"{name}.json").read_text(encoding="utf-8"))
        counts.update(about["counts"])
        failures.update(about["failures"])
    summary: dict[str, Any] = {
        "dataset": settings.dataset,
        "engine": provenance.engine,
        "model": provenance.model,
        "model_licence": provenance.model_licence,
        "prompt_version": provenance.prompt_version,
        "identifiers": settings.identifiers,
        "studies": len(studies.usable),
        "skipped": len(studies.skipped),
        "unknown_parts": len(studies.unknown_parts),
        "counts": dict(sorted(counts.items())),
        "failures": dict(failures.most_common()),
    }
    if settings.permission is not None:
        summary["sent to another machine"] = settings.permission
    return summary


def _paid(engine: LanguageEngine, price: tuple[float, float] | None) -> dict[str, Any]:
    """What this run got and what it cost. It is in no file: a run that was stopped ends with the same ones."""
    got = engine.received
    paid: dict[str, Any] = {
        "answers": got.answers,
        "reused": engine.reused,
        "prompt_tokens": got.prompt_tokens,
        "completion_tokens": got.completion_tokens,
    }
    if price is not None:
        paid["cost"] = round((got.prompt_tokens * price[0] + got.completion_tokens * price[1]) / 1e6, 4)
    return paid


def _hash(studies: Sequence[Study]) -> str:
    total = hashlib.sha256()
    for study in studies:
        parts = [[part.name, part.expert, part.laterality, part.images] for part in study.parts]
        total.update(json.dumps([study.study_id, study.patient_id, study.report, parts]).encode())
    return total.hexdigest()
