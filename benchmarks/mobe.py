"""What MoBE costs at ViT-B/16 size: each way beside the one that it is compared with, taken in turn in one run.

    python benchmarks/mobe.py --out benchmarks/results/mobe.json
    python benchmarks/mobe.py --only ViT,one --out FILE     a part of it; FILE's other rows stay, with their commits

Each comparison takes both sides in pairs and gives the ratio (ours over theirs) as median and quartiles. Beside time,
peak memory above what lay there before, in a process of its own for each side. Plots: docs/speed/.
"""

import argparse
import gc
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from hardware import described
from torch import nn
from tqdm.auto import tqdm
from transformers import ViTConfig, ViTModel

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "support")]

from mobe_reference import plain_forward  # noqa: E402

from pedclip import PedCLIPVisionConfig, PedCLIPVisionModel  # noqa: E402
from pedclip.modeling_pedclip.mobe_pedclip import PedCLIPExperts, PedCLIPMoBE  # noqa: E402

PAIRS = 15
GOALS = {  # ours over theirs, at most
    "forward, batch 8: ViT": 0.97,
    "forward and backward, batch 16: ViT": 1.0,
    "one image, random gates: ViT": 1.1,
    "one image, peaked gates: ViT": 1.1,
    "forward, batch 8: naive formula": 0.5,
    "forward and backward, batch 16: naive formula": 0.5,
    "forward, batch 8: 64 experts against 1": 1.1,
    "last four layers, forward, one image: plain loop": 1.05,
    "last four layers, forward and backward, one image: plain loop": 1.4,
    "teacher forcing, forward, batch 64: plain MLP": 1.2,
    "teacher forcing, forward and backward, batch 64: plain MLP": 1.2,
}


Pair = tuple[Callable[[], Any], Callable[[], Any]]  # ours and theirs


def tower(
    mobe_layers: Sequence[int] = (11,), experts: int = 23, vit: ViTModel | None = None, **config
) -> PedCLIPVisionModel:
    model = PedCLIPVisionModel(
        PedCLIPVisionConfig(mobe_layers=list(mobe_layers), num_experts=experts, **config)
    ).eval()
    if vit is not None:
        model.copy_from_vit(vit)
    return model


@torch.no_grad()
def set_gates(model: PedCLIPVisionModel, size: float) -> None:
    for layer in model.layers:
        if layer.has_experts:
            layer.mlp.gate.proj.weight.normal_(std=size)


@contextmanager
def naive():
    """The paper's formula in place of ours: each expert on every token."""
    ours = PedCLIPExperts.forward
    PedCLIPExperts.forward = plain_forward
    try:
        yield
    finally:
        PedCLIPExperts.forward = ours


def plain_mlp(width: int = 768, inner: int = 3072) -> nn.Module:
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))


def forward_of(model: nn.Module, *inputs: Any, **asked: Any) -> Callable[[], None]:
    def run() -> None:
        with torch.no_grad():
            model(*inputs, **asked)

    return run


def training_of(
    model: nn.Module, read: Callable[[Any], torch.Tensor], *inputs: Any, **asked: Any
) -> Callable[[], None]:
    """Forward and backward; gradients are made anew each time, as after optimizer.zero_grad()."""

    def run() -> None:
        model.zero_grad(set_to_none=True)
        read(model(*inputs, **asked)).square().mean().backward()

    return run


def img_of_vit(output: Any) -> torch.Tensor:
    return output.last_hidden_state[:, 0]


def naively(run: Callable[[], None]) -> Callable[[], None]:
    def with_the_formula() -> None:
        with naive():
            run()

    return with_the_formula


def comparisons(only: Sequence[str] | None) -> dict[str, Callable[[], Pair]]:
    """Name -> a function that makes both sides, (ours, theirs); made late, since each is large."""

    def pixels(batch: int) -> torch.Tensor:
        return torch.randn(batch, 3, 224, 224, generator=torch.Generator().manual_seed(0))

    def vit() -> ViTModel:
        return ViTModel(ViTConfig(), add_pooling_layer=False).eval()

    def against_vit(batch: int, gates: float = 0.02):
        theirs = vit()
        ours = tower(vit=theirs)
        set_gates(ours, gates)
        return forward_of(ours, pixels(batch), img_token_only=True), forward_of(theirs, pixels(batch))

    def training_against_vit():
        theirs = vit()
        ours = training_of(tower(vit=theirs), lambda out: out.pooler_output, pixels(16), img_token_only=True)
        return ours, training_of(theirs, img_of_vit, pixels(16))

    def against_the_formula():
        model = tower()
        return forward_of(model, pixels(8), img_token_only=True), naively(forward_of(model, pixels(8)))

    def training_against_the_formula():
        model = tower()
        ours = training_of(model, lambda out: out.pooler_output, pixels(16), img_token_only=True)
        return ours, naively(training_of(model, lambda out: out.pooler_output, pixels(16)))

    def many_against_one():
        sides = (tower(experts=64), tower(experts=1))
        return tuple(forward_of(side, pixels(8), img_token_only=True) for side in sides)

    def four_layers():
        run = forward_of(tower(mobe_layers=(8, 9, 10, 11)), pixels(1))
        return run, naively(run)

    def training_of_four_layers():
        run = training_of(tower(mobe_layers=(8, 9, 10, 11)), lambda out: out.last_hidden_state, pixels(1))
        return run, naively(run)

    def forced(train: bool):
        tokens = torch.randn(64, 197, 768, generator=torch.Generator().manual_seed(0))
        labels = torch.arange(64) % 23
        mobe = PedCLIPMoBE(PedCLIPVisionConfig())
        for parameter in mobe.parameters():
            nn.init.normal_(parameter, std=0.02)
        mlp = plain_mlp()
        if train:
            inputs = tokens.clone().requires_grad_()
            return training_of(mobe, lambda out: out[0], inputs, labels), training_of(mlp, lambda out: out, inputs)
        return forward_of(mobe, tokens, labels), forward_of(mlp, tokens)

    return {
        "forward, batch 8: ViT": lambda: against_vit(8),
        "forward and backward, batch 16: ViT": training_against_vit,
        "one image, random gates: ViT": lambda: against_vit(1),
        "one image, peaked gates: ViT": lambda: against_vit(1, gates=5.0),
        "forward, batch 8: naive formula": against_the_formula,
        "forward and backward, batch 16: naive formula": training_against_the_formula,
        "forward, batch 8: 64 experts against 1": many_against_one,
        "last four layers, forward, one image: plain loop": four_layers,
        "last four layers, forward and backward, one image: plain loop": training_of_four_layers,
        "teacher forcing, forward, batch 64: plain MLP": lambda: forced(train=False),
        "teacher forcing, forward and backward, batch 64: plain MLP": lambda: forced(train=True),
    }


def timed(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(make: Callable[[], Pair], pairs: int) -> dict[str, Any]:
    ours, theirs = make()
    ours(), theirs()  # memory is taken, code paths are compiled
    seconds = []
    for pair in range(pairs):
        if pair % 2:
            later, first = timed(theirs), timed(ours)
        else:
            first, later = timed(ours), timed(theirs)
        seconds.append((first, later))
    return ratios_of(seconds)


def ratios_of(seconds: list[tuple[float, float]]) -> dict[str, Any]:
    """Ours over theirs, pair by pair: median and quartiles."""
    ratios = np.array([ours_took / theirs_took for ours_took, theirs_took in seconds])
    low, median, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return {
        "ratio": round(float(median), 3),
        "quartiles": [round(float(low), 3), round(float(high), 3)],
        "seconds": [round(float(np.median(side)), 4) for side in zip(*seconds, strict=True)],
        "pairs": len(seconds),
    }


def peak_above(run: Callable[[], None]) -> int:
    """Bytes that one run takes above what the process held before."""
    process, stop, most = psutil.Process(), threading.Event(), 0
    gc.collect()
    before = process.memory_info().rss

    def watch() -> None:
        nonlocal most
        while not stop.wait(0.002):
            most = max(most, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    run()
    stop.set()
    watcher.join()
    return max(most - before, 0)


def memory(name: str) -> dict[str, float]:
    """MiB above the weights for ours and theirs, each in its own process: freed memory is not always given back."""
    found = {}
    for side in ("ours", "theirs"):
        command = [sys.executable, __file__, "--memory-of", name, "--side", side]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[side] = round(int(done.stdout.strip().splitlines()[-1]) / 2**20, 1)
    return found


def activations(mobe_layers: Sequence[int], experts: int, batch: int = 8) -> float:
    """MiB that autograd keeps between forward and backward, weights aside."""
    model = tower(mobe_layers=mobe_layers, experts=experts).train()
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    sizes: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(torch.randn(batch, 3, 224, 224))
    return round(sum(sizes.values()) / 2**20, 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--only", help="words, of which a comparison's name has to hold one")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--side", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.manual_seed(0)
    if args.memory_of:
        sides = dict(zip(("ours", "theirs"), comparisons(None)[args.memory_of](), strict=True))
        print(peak_above(sides[args.side]))
        return 0
    words = args.only.split(",") if args.only else [""]
    chosen = {name: make for name, make in comparisons(None).items() if any(word in name for word in words)}
    rows: dict[str, Any] = {}
    for name, make in tqdm(chosen.items(), unit="comparison"):
        rows[name] = {"goal": GOALS[name], **measure(make, args.pairs)}
        gc.collect()
        rows[name]["peak_mib"] = memory(name)
        tqdm.write(f"{name}: {json.dumps(rows[name])}")
    plain, few, many = activations([], 23), activations((8, 9, 10, 11), 2), activations((8, 9, 10, 11), 23)
    kept = {"plain ViT": plain, "4 layers, 2 experts": few, "4 layers, 23 experts": many}
    about = described()
    rows = {name: {**row, "commit": about["commit"]} for name, row in rows.items()}
    if args.out and args.out.is_file():
        rows = json.loads(args.out.read_text(encoding="utf-8"))["comparisons"] | rows
    result = {"threads": torch.get_num_threads(), "comparisons": rows, "activations_mib": kept, **about}
    print(json.dumps(kept))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
