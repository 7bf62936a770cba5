"""Films a second that the phantom makes on one core, by body part and over the shipped clinic.

OMP_NUM_THREADS=1 python benchmarks/phantom_speed.py --out benchmarks/results/phantom_speed.json
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from hardware import described

from pedclip.processing.phantom.parts import PARTS
from pedclip.processing.phantom.rows import films_of
from pedclip.processing.phantom.sheets import child
from pedclip.processing.phantom.study import Clinic, studies_of

SIDE = 128


def clinic_rate(patients: int) -> tuple[float, int]:
    """Whole studies with their reports, as `pedclip phantom` makes them, files left out."""
    began, films = time.process_time(), 0
    for number in range(patients):
        for study in studies_of(17, number, Clinic()):
            films += sum(1 for _ in films_of(study, side=SIDE))
    return films / (time.process_time() - began), films


def part_rate(name: str, children: int = 24) -> float:
    ages = np.linspace(0.5, 17, children)
    began, films = time.process_time(), 0
    for number, years in enumerate(ages):
        films += sum(1 for _ in films_of(child(name, float(years), number), side=SIDE))
    return films / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--patients", type=int, default=300)
    args = parser.parse_args()
    clinic_rate(5)  # tables that are made once
    rate, films = clinic_rate(args.patients)
    by_part = {name: round(part_rate(name), 1) for name in PARTS}
    result = {
        "films_a_second_on_one_core": round(rate, 1),
        "films": films,
        "side": SIDE,
        "by_part": by_part,
        **described(),
    }
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
