"""The embedding of one radiograph: ONNX Runtime on what `pedclip onnx` writes, beside eager CLIP ViT-B/16.

    python benchmarks/onnx_latency.py --out benchmarks/results/onnx_latency.json

PedCLIP's image tower (ViT-B/16, 23 experts in the last layer, random weights) in ONNX Runtime, float32, against
transformers' CLIPVisionModelWithProjection of the same size, called as its documentation calls it; both with the same
number of threads, in pairs in one process. Beside it PedCLIP in eager PyTorch.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from hardware import described
from mobe import PAIRS, measure, set_gates
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from pedclip import PedCLIPConfig, PedCLIPModel
from pedclip.onnx_export import _towers, _trace

GOAL = 0.8
Sides = tuple[Callable[[], None], Callable[[], None]]


def clip() -> Callable[[], None]:
    config = CLIPVisionConfig(
        patch_size=16, image_size=224, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
        num_attention_heads=12, projection_dim=512,
    )  # fmt: skip
    model, pixels = CLIPVisionModelWithProjection(config).eval(), torch.randn(1, 3, 224, 224)

    def run() -> None:
        with torch.no_grad():
            model(pixel_values=pixels)

    return run


def pedclip_model(gates: float) -> PedCLIPModel:
    small = {"num_hidden_layers": 1}  # the text tower is not asked
    model = PedCLIPModel(PedCLIPConfig(text_config={"model_type": "bert", **small})).eval()
    set_gates(model.vision_model, gates)
    return model


def in_onnx_runtime(model: PedCLIPModel, folder: Path, threads: int) -> Callable[[], None]:
    tower, arguments, shapes = _towers(model)["image"]
    _trace(tower, arguments, shapes, folder / "image.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # else its threads go on spinning for a while after a run, and slow down the other side's
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(folder / "image.onnx", options, providers=["CPUExecutionProvider"])
    pixels = torch.randn(1, 3, 224, 224).numpy()
    return lambda: session.run(None, {"pixel_values": pixels})


def in_eager(model: PedCLIPModel) -> Callable[[], None]:
    pixels = torch.randn(1, 3, 224, 224)

    def run() -> None:
        with torch.no_grad():
            model.get_image_features(pixel_values=pixels)

    return run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pairs", type=int, default=2 * PAIRS)
    args = parser.parse_args()
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    rows: dict[str, Any] = {}
    for name, gates in (("random", 0.02), ("peaked", 5.0)):
        model = pedclip_model(gates)
        with tempfile.TemporaryDirectory() as folder:
            runtime = in_onnx_runtime(model, Path(folder), threads)
            key = f"one radiograph, ONNX Runtime, {name} gates: CLIP ViT-B/16, eager"
            rows[key] = {"goal": GOAL, **measure(lambda side=runtime: (side, clip()), args.pairs)}
            print(key, json.dumps(rows[key]))
    key = "one radiograph, eager PedCLIP: CLIP ViT-B/16, eager"
    rows[key] = measure(lambda: (in_eager(pedclip_model(0.02)), clip()), args.pairs)
    print(key, json.dumps(rows[key]))
    if args.out:
        result = {"threads": threads, "comparisons": rows, **described()}
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
