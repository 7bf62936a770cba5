"""What may leave the house: a folder without pictures or identifiers of patients, from data whose owners agree."""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pedclip.processing.data.official.terms import all_terms, ancestors
from pedclip.samples import FOLDER as SAMPLES_FOLDER
from pedclip.samples import sample_hashes

# What a model folder is made of. Anything else could be somebody's data, and is named.
KNOWN_SUFFIXES = {".json", ".jinja", ".md", ".model", ".py", ".safetensors", ".txt"}
KNOWN_NAMES = {"LICENSE", ".gitattributes", ".gitignore"}
PICTURE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*", b"GIF8", b"BM", b"\x00\x00\x00\x0cjP", b"RIFF")
DICOM_PREFIX, DICOM_AT = b"DICM", 128
# Keys under which people's data are kept, in JSON; and two things that look like one wherever they stand
PATIENT_KEY = re.compile(
    r"^(patient_?(id|name|birth_?date|age|sex)?s?|mrn|medical_record_number|accession_?(number)?|study_?(instance_?)?u?id|"
    r"series_?(instance_?)?uid|sop_?(instance_?)?uid|referring_?physician(_?name)?|birth_?date|report(_?text)?s?)$",
    re.IGNORECASE,
)
DICOM_UID = re.compile(r"(?<![\d.])[0-2](?:\.(?:0|[1-9]\d*)){7,}(?![\d.])")
PERSON_NAME = re.compile(r"\b[A-Z][A-Za-z'-]+\^[A-Z][A-Za-z'-]*")  # DICOM's way: Family^Given


class NotForPublicationError(ValueError):
    """The folder must not be published; the message says what is in the way and what would change that."""


def patient_data_in(folder: Path) -> list[str]:
    """Files that are, or may be, data of patients, each with the reason; pictures but for the phantom samples."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts):
        name = str(path.relative_to(folder))
        with path.open("rb") as file:
            start = file.read(DICOM_AT + len(DICOM_PREFIX))
        if start[DICOM_AT:] == DICOM_PREFIX:
            found.append(f"{name} is a DICOM file")
        elif start.startswith(PICTURE_STARTS):
            if hashlib.sha256(path.read_bytes()).hexdigest() not in sample_hashes():
                found.append(f"{name} is a picture, and none of the phantom samples that go with a model")
        elif path.suffix not in KNOWN_SUFFIXES and path.name not in KNOWN_NAMES:
            found.append(f"{name} is no part of a model folder")
        elif path.suffix in {".json", ".md", ".txt"} and (said := _identifiers(path)):
            found.append(f"{name} has {said}")
    return found


def _identifiers(path: Path) -> str | None:
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".json":
        if path.name.startswith(("fingerprint", "tokenizer", "vocab", "special_tokens")):
            return None  # a vocabulary has every word, "patient" too; and a fingerprint is of fixed texts of ours
        try:
            keys = sorted(key for key in _keys(json.loads(text)) if PATIENT_KEY.match(key))
        except ValueError:
            return "no valid JSON"
        if keys:
            return f"the key {keys[0]!r}"
    for pattern, what in ((DICOM_UID, "a DICOM UID"), (PERSON_NAME, "what looks like a person's name")):
        if pattern.search(text):
            return what
    return None


def _keys(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for inner in value.values() for key in _keys(inner))]
    return [key for inner in value for key in _keys(inner)] if isinstance(value, list) else []


def check_terms(data_sets: Sequence[str], permission: str | None) -> None:
    """Raises where the owner of a data set, or of one that it was made from, forbids publishing weights.

    Where the owner's answer is not known, `permission` has to say who gave it.
    """
    table = all_terms()
    unknown = [] if data_sets else ["data sets that are not named (recipe: data.datasets)"]
    for name in data_sets:
        for one in ancestors(name) if name in table else [name]:
            answer = table[one].may_publish_weights if one in table else "unknown"
            if answer == "no":
                raise NotForPublicationError(
                    f"weights learned from {name} must not be published: the terms of {one} forbid it "
                    f"({table[one].terms}). Keep the folder to yourself, or train without it"
                )
            if answer != "yes":
                unknown.append(one)
    if unknown and not (permission or "").strip():
        raise NotForPublicationError(
            f"nobody here knows whether weights learned from {', '.join(dict.fromkeys(unknown))} may be published. "
            'Ask their owners, and say who allowed it: --permission "who, when"'
        )


def check_files(folder: str | os.PathLike) -> None:
    """Raises where the folder holds data of patients, or what could be."""
    found = patient_data_in(Path(folder))
    if found:
        raise NotForPublicationError(
            f"{folder} must not be published: {'; '.join(found[:5])}. Only the weights, the code, the card and the "
            f"phantom films of {SAMPLES_FOLDER}/ belong there"
        )
