"""The paper's two ablations in small, on phantom films: where the experts are (Fig. 4), and interference (Fig. 5).

    python -m pedclip.eval.ablations runs/ablations
    python -m pedclip.eval.ablations runs/ablations --page docs/ablations

Trains every arm of configuration/recipes/ablation_design.yaml with each seed, two runs at a time, a thread each. Run
again, it goes on: a finished run stays, one that was stopped resumes. A folder that was begun with another design is
refused. OUT then holds results.json and, for each run, result.json with its predictions; --page brings the figures and
tables of that folder up to date. The films are generated: the numbers say nothing about medicine.
"""

import dataclasses
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..processing.data.folder import read_folder
from ..processing.phantom.folder import write_folder
from .ablation_design import Design, load_design
from .ablation_runs import FILMS, films_of_part, run_one
from .ablation_statistics import summary
from .experiment import AT_ONCE, arguments_of, remember, run_at_once, spending, spent
from .json_files import write_json
from .statistics import RESAMPLES
from .tasks import provenance

DESIGN = Path(__file__).parent.parent / "configuration" / "recipes" / "ablation_design.yaml"
NOTE = (
    "Phantom films are generated from geometric solids. These numbers compare small models on them under one budget; "
    "they say nothing about medicine."
)


def ablate(design: Design, out: Path) -> dict[str, Any]:
    """Runs what is not finished and returns the whole result, which stands in OUT/results.json too."""
    remember(design.to_dict(), out)
    with spending(out, design.runs()):
        write_folder(out / FILMS, design.films)
        for part in design.parts:
            films_of_part(out, part)  # before two runs could make the same one
        results = run_all(design, out)

    data = dataclasses.replace(design.training().data, path=str(out / FILMS))
    test = read_folder(data, split="test", need_caption=False)
    patients = [film.patient_id for film in test]
    rows = (out / FILMS / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    trained_on = [row["body_part"] for row in map(json.loads, rows) if row["split"] == "train"]
    found = {
        "note": NOTE,
        "data_set": "pedclip/phantom (synthetic)",
        "kind": ", ".join(sorted({one["kind"] for one in results})),
        **summary(design, results, patients),
        "films": {
            "train": {part: trained_on.count(part) for part in design.parts},
            "test": {part: sum(film.body_part == part for film in test) for part in design.parts},
            "test_patients": len(set(patients)),
        },
        "runs": [{key: value for key, value in one.items() if key != "predictions"} for one in results],
        "seconds": spent(out),
        "at_once": AT_ONCE,
        "design": design.to_dict(),
        **provenance(test, 0, RESAMPLES),
    }
    write_json(out / "results.json", found)
    return found


def run_all(design: Design, out: Path) -> list[dict[str, Any]]:
    """The results of all runs, in the design's order. After a failure no further run is begun."""
    return run_at_once(design.runs(), lambda run: run_one(design, run, out), "Ablations")


def main(arguments: Sequence[str] | None = None) -> int:
    args = arguments_of(__doc__, DESIGN, "folder of the documentation to bring up to date", arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        results = ablate(load_design(args.design), args.out)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"pedclip.eval.ablations: {error}", file=sys.stderr)
        return 2
    from .ablation_page import report, write_page  # matplotlib takes seconds to import

    print(report(results))
    if args.page is not None:
        write_page(args.page, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
