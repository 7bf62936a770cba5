"""The embedding of one radiograph: ONNX Runtime on what `pedclip onnx` writes, beside eager CLIP ViT-B/16.

    python benchmarks/onnx_latency.py --out benchmarks/results/onnx_latency.json

PedCLIP's image tower (ViT-B/16, 23 experts in the last layer, random weights) in ONNX Runtime, float32, against
transformers' CLIPVisionModelWithProjection of the same size, called as its documentation calls it; both with the same
number of threads, in pairs in one process, while nothing else runs (quiet.py). Beside it PedCLIP in PyTorch, eager and
compiled, against the same. And ONNX Runtime by the time that the processor spent, with one thread a side.

Memory is taken in a process of its own for each side: what one image takes above the loaded model, and all in all.
"""

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from hardware import described
from mobe import PAIRS, peak_above, set_gates
from quiet import NotQuietError, measure_quietly, processor_time
from transformers import AutoTokenizer, CLIPVisionConfig, CLIPVisionModelWithProjection

from pedclip import PedCLIPConfig, PedCLIPImageProcessor, PedCLIPModel, PedCLIPProcessor
from pedclip.onnx_export import session_of, write_onnx

ROOT = Path(__file__).resolve().parent.parent
GOAL = 0.8
GATES = {"random": 0.02, "peaked": 5.0}  # spread of the gates' weights
THEIRS = "CLIP ViT-B/16, eager"
Run = Callable[[], Any]


def write_model(folder: Path, gates: float) -> None:
    """A PedCLIP of real size with new weights; its text tower, which is not asked, has one layer."""
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "processing" / "phantom" / "tokenizer")
    text = {"model_type": "bert", "num_hidden_layers": 1, "vocab_size": len(tokenizer)}
    model = PedCLIPModel(PedCLIPConfig(text_config=text))
    set_gates(model.vision_model, gates)
    model.save_pretrained(folder)
    PedCLIPProcessor(PedCLIPImageProcessor(), tokenizer).save_pretrained(folder)


def pixels() -> torch.Tensor:
    return torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def without_gradients(ask: Callable[..., Any]) -> Run:
    image = pixels()

    def run() -> None:
        with torch.no_grad():
            ask(pixel_values=image)

    return run


def clip() -> Run:
    config = CLIPVisionConfig(
        patch_size=16, image_size=224, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
        num_attention_heads=12, projection_dim=512,
    )  # fmt: skip
    return without_gradients(CLIPVisionModelWithProjection(config).eval())


def in_onnx_runtime(folder: Path) -> Run:
    # threads that go on spinning after a run would slow down the other side's
    session = session_of(folder / "onnx" / "image.onnx", torch.get_num_threads(), spinning=False)
    image = pixels().numpy()
    return lambda: session.run(None, {"pixel_values": image})


def in_eager(folder: Path) -> Run:
    return without_gradients(PedCLIPModel.from_pretrained(folder / "model").eval().get_image_features)


def compiled(folder: Path) -> Run:
    return without_gradients(torch.compile(PedCLIPModel.from_pretrained(folder / "model").eval().get_image_features))


SIDES = {"ONNX Runtime": in_onnx_runtime, "eager PyTorch": in_eager, "torch.compile": compiled}


def memory(side: str, folder: Path) -> dict[str, float]:
    """MiB of one image above the loaded model, and of the whole process at its most."""
    command = [sys.executable, __file__, "--memory-of", side, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def print_memory(side: str, folder: Path) -> None:
    run = SIDES[side](folder) if side in SIDES else clip()
    gc.collect()
    loaded = psutil.Process().memory_info().rss
    above = peak_above(run)
    print(json.dumps({"above": round(above / 2**20, 1), "in_all": round((loaded + above) / 2**20, 1)}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.manual_seed(0)
    if args.memory_of:
        print_memory(args.memory_of, args.folder)
        return 0
    rows: dict[str, Any] = {}
    written: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as work:
        for name, gates in GATES.items():
            folder = Path(work) / name
            write_model(folder / "model", gates)
            written = write_onnx(folder / "model", folder / "onnx")["files"]["image.onnx"]
            gc.collect()
            for side, make in SIDES.items():
                if side != "ONNX Runtime" and name == "peaked":
                    continue  # the others are there to compare with
                if side == "torch.compile" and shutil.which(os.environ.get("CXX", "g++")) is None:
                    print("torch.compile is left out: it needs a C++ compiler")
                    continue
                if side == "ONNX Runtime":
                    key = f"one radiograph, {side}, {name} gates, processor time of one thread: {THEIRS}"
                    rows[key] = processor_time(lambda at=folder: (in_onnx_runtime(at), clip()), args.pairs)
                    print(f"{key}: {json.dumps(rows[key])}", flush=True)
                key = f"one radiograph, {side}, {name} gates: {THEIRS}"
                goal = {"goal": GOAL} if side == "ONNX Runtime" else {}
                try:
                    found = measure_quietly(lambda make=make, at=folder: (make(at), clip()), args.pairs)
                except NotQuietError as error:
                    print(f"{key} is left out: {error}", flush=True)
                    continue
                rows[key] = {**goal, **found}
                gc.collect()
                taken = {"ours": memory(side, folder), "theirs": memory("CLIP", folder)}
                for column, kind in (("peak_mib", "above"), ("process_mib", "in_all")):
                    rows[key][column] = {whose: one[kind] for whose, one in taken.items()}
                if side == "ONNX Runtime":
                    rows[key]["largest_difference"] = written["largest_difference"]
                print(f"{key}: {json.dumps(rows[key])}", flush=True)
    if args.out:
        import onnxruntime

        about = described()
        about["versions"]["onnxruntime"] = onnxruntime.__version__
        result = {"threads": torch.get_num_threads(), "comparisons": rows, **about}
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
