"""The command `pedclip onnx`: both towers as ONNX files."""

import argparse
from pathlib import Path


def add_onnx_parser(verbs: argparse._SubParsersAction) -> None:
    onnx = verbs.add_parser(
        "onnx",
        help="both towers as ONNX files, compared with the model",
        description="Writes image.onnx, text.onnx, the processor, config.json and onnx.json into OUT, whole or not at "
        "all, for any number of images, texts and tokens; of a classifier image.onnx alone, with its logits. Before, "
        "ONNX Runtime's answers are compared with the model's: more than 1e-4 apart is an error. Needs the extra: pip "
        "install 'pedclip[onnx]'.",
        epilog="example: pedclip onnx runs/demo/hub demo-onnx",
    )
    onnx.add_argument("dir", metavar="DIR", type=Path, help="a PedCLIP folder")
    onnx.add_argument("out", metavar="OUT", type=Path, help="the folder to make")
    onnx.set_defaults(run=run_onnx)


def run_onnx(args: argparse.Namespace) -> int:
    from pedclip.onnx_export import write_onnx

    described = write_onnx(args.dir, args.out)
    for name, facts in described["files"].items():
        size = sum(file.stat().st_size for file in args.out.glob(f"{name}*")) / 1e6  # large weights lie beside
        print(
            f"wrote {args.out / name}: {size:.1f} MB, {', '.join(facts['inputs'])} -> {', '.join(facts['outputs'])}, "
            f"differs from the model by {facts['largest_difference']:.1e}"
        )
    return 0
