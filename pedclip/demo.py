"""The whole way in one command, `make demo`: phantom films, training, evaluation, a fresh process that uses the model.

    python -m pedclip.demo runs/demo

Each stage is a process of its own. Run again, it goes on: films that are there stay, and the training resumes.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pedclip.card import checkout_file
from pedclip.configuration.data import SplitsConfig
from pedclip.eval.demo import DOSES
from pedclip.processing.phantom.folder import FolderSettings, write_folder
from pedclip.processing.phantom.parts import PARTS
from pedclip.processing.phantom.study import Clinic

PATIENTS = 5000
SPLITS = SplitsConfig(validation_share=0.03, test_share=0.12)
SIDE = 112  # what the recipe's model takes
SEED = 0
# What can be learned in minutes, and no more: findings that are plain to see and often, mostly in a few parts, and the
# frontal view alone where the clinic can do with it. The shipped clinic has none of this.
OFTEN = {"chest": 10.0, "knee": 5.0, "wrist": 5.0, "pelvis": 3.0, "whole_spine": 2.5, "hip": 1.5}
CLINIC = Clinic(
    parts={name: OFTEN.get(name, 0.6) for name in PARTS},
    findings=(0.1, 0.4, 0.5),
    severity=(0.8, 1.0),
    single_view=0.8,
)

# What a stranger would type, run where neither this package nor a network can be reached.
STRANGER = """
import sys
class NoPedCLIP:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pedclip":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoPedCLIP())
import torch
from transformers import AutoModel, AutoProcessor
from transformers.utils import logging
logging.disable_progress_bar()
folder, image, *phrases = sys.argv[1:]
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
inputs = processor(images=image, text=phrases, return_tensors="pt", padding=True)
with torch.no_grad():
    output = model(**inputs)
for phrase, score in zip(phrases, output.logits_per_image.softmax(dim=-1)[0].tolist()):
    print(f"  {score:.3f}  {phrase}")
gate = output.router_logits[-1].softmax(dim=-1)[0]
print(f"  the gate says: {model.config.body_parts[gate.argmax()].replace('_', ' ')} ({gate.max():.2f})")
"""


def say(stage: str) -> None:
    print(f"\n== {stage}", flush=True)


def settings_of(dose: str, patients: int, side: int) -> FolderSettings:
    """The films of one dose: all splits at the usual dose, the test patients alone at the others."""
    share = fraction(dose)
    return FolderSettings(
        patients=patients,
        seed=SEED,
        side=side,
        twins=True,
        clinic=CLINIC,
        splits=SPLITS,
        dose=None if share == 1 else share,
        split=None if share == 1 else "test",
    )


def fraction(text: str) -> float:
    """1/4 as .25."""
    above, _, below = text.partition("/")
    return float(above) / float(below or 1)


def run_stage(*command: str) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run([sys.executable, *command], env=environment)
    if done.returncode:
        raise SystemExit(f"demo: `python {' '.join(command)}` failed with {done.returncode}; run it again to go on")


def demo(out: Path, patients: int, side: int, recipe: Path, overrides: Sequence[str]) -> dict:
    """Runs all stages; returns the results, which stand in OUT/results.json too."""
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    say(f"1 of 4: phantom films, to {out}/phantom")
    for dose, folder in DOSES.items():
        write_folder(out / folder, settings_of(dose, patients, side))

    say(f"2 of 4: training from nothing, to {out}/hub")
    train = ["-m", "pedclip.train", str(recipe), "--output", str(out), "--set", f"data.path={out}/phantom"]
    run_stage(*train, *(word for override in overrides for word in ("--set", override)))

    say("3 of 4: evaluation on unseen patients, beside trivial methods")
    run_stage("-m", "pedclip.eval.demo", str(out))

    say("4 of 4: a fresh process that has only transformers")
    film = test_film(out / "phantom")
    phrases = [f"radiographs of a child show the {part}" for part in ("wrist", "knee", "chest", "pelvis")]
    print(f"{film['file_name']}: {film['body_part'].replace('_', ' ')}, {', '.join(film['findings']) or 'no finding'}")
    run_stage("-I", "-c", STRANGER, str(out / "hub"), str(out / "phantom" / film["file_name"]), *phrases)

    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    results["seconds"] = round(time.monotonic() - began, 1)
    results["peak_rss_gib"] = round(peak_rss_gib(), 2)
    from pedclip.eval.demo_report import write_demo_report  # matplotlib takes seconds to import

    write_demo_report(out, results)
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    from pedclip.card_results import card_changes
    from pedclip.hub import update_card

    update_card(out / "hub", **card_changes([results]))
    return results


def test_film(folder: Path) -> dict:
    """The first knee of the test patients, or else their first film."""
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    test = [row for row in rows if row["split"] == "test"]
    return next((row for row in test if row["body_part"] == "knee"), test[0])


def peak_rss_gib() -> float:
    """The largest resident memory of any one process of the run, this one's included."""
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return most * (1 if sys.platform == "darwin" else 1024) / 2**30


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the run")
    parser.add_argument("--patients", type=int, default=PATIENTS, help="generated children (default: %(default)s)")
    parser.add_argument("--side", type=int, default=SIDE, help="pixels a side of a film (default: %(default)s)")
    parser.add_argument("--recipe", type=Path, help="instead of configuration/recipes/phantom.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the recipe")
    args = parser.parse_args(arguments)
    recipe = args.recipe or checkout_file("configuration/recipes/phantom.yaml")
    try:
        results = demo(args.out, args.patients, args.side, recipe, args.set)
    except (ValueError, OSError) as error:
        print(f"demo: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(
        f"\nDone in {results['seconds'] / 60:.1f} minutes, at most {results['peak_rss_gib']:.1f} GiB a process.\n\n"
        f"Open   {args.out}/report.html\n"
        f'Load   AutoModel.from_pretrained("{args.out}/hub", trust_remote_code=True)\n'
        f"Next   python train.py configuration/recipes/phantom.yaml --help, or your own films: README.md, "
        '"Train on your own folder"'
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
