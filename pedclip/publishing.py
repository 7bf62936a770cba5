"""What may leave the house: a folder without pictures or identifiers of patients, from data whose owners agree."""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pedclip.processing.curation.licences import CuratedWith, conflicts
from pedclip.processing.data.official.terms import not_allowed, terms_of
from pedclip.samples import FOLDER as SAMPLES_FOLDER
from pedclip.samples import sample_hashes

# What a model folder is made of, by name. Anything else could be somebody's data, and is named.
KNOWN_FILES = re.compile(
    r"(model|adapter_model)(-\d+-of-\d+)?\.safetensors|\w+_pedclip\.py|handler\.py|__init__\.py|README\.md|LICENSE|NOTICE|"
    r"(config|generation_config|processor_config|preprocessor_config|adapter_config|model\.safetensors\.index|tokenizer|"
    r"tokenizer_config|special_tokens_map|added_tokens|vocab|fingerprint|training_labels)\.json|"
    r"(vocab|merges|requirements)\.txt|(spiece|spm|sentencepiece\.bpe|tokenizer)\.model|chat_template\.jinja|"
    r"\.gitattributes|\.gitignore|\.DS_Store|CITATION\.cff"
)
TRAINING_LABELS = "training_labels.json"
PRIVATE = ".private."  # in a file's name: it shows a patient (`pedclip explain --include-private`)
LEFT_AT_HOME = {".cache", ".git"}  # folders that downloads and clones leave; a push leaves them out too
OF_WORDS = {"added_tokens.json", "fingerprint.json", "tokenizer.json", "vocab.json"}  # a vocabulary has "patient" too
PICTURE_STARTS = (
    *(b"\x89PNG\r\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+", b"GIF87a", b"GIF89a"),
    *(b"\x00\x00\x00\x0cjP", b"\xff\x4f\xff\x51", b"\x93NUMPY", b"PK\x03\x04", b"\x1f\x8b", b"PAR1"),
)
DICOM_PREFIX, DICOM_AT = b"DICM", 128
# Keys under which people's data are kept, in JSON, spelt in any way; and what looks like such data wherever it stands
PATIENT_KEY = re.compile(
    r"(patients?|subject)(id|name|birthdate|age|sex)?s?|mrn|medicalrecordnumber|accession(number)?|dob|dateofbirth|birthdate|"
    r"(study|series|sop)(instance)?u?id|referringphysician(sname|name)?|reports?(text)?|000800(50|90)|001000(10|20|30|40)",
    re.IGNORECASE,
)
DICOM_UID = re.compile(r"(?<![\d.])(?!1\.2\.840\.10008\.)(?:[0-2](?:\.(?:0|[1-9]\d*)){7,}|2\.25\.\d{10,39})(?![\d.])")
PERSON_NAME = re.compile(r"\b[^\W\d_][\w'-]{2,}\^[^\W\d_][\w'-]+")  # DICOM's way: Family^Given


class NotForPublicationError(ValueError):
    """The folder must not be published; the message says what is in the way and what would change that."""


def patient_data_in(folder: Path) -> list[str]:
    """Files that are, or may be, data of patients, each with the reason; pictures but for the phantom samples."""
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if LEFT_AT_HOME & set(inside.parts):
            continue
        if path.is_dir():
            if path.is_symlink():
                found.append(f"{inside} is a link to another folder")
            continue
        with path.open("rb") as file:
            start = file.read(DICOM_AT + len(DICOM_PREFIX))
        if PRIVATE in path.name.lower():
            found.append(f"{inside} is private: it shows a patient")
        elif start[DICOM_AT:] == DICOM_PREFIX or start[:2] == b"\x08\x00":
            found.append(f"{inside} is a DICOM file")
        elif hashlib.sha256(path.read_bytes()).hexdigest() in sample_hashes():
            continue
        elif start.startswith(PICTURE_STARTS):
            found.append(f"{inside} is a picture or packed, and none of the phantom samples that go with a model")
        elif not KNOWN_FILES.fullmatch(path.name):
            found.append(f"{inside} is no part of a model folder")
        elif said := _identifiers(path):
            found.append(f"{inside} has {said}")
    return found


def _identifiers(path: Path) -> str | None:
    text = _text_of(path)
    if path.suffix == ".json":
        try:
            keys = _keys(json.loads(text))
        except ValueError:
            return "no valid JSON"
        if path.name in OF_WORDS:
            return None
        for key in sorted(keys):
            if PATIENT_KEY.fullmatch(re.sub(r"[\s_-]", "", key)):
                return f"the key {key!r}"
    if "data:image/" in text and path.suffix != ".py":
        return "a picture inside its text"
    for pattern, what in ((DICOM_UID, "a DICOM UID"), (PERSON_NAME, "what looks like a person's name")):
        if path.suffix not in {".py", ".model"} and pattern.search(text):
            return what
    return None


def _text_of(path: Path) -> str:
    """A file's text; of safetensors the header, which may hold anything that somebody put there."""
    if path.suffix != ".safetensors":
        return path.read_text(encoding="utf-8", errors="replace")
    with path.open("rb") as file:
        return file.read(min(int.from_bytes(file.read(8), "little"), 2**24)).decode("utf-8", "replace")


def _keys(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for inner in value.values() for key in _keys(inner))]
    return [key for inner in value for key in _keys(inner)] if isinstance(value, list) else []


def check_terms(data_sets: Sequence[str], permission: str | None) -> None:
    """Raises where the owner of a data set, or of one that it was made from, forbids publishing weights.

    Where the owner's answer is not known, `permission` has to say who gave it.
    """
    unknown = [] if data_sets else ["data sets that are not named (recipe: data.datasets)"]
    for name in data_sets:
        forbids, silent = not_allowed(name, "may_publish_weights")
        if forbids is not None:
            raise NotForPublicationError(
                f"weights learned from {name} must not be published: the terms of {forbids} forbid it "
                f"({terms_of(forbids).terms}). Keep the folder to yourself, or train without it"
            )
        unknown += silent
    if unknown and not (permission or "").strip():
        raise NotForPublicationError(
            f"nobody here knows whether weights learned from {', '.join(dict.fromkeys(unknown))} may be published. "
            'Ask their owners, and say who allowed it: --permission "who, when"'
        )


def curated_with(folder: Path) -> tuple[CuratedWith, ...]:
    """The language models that assigned the texts that a model learned from, as its training wrote them down."""
    file = folder / TRAINING_LABELS
    if not file.is_file():
        return ()
    try:
        return tuple(CuratedWith(*one) for one in json.loads(file.read_text(encoding="utf-8")).get("curated_with", []))
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{file.name} cannot be read: its curated_with is a list of [model, licence]") from error


def check_repo_name(repo_id: str, staged: Path) -> None:
    """Raises where a curation model's licence wants another name of the model than the repository has."""
    name = repo_id.rsplit("/", 1)[-1]
    used = curated_with(staged)
    found = conflicts(name, staged.joinpath("README.md").read_text(encoding="utf-8"), used) if used else []
    if found:
        raise NotForPublicationError(f"{repo_id} is no name for this model: {'; '.join(found)}")


def refuse_private(folder: Path) -> None:
    """Raises where a file's name says that it shows a patient: such a folder is no place to hand on from."""
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if PRIVATE in path.name.lower())
    if found:
        raise NotForPublicationError(
            f"{folder} holds {', '.join(found[:5])}, private by name: it shows a patient. Move it out of the model's "
            "folder"
        )


def check_files(folder: Path, named: str | os.PathLike | None = None) -> None:
    """Raises where the folder holds data of patients, or what could be. `named` is what the message calls it."""
    found = patient_data_in(folder)
    if found:
        raise NotForPublicationError(
            f"{named or folder} must not be published: {'; '.join(found[:5])}. Only the weights, the code, the card "
            f"and the phantom films of {SAMPLES_FOLDER}/ belong there"
        )
