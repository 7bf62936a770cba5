"""What a study of many slices costs at ViT-B/16 size: slice attention beside mean pooling of slices encoded in a loop.

    python benchmarks/volume.py --out benchmarks/results/volume.json

Both sides hold the same image tower and take the same number of slices at once; theirs is a plain loop with no mask,
no positions and no adapter. Time is taken in pairs, in turn, and given as the ratio's median and quartiles: by the
clock, and by the processor's time, which other programs disturb less. Memory is what a process held at its most, all
in: Python, torch, the whole model with its text tower, the study's pixels. Times of studies of several lengths give
the share that a straight line through them leaves unexplained.
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

from pedclip import PedCLIPConfig, PedCLIPModel
from pedclip.modeling_pedclip.volume_pedclip import SLICES_AT_ONCE

PAIRS, PAIR_SLICES = 9, 64
LENGTHS = (32, 64, 128, 256, 512)
LONGEST = 512
GOALS = {"ratio": 1.05, "peak_gib": 2.0}
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def made(pooling: str, small: bool) -> PedCLIPModel:
    """ViT-B/16 with 23 experts in its last layer and a BERT of base size; `small` is for trying this file."""
    torch.manual_seed(0)
    towers: dict[str, Any] = {"vision_config": SMALL | {"mobe_layers": [1]}, "text_config": SMALL} if small else {}
    model = PedCLIPModel(PedCLIPConfig(volume_pooling=pooling, **towers)).eval()
    with torch.no_grad():
        for parameter in model.slice_pooling.parameters():
            parameter.normal_(std=0.02)  # an adapter at its start adds nothing; a trained one does
    return model


def study(slices: int) -> torch.Tensor:
    return torch.randn(1, slices, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def ours(model: PedCLIPModel, pixels: torch.Tensor) -> torch.Tensor:
    """With what the processor gives: places, and a mask."""
    places = torch.arange(pixels.shape[1], dtype=torch.float32)[None] * 1.25
    mask = torch.ones(pixels.shape[:2], dtype=torch.bool)
    return model.get_image_features(pixels, slice_positions=places, slice_mask=mask).pooler_output


@torch.inference_mode()
def theirs(model: PedCLIPModel, pixels: torch.Tensor) -> torch.Tensor:
    tokens = [model.vision_model(part, img_token_only=True).pooler_output for part in pixels[0].split(SLICES_AT_ONCE)]
    return model.visual_projection(torch.cat(tokens).mean(dim=0, keepdim=True))


SIDES: dict[str, tuple[str, Callable[[PedCLIPModel, torch.Tensor], torch.Tensor]]] = {
    "slice attention": ("attention", ours),
    "mean of a loop": ("mean", theirs),
}


def timed(run: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    start, processor = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - processor


def compared(pairs: int, slices: int, small: bool) -> dict[str, Any]:
    model, pixels = made("attention", small), study(slices)
    ours(model, pixels[:, :SLICES_AT_ONCE]), theirs(model, pixels[:, :SLICES_AT_ONCE])
    pairs_of_seconds = []
    for pair in tqdm(range(pairs), unit="pair", desc=f"{slices} slices"):
        if pair % 2:
            later, first = timed(lambda: theirs(model, pixels)), timed(lambda: ours(model, pixels))
        else:
            first, later = timed(lambda: ours(model, pixels)), timed(lambda: theirs(model, pixels))
        pairs_of_seconds.append((first, later))
    seconds = np.array(pairs_of_seconds)  # (pairs, sides, clock and processor)
    found = {}
    for kind, name in enumerate(("by_clock", "by_processor")):
        low, median, high = np.quantile(seconds[:, 0, kind] / seconds[:, 1, kind], [0.25, 0.5, 0.75])
        found[name] = {
            "ratio": round(float(median), 4),
            "quartiles": [round(float(low), 4), round(float(high), 4)],
            "seconds": [round(float(one), 3) for one in np.median(seconds[:, :, kind], axis=0)],
        }
    return {"slices": slices, "pairs": pairs, "goal": GOALS["ratio"], **found}


def by_length(lengths: tuple[int, ...], small: bool) -> dict[str, Any]:
    """The processor's seconds for each length, the line through them, and what share of them it leaves unexplained."""
    model, pixels = made("attention", small), study(max(lengths))
    ours(model, pixels[:, :SLICES_AT_ONCE])
    seconds = [timed(lambda n=length: ours(model, pixels[:, :n]))[1] for length in tqdm(lengths, unit="study")]
    slope, start = np.polyfit(lengths, seconds, 1)
    left = np.var(np.array(seconds) - (slope * np.array(lengths) + start)) / np.var(seconds)
    return {
        "slices": list(lengths),
        "processor_seconds": [round(one, 3) for one in seconds],
        "seconds_a_slice": round(float(slope), 5),
        "unexplained_share": round(float(left), 5),
    }


def memory(slices: int, small: bool) -> dict[str, Any]:
    """GiB that the process of each side held at its most."""
    found = {}
    for side in tqdm(SIDES, unit="process", desc=f"memory of {slices} slices"):
        command = [sys.executable, __file__, "--memory-of", side, "--slices", str(slices)]
        done = subprocess.run([*command, *(["--small"] if small else [])], capture_output=True, text=True, check=True)
        found[side] = round(float(done.stdout.strip().splitlines()[-1]) / 1024, 3)
    return {"slices": slices, "peak_gib": found, "goal": GOALS["peak_gib"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--slices", type=int, default=LONGEST, help="of the longest study")
    parser.add_argument("--small", action="store_true", help="two layers of width 32, to try this file")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_of:
        pooling, run = SIDES[args.memory_of]
        run(made(pooling, args.small), study(args.slices))
        print(peak_of_this_process())
        return 0
    result = {
        "threads": torch.get_num_threads(),
        "slices_at_once": SLICES_AT_ONCE,
        "small": args.small,
        "memory": memory(args.slices, args.small),
        "against_mean_of_a_loop": compared(args.pairs, min(PAIR_SLICES, args.slices), args.small),
        "by_length": by_length(tuple(n for n in LENGTHS if n <= args.slices), args.small),
        **described(),
    }
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
