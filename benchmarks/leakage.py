"""How well a picture is known again in another form, how often two pictures are taken for one, and how long it takes.

    python benchmarks/leakage.py runs/demo/phantom ../shared/data/xr

Each folder has images with metadata.jsonl (file_name, patient_id). Writes benchmarks/results/leakage.json.
"""

import argparse
import io
import json
import platform
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from pedclip.eval.image_hash import HALF, MOST_BROAD, MOST_FINE, directions, nearest, picture_bits
from pedclip.eval.leakage import check_leakage
from pedclip.eval.training_manifest import MANIFEST, write_manifest
from pedclip.processing.data.sample import Sample
from pedclip.processing.reading_pedclip import read_radiograph

OUT = Path(__file__).with_name("results") / "leakage.json"
MOST = 1200  # images of a folder, each in every form and against every other
TIMED = 10_000
SALTS = (b"one", b"two")


def saved(image: Image.Image, kind: str, **settings) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def scaled(image: Image.Image, times: float) -> Image.Image:
    return image.resize((max(1, round(image.width * times)), max(1, round(image.height * times))))


def sixteen(image: Image.Image) -> bytes:
    """The same film with 16 bits, as an archive would have it: 12 used, a little noise in those that 8 lack."""
    values = np.asarray(image, np.uint16) * 16 + np.random.default_rng(0).integers(0, 16, (image.height, image.width))
    return saved(Image.fromarray(values.astype(np.uint16)), "PNG")


COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG 75": lambda image: saved(image, "JPEG", quality=75),
    "twice the side": lambda image: saved(scaled(image, 2), "PNG"),
    "half the side": lambda image: saved(scaled(image, 0.5), "PNG"),
    "half the side, JPEG 75": lambda image: saved(scaled(image, 0.5), "JPEG", quality=75),
    "16 bits": sixteen,
    "16 bits, then 8 bits at half the side, JPEG 75": lambda image: saved(
        scaled(Image.fromarray(read_radiograph(sixteen(image)).pixels.round().astype(np.uint8)), 0.5),
        "JPEG",
        quality=75,
    ),
}


def measure(folder: Path) -> dict:
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = random.Random(0).sample(rows, min(MOST, len(rows)))
    ontos = [directions(salt) for salt in SALTS]
    own: list[list[np.ndarray]] = [[] for _ in SALTS]
    apart: dict[str, list[list[float]]] = {name: [[] for _ in SALTS] for name in COPIES}
    for row in tqdm(rows, desc=folder.name, unit="image"):
        pixels = read_radiograph(folder / row["file_name"]).pixels
        image = Image.fromarray(pixels.round().astype(np.uint8)).convert("L")
        copies = {name: make(image) for name, make in COPIES.items()}
        for number, onto in enumerate(ontos):
            bits = picture_bits(saved(image, "PNG"), onto)
            own[number].append(bits)
            for name, copy in copies.items():
                apart[name][number].append(float(nearest(picture_bits(copy, onto)[None], bits[None])[1][0]))
    patients = np.array([row["patient_id"] for row in rows])
    pairs, least = 0, []
    for bits in own:
        signs = np.unpackbits(np.stack(bits), axis=1).astype(np.float32) * 2 - 1
        halves = signs[:, :HALF], signs[:, HALF:]
        for first in range(0, len(signs), 500):
            broad, fine = ((HALF - half[first : first + 500] @ half.T) / 2 for half in halves)
            others = patients[first : first + 500, None] != patients[None, :]
            pairs += int(others.sum()) / 2  # each is met twice
            least += np.where(others, np.maximum(broad / MOST_BROAD, fine / MOST_FINE), np.inf).min(1).tolist()
    return {
        "images": len(rows),
        "salts": len(SALTS),
        "pairs_of_different_patients": round(pairs),
        "images_taken_for_another": int(np.sum(np.array(least) <= 1)),
        "least_apart": round(min(least), 3),
        "copies": {
            name: {
                "missed": float(np.mean(np.concatenate(values) > 1)),
                "99_percent_within": round(float(np.quantile(np.concatenate(values), 0.99)), 3),
                "most_apart": round(float(np.concatenate(values).max()), 3),
            }
            for name, values in apart.items()
        },
    }


def timed(folder: Path) -> dict:
    """Manifest of TIMED images, and the check of as many against it."""
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    samples = [
        Sample(folder / row["file_name"], row["file_name"], None, row["patient_id"], None)
        for row in (rows * (1 + TIMED // len(rows)))[:TIMED]
    ]
    manifest = OUT.with_name(MANIFEST)
    began = time.monotonic()
    written = write_manifest(manifest, {"train": samples})
    made = time.monotonic()
    leaks = check_leakage(written, samples)
    done = time.monotonic()
    size = manifest.stat().st_size
    manifest.unlink()
    assert len(leaks.seen_images) == TIMED
    pixels = np.mean([np.prod(Image.open(sample.path).size) for sample in samples[:300]])
    return {
        "images": TIMED,
        "mean_pixels": round(float(pixels)),
        "seconds_of_manifest": round(made - began, 1),
        "seconds_of_check": round(done - made, 1),
        "manifest_bytes": size,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    args = parser.parse_args()
    found = {
        "most_broad": MOST_BROAD,
        "most_fine": MOST_FINE,
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "folders": {folder.name: measure(folder) | {"time": timed(folder)} for folder in args.folders},
    }
    OUT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
