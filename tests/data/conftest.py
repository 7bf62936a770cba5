"""Small folders of random pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def picture(path: Path, seed: int, size: tuple[int, int] = (30, 24)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0]), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path):
    """Makes a folder from metadata rows, with a picture for each file that is inside it and not `missing`."""

    def make(rows: list[dict], missing: tuple[str, ...] = ()) -> Path:
        for seed, row in enumerate(rows):
            name = row.get("file_name")
            if name and name not in missing and ".." not in name and not name.startswith("/"):
                picture(tmp_path / name, seed)
        (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return tmp_path

    return make


@pytest.fixture
def xr() -> Path:
    """The shared collection of real radiographs, where it is there."""
    path = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "xr"
    if not path.is_dir():
        pytest.skip("the shared radiographs (../shared/data/xr) are not here")
    return path
