"""The endpoint's handler at its limit of load: clients that never pause, hostile requests between, memory watched.

    python benchmarks/endpoint.py [MODEL] [--clients 4] [--seconds 60] [--out benchmarks/results/endpoint.json]

Without MODEL a ViT-B/16 with 23 experts and a BERT-base, both untrained, as large as the paper's. Each client sends
the largest batches and the longest lists of labels that are taken, of small and large PNG, JPEG and DICOM, and between
them a request that has to be refused. Prints and writes what failed, how long requests took, and the most memory in
the first and in the second half.
"""

import argparse
import io
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import torch
from hardware import described
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "support")]  # the requests of the tests

from dicom_reference import as_bytes, make  # noqa: E402
from endpoint_requests import HOSTILE, IMAGES, LABELS  # noqa: E402

from pedclip.handler import MAX_BATCH, MAX_LABELS, EndpointHandler  # noqa: E402

LARGE: dict[str, bytes] = {}  # filled when the load begins
WARM_UP = 8  # requests of each client before the clock starts: every thread has then seen every kind twice
SLOWEST_REFUSAL = 2.0  # seconds
GROWTH = 0.05


def untrained(folder: Path) -> Path:
    """The paper's size, with a vocabulary of its own: no network is needed."""
    from transformers import AutoTokenizer

    from pedclip import PedCLIPConfig, PedCLIPImageProcessor, PedCLIPModel, PedCLIPProcessor
    from pedclip.hub import write_hub_folder

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "processing" / "phantom" / "tokenizer")
    torch.manual_seed(0)
    model = PedCLIPModel(PedCLIPConfig(text_config={"model_type": "bert", "vocab_size": len(tokenizer)}))
    return write_hub_folder(model, PedCLIPProcessor(PedCLIPImageProcessor(), tokenizer), folder / "hub")


def large() -> dict[str, bytes]:
    """A film as a detector writes it: 3,000 x 2,400 pixels of 12 bits."""
    slope = np.add.outer(np.arange(3000), np.arange(2400)) * 0.7
    pixels = (slope + np.random.default_rng(0).normal(0, 20, slope.shape)).clip(0, 4095).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray((pixels >> 4).astype(np.uint8)).save(buffer, "JPEG", quality=95)
    return {"large DICOM": as_bytes(make(pixels, bits=12)), "large JPEG": buffer.getvalue()}


def requests(rng: random.Random):
    """What is asked next: three good ones at the limits, then a hostile one."""
    contents = [*IMAGES.values(), *LARGE.values()]
    labels = [f"{LABELS[number % len(LABELS)]} {number}" for number in range(MAX_LABELS)]
    hostile = list(HOSTILE)
    while True:
        yield "classify", {"inputs": rng.choices(contents, k=MAX_BATCH), "parameters": {"candidate_labels": LABELS}}
        yield "labels", {"inputs": rng.choice(contents), "parameters": {"candidate_labels": labels}}
        yield "embed", {"inputs": rng.choices(contents, k=MAX_BATCH), "parameters": {"task": "image-embedding"}}
        name = rng.choice(hostile)
        yield f"hostile: {name}", HOSTILE[name]


def load(handler: EndpointHandler, clients: int, seconds: float) -> dict:
    took: dict[str, list[float]] = {}
    failures: Counter[str] = Counter()
    process, began = psutil.Process(), 0.0
    early, late = [process.memory_info().rss], [process.memory_info().rss]
    lock = threading.Lock()

    def start_the_clock() -> None:
        nonlocal began
        began = time.monotonic()

    ready = threading.Barrier(clients, action=start_the_clock)

    def client(seed: int) -> None:
        for number, (kind, request) in enumerate(requests(random.Random(seed))):
            if number == WARM_UP:
                ready.wait()
            start = time.monotonic()
            if number >= WARM_UP and start - began > seconds:
                return
            try:
                answer = handler(request)
            except Exception as error:  # a handler answers; it never raises
                answer = {"error": {"type": "raised", "message": repr(error)}}
            spent = time.monotonic() - start
            failed = isinstance(answer, dict) and "error" in answer
            refused = failed and answer["error"]["type"] in ("refused", "unreadable")
            with lock:
                if refused != kind.startswith("hostile") or failed != refused:
                    failures[f"{kind}: {answer if failed else 'was answered'}"] += 1
                if number >= WARM_UP:
                    took.setdefault(kind.partition(":")[0], []).append(spent)
                    half = early if time.monotonic() - began < seconds / 2 else late
                    half.append(process.memory_info().rss)

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "requests": {kind: len(times) for kind, times in took.items()},
        "median_seconds": {kind: round(float(np.median(times)), 3) for kind, times in took.items()},
        "slowest_seconds": {kind: round(max(times), 3) for kind, times in took.items()},
        "failures": dict(failures),
        "peak_gib": {"first_half": round(max(early) / 2**30, 3), "second_half": round(max(late) / 2**30, 3)},
        "growth": round(max(late) / max(early) - 1, 4),
    }


def refusals(handler: EndpointHandler) -> dict[str, float]:
    """Seconds for each hostile request alone."""
    found = {}
    for name, request in HOSTILE.items():
        start = time.monotonic()
        answer = handler(request)
        found[name] = round(time.monotonic() - start, 3)
        if set(answer) != {"error"}:
            raise AssertionError(f"{name} was answered: {answer}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "endpoint.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        handler = EndpointHandler(str(args.model or untrained(Path(work))))
        LARGE.update(large())
        alone = refusals(handler)
        loaded = load(handler, args.clients, args.seconds)
    slowest = max(alone.values())
    result = {
        "model": "named" if args.model else "ViT-B/16 with 23 experts, BERT-base, untrained",
        "clients": args.clients,
        "seconds": args.seconds,
        **loaded,
        "refusals_alone_slowest_seconds": slowest,
        "refusals": len(alone),
        **described(),
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    good = not loaded["failures"] and loaded["growth"] <= GROWTH and slowest < SLOWEST_REFUSAL
    print("within the limits" if good else "outside the limits")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
