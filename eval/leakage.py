"""Has the model seen what it is tested on? By patient, by file, by picture, and by what a data set was made from."""

# Shapes: N test images
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ..processing.data.official.terms import all_terms
from ..processing.data.sample import Sample
from .image_hash import nearest
from .training_manifest import Hashed, TrainingManifest, hash_samples, manifest_of, named_data_sets, read_manifest

OVERLAPS = Path(__file__).with_name("overlaps.yaml")
NO_MANIFEST = "unknown: no training manifest lies beside the model"


class LeakError(ValueError):
    """The model was trained on what it is about to be tested on."""


@dataclass(frozen=True)
class SeenImage:
    """A test image that was in training, by places alone."""

    place: int  # among the test images
    training_place: int  # in the manifest
    split: str  # that it was in: train or validation
    kind: str  # "same file" or "same picture"
    apart: float  # 0 for the same file; up to 1 pictures are taken for one


@dataclass(frozen=True)
class SharedLineage:
    """Two data sets of which one was made from the other, or both from a third."""

    trained_on: str
    tested_on: str
    shared: tuple[str, ...]

    def __str__(self) -> str:
        shared = ", ".join(self.shared)
        return f"{self.tested_on} and {self.trained_on}, which the model was trained on, share {shared}"


@dataclass(frozen=True)
class Leaks:
    """What was found; nothing in it names a patient or a file."""

    images: int  # looked at
    patients: int
    seen_images: tuple[SeenImage, ...]
    seen_patients: int
    images_of_seen_patients: tuple[int, ...]  # places
    lineage: tuple[SharedLineage, ...]
    patient_ids_compared: bool  # not where both sides name data sets that have nothing to do with each other
    unknown_data_sets: tuple[str, ...]  # of which nobody wrote down what they were made from

    @property
    def found(self) -> bool:
        return bool(self.seen_images or self.seen_patients or self.lineage)

    def __str__(self) -> str:
        said = []
        if self.seen_images:
            files = sum(one.kind == "same file" for one in self.seen_images)
            said.append(
                f"{len(self.seen_images)} of {self.images} test images were in training ({files} as the same file, "
                f"{len(self.seen_images) - files} as the same picture)"
            )
        if self.seen_patients:
            said.append(f"{self.seen_patients} of {self.patients} test patients were in training")
        said += map(str, self.lineage)
        return "; ".join(said) or f"none of {self.images} test images and {self.patients} patients was in training"

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for a result."""
        return {
            "found": self.found,
            "images": len(self.seen_images),
            "same_file": sum(one.kind == "same file" for one in self.seen_images),
            "patients": self.seen_patients,
            "images_of_seen_patients": len(self.images_of_seen_patients),
            "lineage": [vars(one) | {"shared": list(one.shared)} for one in self.lineage],
            "patient_ids_compared": self.patient_ids_compared,
            "unknown_data_sets": list(self.unknown_data_sets),
            "says": str(self),
        }


def check_leakage(
    training: TrainingManifest | Path | str, test: Sequence[Sample], test_sets: Sequence[str] = ()
) -> Leaks:
    """Compares test samples, and the names of their data sets, with a training manifest or its file.

    The same data set on both sides is no leak by itself: its own splits are, patient by patient and image by image.
    Patient ids are compared where both sides share a data set, or one does not say which it is: "17" of one hospital
    is not "17" of another.
    """
    if not isinstance(training, TrainingManifest):
        training = read_manifest(training)
    tests = hash_samples(test, training.salt, "Looking for leaks", training.version)
    known = training.hashed
    related = any(set(ancestry(one)) & set(ancestry(two)) for one in training.data_sets for two in test_sets)
    compared = related or not training.data_sets or not test_sets
    of_training = {row.tobytes() for row in known.patients} if compared else set()
    seen = [place for place, row in enumerate(tests.patients) if row.tobytes() in of_training]
    return Leaks(
        images=len(test),
        patients=len({sample.patient_id for sample in test}),
        seen_images=tuple(_seen_images(training, tests)),
        seen_patients=len({test[place].patient_id for place in seen}),
        images_of_seen_patients=tuple(seen),
        lineage=shared_lineage(training.data_sets, test_sets),
        patient_ids_compared=compared,
        unknown_data_sets=tuple(
            name for name in dict.fromkeys((*training.data_sets, *test_sets)) if _plain(name) not in _parents()[1]
        ),
    )


def leaks_of(
    model_folder: Path | str, test: Sequence[Sample], test_sets: Sequence[str] = (), *, allow: bool = False
) -> dict[str, Any]:
    """What a result says about leaks, `{"found": ...}`; with a leak, and without `allow`, a LeakError instead.

    A model without a manifest beside it, as a copied one, is asked by the names of its data sets alone; where those
    share nothing the answer is {"found": None}, and says so.
    """
    manifest = manifest_of(model_folder)
    if manifest is None:
        found = _by_names(model_folder, test_sets)
    else:
        found = {**check_leakage(manifest, test, test_sets).to_dict(), "allowed": False}
    if not found["found"]:
        return found
    if not allow:
        raise LeakError(
            f"{found['says']}; a score would be no test of the model. Take images that it has not seen, or say "
            "--allow-leaks to `pedclip eval` or `pedclip bench`, and the result carries this"
        )
    return {**found, "allowed": True}


def _by_names(model_folder: Path | str, test_sets: Sequence[str]) -> dict[str, Any]:
    """Lineage alone, as in a result; what the folder names stands in `trained_on`."""
    trained_on = named_data_sets(model_folder)
    if not trained_on:
        return {"found": None, "says": NO_MANIFEST}
    lineage = shared_lineage(trained_on, test_sets)
    rows = [vars(one) | {"shared": list(one.shared)} for one in lineage]
    says = "; ".join(map(str, lineage)) or f"{NO_MANIFEST}; by name its data sets share nothing with these"
    own = [name for name in test_sets if ancestry(name)[0] in {ancestry(one)[0] for one in trained_on}]
    if own and not lineage:
        says = f"{NO_MANIFEST}; it was trained on {', '.join(own)}, too, and nobody knows on which images"
    return {"found": True if lineage else None, "lineage": rows, "trained_on": list(trained_on), "says": says}


def leak_mark(result: Mapping[str, Any]) -> str:
    """What stands behind a number: LEAK, that nobody knows, or nothing."""
    if "leaks" not in result:
        return ""
    found = result["leaks"]["found"]
    return "  leaks: unknown" if found is None else "  LEAK: the model was trained on this" if found else ""


def shared_lineage(trained_on: Sequence[str], tested_on: Sequence[str]) -> tuple[SharedLineage, ...]:
    """Pairs of differently named data sets that have a third, or one of the two, in common."""
    found = []
    for test in dict.fromkeys(tested_on):
        for train in dict.fromkeys(trained_on):
            shared = [name for name in ancestry(test) if name in ancestry(train)]
            if shared and ancestry(test)[0] != ancestry(train)[0]:
                found.append(SharedLineage(train, test, tuple(shared)))
    return tuple(found)


def ancestry(name: str) -> tuple[str, ...]:
    """The data set under its usual name, what it was made from, and so on; a stranger is itself alone."""
    parents, usual = _parents()
    found = [usual.get(_plain(name), name)]
    for each in found:
        found += [parent for parent in parents.get(each, ()) if parent not in found]
    return tuple(found)


@cache
def _parents() -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """What each data set was made from, and every spelling's usual name."""
    table = yaml.safe_load(OVERLAPS.read_text(encoding="utf-8"))
    parents = {name: terms.lineage for name, terms in all_terms().items()}
    usual = {_plain(name): name for name in parents}
    for name, row in table.items():
        parents[name] = tuple(dict.fromkeys((*parents.get(name, ()), *row["made_from"])))
        for spelling in (name, *row["aliases"]):
            usual[_plain(spelling)] = name
    for name, terms in all_terms().items():
        usual.setdefault(_plain(terms.title), name)
    strangers = [(name, parent) for name, of_name in parents.items() for parent in of_name if parent not in parents]
    if strangers:
        raise ValueError(f"{OVERLAPS.name}: {strangers[0][0]} is made from {strangers[0][1]!r}, which has no row")
    return parents, usual


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()


def _seen_images(training: TrainingManifest, tests: Hashed) -> list[SeenImage]:
    known = training.hashed
    files = {row.tobytes(): place for place, row in enumerate(known.files)}
    with_picture = np.flatnonzero(known.recognisable)
    places, apart = nearest(tests.pictures, known.pictures[with_picture])
    found = []
    for place, row in enumerate(tests.files):
        if row.tobytes() in files:
            there, far, kind = files[row.tobytes()], 0.0, "same file"
        elif tests.recognisable[place] and apart[place] <= 1:
            there, far, kind = int(with_picture[places[place]]), float(apart[place]), "same picture"
        else:
            continue
        found.append(SeenImage(place, there, str(training.split[there]), kind, far))
    return found
