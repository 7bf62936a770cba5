"""The films that go with a model as examples: phantoms, generated, nobody's. Their order is the widget's.

    python -m pedclip.samples processing/phantom/samples

draws them again. They are the only pictures that a folder for the Hub may hold.
"""

import hashlib
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pedclip

FOLDER = "samples"  # in a model's folder
KEPT = Path("processing") / "phantom" / "samples"
SIDE = 224
PARTS = {"wrist": ["hand", "chest", "knee"], "chest": ["pelvis", "wrist", "skull"], "knee": ["ankle", "elbow", "hip"]}


class SampleFilm(NamedTuple):
    file_name: str
    title: str
    labels: list[str]


SAMPLES = [
    SampleFilm(f"phantom_{part}.png", f"Phantom {part}", [f"{one} x-ray" for one in (part, *others)])
    for part, others in PARTS.items()
]


def sample_files() -> list[Path]:
    """The films, in a checkout and in an installed copy alike."""
    for folder in pedclip.__path__:
        found = [Path(folder) / KEPT / sample.file_name for sample in SAMPLES]
        if all(path.is_file() for path in found):
            return found
    raise FileNotFoundError("the sample films are not among the installed files of pedclip; install the package again")


@cache
def sample_hashes() -> frozenset[str]:
    """SHA-256 of each film's bytes: what tells them from somebody's radiograph."""
    return frozenset(hashlib.sha256(path.read_bytes()).hexdigest() for path in sample_files())


def draw(out: Path) -> None:
    """Each part's first film among the shipped clinic's patients."""
    import numpy as np
    from PIL import Image

    from pedclip.processing.phantom.rows import films_of
    from pedclip.processing.phantom.study import studies_of

    out.mkdir(parents=True, exist_ok=True)
    missing, number = set(PARTS), 0
    while missing:
        for study in studies_of(0, number):
            films = films_of(study, side=SIDE)
            wanted = [(row, film) for row, film in films if row["body_part"] in missing]
            for row, film in wanted[:1]:
                missing.discard(row["body_part"])
                picture = Image.fromarray((film.pixels >> 4).astype(np.uint8))
                picture.save(out / f"phantom_{row['body_part']}.png", optimize=True)
        number += 1


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
