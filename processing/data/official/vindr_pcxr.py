"""VinDr-PCXR / PediCXR (PhysioNet vindr-pcxr 1.0.0): children's chests, 15 diagnoses, boxes of 36 findings."""

import json
from collections import defaultdict
from pathlib import Path

from ..sample import Box, Sample
from .reading import Reading, age_and_sex, flag, number, read_table, require_some, root_of, split_by_patient

TITLE = "VinDr-PCXR"
TREE = """\
train/<image_id>.dicom                  7,728 files
test/<image_id>.dicom                   1,397 files
image_labels_train.csv, image_labels_test.csv
annotations_train.csv, annotations_test.csv   boxes"""
COUNTS = {"images": 9125, "train + validation": 7728, "test": 1397}
SPLIT_RULE = "test is the official one; a tenth of the official training images, by a hash of image_id, is validation"
# The official spelling, misspellings included -> the finding's name here
LABELS = {
    "No finding": "no finding",
    "Bronchitis": "bronchitis",
    "Brocho-pneumonia": "bronchopneumonia",
    "Other disease": "other disease",
    "Bronchiolitis": "bronchiolitis",
    "Situs inversus": "situs inversus",
    "Pneumonia": "pneumonia",
    "Pleuro-pneumonia": "pleuropneumonia",
    "Diagphramatic hernia": "diaphragmatic hernia",
    "Tuberculosis": "tuberculosis",
    "Congenital emphysema": "congenital emphysema",
    "CPAM": "congenital pulmonary airway malformation",
    "Hyaline membrane disease": "hyaline membrane disease",
    "Mediastinal tumor": "mediastinal tumor",
    "Lung tumor": "lung tumor",
}
ALIASES = {
    "rad_ID": ("rad_id", "radiologist_id"),
    "Other disease": ("Other disease(s)", "Other diseases"),
    "Brocho-pneumonia": ("Broncho-pneumonia", "Bronchopneumonia"),
    "Diagphramatic hernia": ("Diaphragmatic hernia",),
    "Pleuro-pneumonia": ("Pleuropneumonia",),
}
SUFFIXES = (".dicom", ".dcm", ".png")


def read(folder: Path) -> Reading:
    """Every labelled image. There is no patient id: each image is taken to be a patient of its own."""
    root = root_of(folder, ("image_labels_*.csv",), TITLE, TREE)
    samples: list[Sample] = []
    missing: list[str] = []
    notes: list[str] = []
    for official in ("train", "test"):
        table = root / f"image_labels_{official}.csv"
        if not table.is_file():
            raise FileNotFoundError(f"{root} lacks {table.name}. {TITLE} looks like this:\n{TREE}")
        boxes = _boxes(root / f"annotations_{official}.csv", notes)
        for row in _labels(table):
            name = row["image_id"]
            path = next((p for p in (root / official / f"{name}{s}" for s in SUFFIXES) if p.is_file()), None)
            if path is None:
                missing.append(f"{official}/{name}.dicom")
                continue
            split = split_by_patient(name) if official == "train" else "test"
            age, sex = age_and_sex(path) if path.suffix != ".png" else (None, None)
            samples.append(
                Sample(
                    path=path,
                    file_name=path.relative_to(root).as_posix(),
                    body_part="chest",
                    patient_id=name,
                    split="validation" if official == "train" and split == "validation" else official,
                    findings=tuple(LABELS[label] for label in LABELS if flag(row, label, table)),
                    row=row,
                    age_months=age,
                    sex=sex,
                    boxes=tuple(boxes.get(name, ())),
                )
            )
    require_some(samples, missing, root, TREE)
    return Reading(samples, missing, notes)


def _labels(table: Path) -> list[dict[str, str]]:
    """One column a label, or one column `labels` that holds them all in the official order."""
    head = table.read_bytes()[:2000].decode("utf-8-sig", "replace").splitlines()[:1]
    if head and "labels" in [name.strip().lower() for name in head[0].split(",")]:
        rows = read_table(table, ("image_id", "labels"), "image_id", ALIASES)
        for row in rows:
            vector = json.loads(row["labels"]) if row["labels"].startswith("[") else row["labels"].split()
            if len(vector) != len(LABELS):
                raise ValueError(f"{table}: {row['image_id']} has {len(vector)} labels; there are {len(LABELS)}")
            row |= {name: str(value) for name, value in zip(LABELS, vector, strict=True)}
        return rows
    return read_table(table, ("image_id", *LABELS), "image_id", ALIASES)


def _boxes(table: Path, notes: list[str]) -> dict[str, list[Box]]:
    if not table.is_file():
        notes.append(f"{table.name} is not there: no boxes")
        return {}
    found = defaultdict(list)
    for row in read_table(table, ("image_id", "class_name", "x_min", "y_min", "x_max", "y_max"), None, ALIASES):
        edges = [number(row, name, table) for name in ("x_min", "y_min", "x_max", "y_max")]
        left, top, right, bottom = edges
        if left is not None and top is not None and right is not None and bottom is not None:
            found[row["image_id"]].append(Box(row["class_name"], left, top, right, bottom))
    return found
