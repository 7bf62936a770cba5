"""How often a relevance map points at the finding: the demo's model on phantom films of other children, with outlines.

    python benchmarks/pointing.py runs/demo/hub --out benchmarks/results/pointing.json

Beside each method the film's middle, a random map and chance, on the same films (eval/pointing_game.py has the rule),
and how alike its maps are to those of a tower with shuffled weights. Generated films: software, not medicine.
"""

import argparse
import json
import tempfile
from pathlib import Path

from hardware import described

from pedclip.configuration.data import DataConfig
from pedclip.demo import CLINIC, SIDE
from pedclip.eval.embeddings import load_model
from pedclip.eval.pointing_game import pointing_game, weights_matter
from pedclip.eval.relevance import METHODS
from pedclip.processing.data.folder import read_folder
from pedclip.processing.phantom.folder import FolderSettings, write_folder

SEED = 31  # the demo's model has learned from seed 0
CHECKED = 20  # films of the check with shuffled weights


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--patients", type=int, default=120)
    args = parser.parse_args()
    tested = load_model(args.model)
    with tempfile.TemporaryDirectory() as folder:
        films = Path(folder) / "films"
        write_folder(films, FolderSettings(patients=args.patients, seed=SEED, side=SIDE, masks=True, clinic=CLINIC))
        data = DataConfig(path=str(films))
        samples = [
            sample
            for split in ("train", "validation", "test")
            for sample in read_folder(data, split=split, need_caption=False)
        ]
        results = {
            method: pointing_game(tested, samples, data, method)
            | {"likeness_to_shuffled_weights": round(weights_matter(tested, samples[:CHECKED], data, method), 3)}
            for method in METHODS
        }
    found = {"patients": args.patients, "films": len(samples), "methods": results, **described()}
    args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for method, one in results.items():
        print(
            method, *(f"{name} {one[name]:.3f}" for name in ("value", "low", "high", "chance")), one["n"], "findings"
        )
    print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
