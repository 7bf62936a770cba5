"""Tests the Space in a real browser: `make space-test`.

    python tests/space/run.py [--screenshots] [arguments for pytest]

The app runs as in a Space: from a folder of its own, where the package pedclip is not installed. The model is the one
of `make demo` if runs/demo/hub is there, or else a tiny one that has learned nothing. --screenshots also writes
docs/space/*.png, for which the demo's model has to be there.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from environment import ROOT, interpreter

DEMO = ROOT / "runs" / "demo" / "hub"


def write_untrained(folder: Path) -> None:
    """A model folder that loads anywhere and knows the phantom's words, and nothing more."""
    from transformers import AutoTokenizer

    from pedclip import PedCLIPConfig, PedCLIPImageProcessor, PedCLIPModel, PedCLIPProcessor
    from pedclip.hub import write_hub_folder

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "processing" / "phantom" / "tokenizer")
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 1}
    vision = {**sizes, "image_size": 32, "patch_size": 16, "mobe_layers": [0]}
    text = {**sizes, "model_type": "bert", "vocab_size": len(tokenizer)}
    model = PedCLIPModel(PedCLIPConfig(vision_config=vision, text_config=text))
    processor = PedCLIPProcessor(PedCLIPImageProcessor(size={"height": 32, "width": 32}), tokenizer)
    write_hub_folder(model, processor, folder)


def main(arguments: list[str]) -> int:
    screenshots = "--screenshots" in arguments
    rest = [one for one in arguments if one != "--screenshots"]
    if screenshots and not DEMO.is_dir():
        print("run.py: the screenshots show the demo's model, and runs/demo/hub is not there: make demo")
        return 2
    python = interpreter()
    with tempfile.TemporaryDirectory() as work:
        model = DEMO
        if not DEMO.is_dir():
            model = Path(work) / "untrained"
            write_untrained(model)
        told = {"PEDCLIP_SPACE_MODEL": str(model), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "HF_HOME": work}
        if screenshots:
            told["PEDCLIP_SPACE_SCREENSHOTS"] = str(ROOT / "docs" / "space")
        tests = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__).parent), *rest]
        return subprocess.run(tests, cwd=ROOT, env={**os.environ, **told}).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
