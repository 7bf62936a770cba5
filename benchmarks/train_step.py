"""The whole training step of PedCLIP beside a plain dual encoder of the same size, in one run.

    python benchmarks/train_step.py --out benchmarks/results/train_step.json
    python benchmarks/train_step.py --batch 256 --precision bf16 --formula     the paper's setting, on a GPU

ViT-B/16 with 23 experts in the last layer and BERT-base against transformers' VisionTextDualEncoderModel; with
--formula also against the paper's formula, every expert on every token. Forward with the contrastive loss, backward,
and fused AdamW, sides taken in turn; images and texts are made up, text lengths differ and are padded to the longest.
MFU is told where the device's peak is known (pedclip/meter.py).
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hardware import described, peak_of_this_process
from tqdm.auto import tqdm
from transformers import BertConfig, VisionTextDualEncoderConfig, VisionTextDualEncoderModel, ViTConfig

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "support")]

from mobe_reference import plain_forward  # noqa: E402

from pedclip import PedCLIPConfig, PedCLIPModel  # noqa: E402
from pedclip.meter import peak_flops, step_flops  # noqa: E402
from pedclip.modeling_pedclip.mobe_pedclip import PedCLIPExperts  # noqa: E402
from pedclip.train import compile_layers  # noqa: E402

GOAL = 1.05
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def inputs_of(batch: int, longest: int, device: torch.device) -> tuple[dict[str, torch.Tensor], list[int]]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(longest // 4, longest + 1, (batch,), generator=generator)
    lengths[0] = longest
    mask = (torch.arange(longest)[None] < lengths[:, None]).long()
    tokens = torch.randint(5, 1000, (batch, longest), generator=generator) * mask
    pixels = torch.randn(batch, 3, 224, 224, generator=generator)
    made = {"input_ids": tokens, "attention_mask": mask, "pixel_values": pixels}
    return {name: tensor.to(device) for name, tensor in made.items()}, lengths.tolist()


class Side:
    """One model with its optimizer; `step` runs what is asked for and waits until it is done."""

    def __init__(self, model: torch.nn.Module, precision: str, forced: torch.Tensor | None = None):
        self.model, self.dtype = model.train(), DTYPES[precision]
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
        self.further: dict[str, Any] = {} if forced is None else {"body_part": forced}

    def step(self, inputs: dict[str, torch.Tensor], update: bool) -> float:
        device = inputs["pixel_values"].device
        started = time.perf_counter()
        with torch.autocast(device.type, dtype=self.dtype, enabled=self.dtype is not torch.float32):
            loss = self.model(**inputs, **self.further, return_loss=True).loss
        loss.backward()
        if update:
            self.optimizer.step()
        self.optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started


def sides_of(args: argparse.Namespace, device: torch.device) -> dict[str, Callable[[], Side]]:
    labels = torch.arange(args.batch, device=device) % 23
    small = {"num_hidden_layers": args.layers}

    def ours() -> Side:
        torch.manual_seed(0)
        config = PedCLIPConfig(
            vision_config={**small, "mobe_layers": [args.layers - 1]}, text_config={"model_type": "bert", **small}
        )
        return Side(PedCLIPModel(config).to(device), args.precision, labels)

    def plain() -> Side:
        torch.manual_seed(0)
        towers = (ViTConfig(**small), BertConfig(**small))
        config = VisionTextDualEncoderConfig.from_vision_text_configs(*towers, projection_dim=768)
        return Side(VisionTextDualEncoderModel(config).to(device), args.precision)

    return {"PedCLIP": ours, "plain dual encoder": plain}


def measure(args: argparse.Namespace, device: torch.device, update: bool) -> dict[str, Any]:
    inputs, lengths = inputs_of(args.batch, args.tokens, device)
    sides = {name: make() for name, make in sides_of(args, device).items()}
    ways: dict[str, Callable[[], float]] = {
        name: lambda s=side: s.step(inputs, update) for name, side in sides.items()
    }
    if args.compiled:
        compiled = sides_of(args, device)["PedCLIP"]()
        compile_layers(compiled.model)
        ways["PedCLIP, torch_compile"] = lambda: compiled.step(inputs, update)
    if args.formula:

        def formula() -> float:
            fast, PedCLIPExperts.forward = PedCLIPExperts.forward, plain_forward
            try:
                return sides["PedCLIP"].step({**inputs, "output_hidden_states": True}, update)
            finally:
                PedCLIPExperts.forward = fast

        ways["the paper's formula"] = formula
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    peaks: dict[str, float] = {}
    for pair in tqdm(range(args.pairs), unit="pair"):
        for name, way in reversed(ways.items()) if pair % 2 else ways.items():
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            seconds[name].append(way())
            if device.type == "cuda":
                peaks[name] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    found: dict[str, Any] = {}
    own = np.array(seconds["PedCLIP"])
    flops, peak = step_flops(sides["PedCLIP"].model.config, lengths), peak_flops(device)
    for name, times in seconds.items():
        median = float(np.median(times))
        found[name] = {"seconds": round(median, 4), "pairs_per_second": round(args.batch / median, 2)}
        if name != "PedCLIP":
            low, middle, high = np.quantile(own / np.array(times), [0.25, 0.5, 0.75])
            found[name] |= {
                "ratio": round(float(middle), 3),
                "quartiles": [round(float(low), 3), round(float(high), 3)],
            }
        elif peak:
            found[name]["mfu"] = round(flops / median / peak, 3)
        if peaks:
            found[name]["peak_gib_with_all_sides_loaded"] = peaks[name]
    return found


def memory(args: argparse.Namespace) -> dict[str, float]:
    """On a CPU: MiB that each side takes in all for a step with its optimizer, in a process of its own."""
    found = {}
    for name in ("PedCLIP", "plain dual encoder"):
        sizes = [f"--{key}={getattr(args, key)}" for key in ("batch", "tokens", "layers", "precision")]
        command = [sys.executable, __file__, *sizes, "--memory-of", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[name] = float(done.stdout.strip().splitlines()[-1])
    return found


def step_memory(args: argparse.Namespace, device: torch.device) -> float:
    inputs, _ = inputs_of(args.batch, args.tokens, device)
    side = sides_of(args, device)[args.memory_of]()
    for _ in range(2):  # the optimizer's states come with the first
        side.step(inputs, update=True)
    return peak_of_this_process()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=120)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--precision", choices=DTYPES, default="fp32")
    parser.add_argument("--compiled", action="store_true", help="also PedCLIP with torch_compile")
    parser.add_argument("--formula", action="store_true", help="also the paper's formula")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if args.memory_of:
        print(step_memory(args, device))
        return 0
    result = {
        "goal": GOAL,
        **{name: getattr(args, name) for name in ("batch", "tokens", "layers", "pairs", "precision")},
        "forward and backward": measure(args, device, update=False),
        "with fused AdamW": measure(args, device, update=True),
        **({"process_mib": memory(args)} if device.type == "cpu" else {}),
        "threads": torch.get_num_threads(),
        **described(),
    }
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
