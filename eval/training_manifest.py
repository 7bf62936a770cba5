"""What a model was trained on, as hashes that a test set can be compared with: runs/NAME/training_manifest.npz.

Patients and images are in it as salted hashes only. The salt is in the file, since otherwise nothing could be
compared; so whoever has the file can try whether a patient id that they know is among them. It stays in the run's
folder, beside and not in the folder for the Hub. What a pretrained model had seen before the run is not in it.
"""

# Shapes: N images of training and validation, P patients
import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from tqdm.auto import tqdm

from ..processing.data.sample import Sample
from ..processing.data.samples import image_bytes
from ..processing.dicom_pedclip import UnreadableImageError
from .image_hash import BITS, SIDE, directions, picture_details, signs_of

MANIFEST = "training_manifest.npz"
VERSION = 2
READ = (1, VERSION)  # 1: ids as they were spelled
HASH_BYTES = 16
ROUNDS = 1000  # of PBKDF2: guessing ids costs as many times more
AT_ONCE = 64


@dataclass(frozen=True)
class Hashed:
    """Images as hashes."""

    patients: np.ndarray  # (N, 16) uint8: PBKDF2 of the patient's id
    files: np.ndarray  # (N, 16) uint8: SHA-256 of the file
    pictures: np.ndarray  # (N, 128) uint8: image_hash.py
    recognisable: np.ndarray  # (N,) bool: False where a picture has one shade, or cannot be read


@dataclass(frozen=True)
class TrainingManifest:
    """The splits that a model was made with; `split` (N,) says whose each image is."""

    salt: bytes
    data_sets: tuple[str, ...]
    split: np.ndarray
    hashed: Hashed
    version: int = VERSION


def hash_samples(samples: Sequence[Sample], salt: bytes, what: str, version: int = VERSION) -> Hashed:
    """Reads every image once; `what` stands before the progress bar, `version` is that of the manifest."""
    onto = directions(salt)
    spelled = str if version == 1 else plain_id
    ids = {name: _patient_hash(spelled(name), salt) for name in dict.fromkeys(one.patient_id for one in samples)}

    def of_content(content: bytes) -> tuple[bytes, np.ndarray | None]:
        try:
            details = picture_details(content)
        except UnreadableImageError:
            details = None
        return hashlib.sha256(salt + content).digest()[:HASH_BYTES], details

    nothing = np.zeros((2, SIDE * SIDE), np.float32)
    files, recognisable, pictures = [], [], [np.zeros((0, BITS // 8), np.uint8)]
    with (
        ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads,
        tqdm(total=len(samples), unit="image", desc=what, leave=False) as bar,
    ):
        for first in range(0, len(samples), AT_ONCE):
            contents = [image_bytes(samples, place) for place in range(first, min(first + AT_ONCE, len(samples)))]
            hashes, found = zip(*threads.map(of_content, contents), strict=True)
            files += [np.frombuffer(file, np.uint8) for file in hashes]
            recognisable += [details is not None for details in found]
            # together: a product for each picture is ten times slower where other work shares the cores
            pictures.append(signs_of(np.stack([nothing if one is None else one for one in found]), onto))
            bar.update(len(contents))
    return Hashed(
        patients=_rows([np.frombuffer(ids[one.patient_id], np.uint8) for one in samples], HASH_BYTES),
        files=_rows(files, HASH_BYTES),
        pictures=np.concatenate(pictures),
        recognisable=np.array(recognisable, bool),
    )


def write_manifest(
    path: Path, splits: Mapping[str, Sequence[Sample]], data_sets: Sequence[str] = ()
) -> TrainingManifest:
    """Hashes every image of the splits under a new salt and writes the file, whole or not at all."""
    salt = secrets.token_bytes(32)
    parts = [hash_samples(samples, salt, f"Manifest, {name}") for name, samples in splits.items()]
    hashed = Hashed(*(np.concatenate([getattr(part, field) for part in parts]) for field in Hashed.__annotations__))
    split = np.repeat(np.array(list(splits), dtype=str), [len(samples) for samples in splits.values()])
    about = {"version": VERSION, "data_sets": list(data_sets)}
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        np.savez_compressed(
            file,
            about=np.array(json.dumps(about)),
            salt=np.frombuffer(salt, np.uint8),
            split=split,
            **vars(hashed),
        )
    os.replace(new, path)
    return TrainingManifest(salt, tuple(data_sets), split, hashed)


def read_manifest(path: Path | str) -> TrainingManifest:
    """Raises ValueError where the file is none that this version wrote."""
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as found:
            about = json.loads(str(found["about"]))
            if about["version"] not in READ:
                raise ValueError(
                    f"it has version {about['version']}, and {' and '.join(map(str, READ))} are read here"
                )
            hashed = Hashed(*(found[field] for field in Hashed.__annotations__))
            data_sets = tuple(about["data_sets"])
            return TrainingManifest(found["salt"].tobytes(), data_sets, found["split"], hashed, about["version"])
    except (KeyError, ValueError, EOFError) as error:
        raise ValueError(
            f"{path} is no training manifest: {error}; train.py writes one when training begins"
        ) from None


def manifest_of(model_folder: Path | str) -> Path | None:
    """That of the run which a model folder lies in (runs/NAME/hub, runs/NAME/checkpoints/best), if there is one."""
    folder = Path(model_folder).resolve()
    files = [place / MANIFEST for place in (folder.parent, folder.parent.parent)]
    return next((file for file in files if file.is_file()), None)


def named_data_sets(model_folder: Path | str) -> tuple[str, ...]:
    """The data sets that a model folder itself says it was trained on: training_labels.json, or else its card."""
    labels, card = Path(model_folder, "training_labels.json"), Path(model_folder, "README.md")
    if labels.is_file() and (named := json.loads(labels.read_text(encoding="utf-8")).get("data_sets")):
        return tuple(named)
    if not card.is_file():
        return ()
    front = card.read_text(encoding="utf-8").split("---\n")
    stated = (yaml.safe_load(front[1]) or {}).get("datasets") if len(front) > 2 and not front[0] else None
    return (stated,) if isinstance(stated, str) else tuple(stated or ())


def plain_id(patient: str) -> str:
    """A patient's id without what one table spells otherwise than another: case, and blanks around and within."""
    return " ".join(patient.split()).casefold()


def _patient_hash(patient: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", patient.encode(), salt, ROUNDS, HASH_BYTES)


def _rows(rows: Sequence[np.ndarray], width: int) -> np.ndarray:
    return np.stack(rows) if rows else np.zeros((0, width), np.uint8)
