"""The embedding of one radiograph: ONNX Runtime on what `pedclip onnx` writes, beside eager CLIP ViT-B/16.

    python benchmarks/onnx_latency.py --out benchmarks/results/onnx_latency.json
    python benchmarks/onnx_latency.py --only compile --out FILE      a part of it; FILE's other rows stay

PedCLIP's image tower (ViT-B/16, 23 experts in the last layer, random weights) in ONNX Runtime, float32, against
transformers' CLIPVisionModelWithProjection of the same size, called as its documentation calls it; both with the same
number of threads, in pairs in one process, while nothing else runs (quiet.py). Beside it PedCLIP in PyTorch, eager and
compiled, against the same. And each by the time that the processor spent, with one thread a side.

Memory is that of a whole process of its own for each side, at its most, loading included: ONNX Runtime works in what
loading left over, so what an image takes above the loaded model would say little.
"""

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from hardware import described, peak_of_this_process
from mobe import PAIRS, set_gates
from quiet import PATIENCE, NotQuietError, measure_quietly, processor_time
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


def memory(side: str, folder: Path) -> float:
    """MiB of a whole process at its most that loads one side and embeds one image: weights, loading and all."""
    command = [sys.executable, __file__, "--memory-of", side, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def save(out: Path, rows: dict[str, Any]) -> None:
    """After each row: on a busy machine the next may have to wait. Rows of FILE that were not asked for stay."""
    import onnxruntime

    about = described()
    about["versions"]["onnxruntime"] = onnxruntime.__version__
    rows = {name: {**row, "commit": about["commit"]} for name, row in rows.items()}
    if out.is_file():
        rows = json.loads(out.read_text(encoding="utf-8"))["comparisons"] | rows
    result = {"threads": torch.get_num_threads(), "comparisons": rows, **about}
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def rows_of(name: str, folder: Path, pairs: int, patience: float, words: list[str]) -> Iterator[tuple[str, dict]]:
    """Each comparison with the model in `folder`, as (name, {ratio, ...})."""
    gc.collect()
    for side, make in SIDES.items():
        key = f"one radiograph, {side}, {name} gates: {THEIRS}"
        runtime = side == "ONNX Runtime"
        if (not runtime and name == "peaked") or not any(word in key for word in words):
            continue  # the others are there to compare with
        if side == "torch.compile" and shutil.which(os.environ.get("CXX", "g++")) is None:
            print("torch.compile is left out: it needs a C++ compiler")
            continue

        def both(make: Callable[[Path], Run] = make) -> tuple[Run, Run]:
            return make(folder), clip()

        yield f"{key}, processor time of one thread", processor_time(both, pairs)
        try:
            found = {"goal": GOAL} if runtime else {}
            found |= measure_quietly(both, pairs, patience)
        except NotQuietError as error:
            print(f"{key} is left out: {error}", flush=True)
            continue
        yield key, {**found, "process_mib": {"ours": memory(side, folder), "theirs": memory("CLIP", folder)}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds to wait for quiet, each comparison")
    parser.add_argument("--only", help="words, of which a comparison's name has to hold one")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.manual_seed(0)
    if args.memory_of:
        (SIDES[args.memory_of](args.folder) if args.memory_of in SIDES else clip())()
        print(peak_of_this_process())
        return 0
    words = args.only.split(",") if args.only else [""]
    with tempfile.TemporaryDirectory() as work:
        for name, gates in GATES.items():
            folder = Path(work) / name
            write_model(folder / "model", gates)
            written = write_onnx(folder / "model", folder / "onnx")["files"]["image.onnx"]
            for key, row in rows_of(name, folder, args.pairs, args.patience, words):
                if "ONNX" in key:
                    row["largest_difference"] = written["largest_difference"]
                print(f"{key}: {json.dumps(row)}", flush=True)
                if args.out:
                    save(args.out, {key: row})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
