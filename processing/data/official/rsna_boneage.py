"""RSNA Bone Age (2017): hands with bone age in months and sex. Kaggle's copy nests its folders twice."""

from pathlib import Path

from ..sample import Sample
from .reading import Reading, named_rows, number, read_table, require_some, root_of
from .workbook import read_sheet

TITLE = "RSNA Bone Age"
TREE = """\
boneage-training-dataset.csv                        id, boneage, male
boneage-training-dataset/<id>.png                   12,611 files, perhaps in a second folder of that name
Bone Age Validation Set/Validation Dataset.csv      Image ID, male, Bone Age (months)
Bone Age Validation Set/**/<id>.png                 1,425 files
Bone Age Test Set/Bone age ground truth.xlsx        Case ID, Sex, Ground truth bone age (months)
Bone Age Test Set/**/<id>.png                       200 files"""
COUNTS = {"images": 14236, "train": 12611, "validation": 1425, "test": 200}
SPLIT_RULE = "the official ones; there is no patient id, and each image is taken to be a patient of its own"
MALE = {"true": "male", "1": "male", "m": "male", "male": "male", "false": "female", "0": "female", "f": "female"}
COLUMNS = {
    "train": ("id", "boneage", "male"),
    "validation": ("Image ID", "Bone Age (months)", "male"),
    "test": ("Case ID", "Ground truth bone age (months)", "Sex"),
}
ALIASES = {"male": ("gender",), "boneage": ("bone_age", "bone age (months)"), "Image ID": ("id",), "Case ID": ("id",)}
TABLES = {
    "train": ("boneage-training-dataset.csv", "train.csv"),
    "validation": ("Validation Dataset.csv", "boneage-validation-dataset.csv"),
    "test": ("Bone age ground truth.xlsx", "Bone age ground truth.csv", "boneage-test-dataset.csv"),
}
FOLDERS = {
    "train": ("boneage-training-dataset",),
    "validation": ("Bone Age Validation Set", "boneage-validation-dataset*"),
    "test": ("Bone Age Test Set", "boneage-test-dataset"),
}


def read(folder: Path) -> Reading:
    """Every labelled hand of the splits that are there; the training table has to be."""
    root = root_of(folder, TABLES["train"], TITLE, TREE)
    samples: list[Sample] = []
    missing: list[str] = []
    notes: list[str] = []
    for split in COLUMNS:
        table = next((path for name in TABLES[split] for path in sorted(root.rglob(name)) if path.is_file()), None)
        if table is None:
            notes.append(f"no {TABLES[split][0]}: no {split} images")
            continue
        found, absent = _split(root, split, table)
        samples += found
        missing += absent
    require_some(samples, missing, root, TREE)
    return Reading(samples, missing, notes)


def _split(root: Path, split: str, table: Path) -> tuple[list[Sample], list[str]]:
    image, age, sex = COLUMNS[split]
    if table.suffix == ".xlsx":
        rows = named_rows(table, read_sheet(table), COLUMNS[split], image, ALIASES)
    else:
        rows = read_table(table, COLUMNS[split], image, ALIASES)
    places = [place for pattern in FOLDERS[split] for place in sorted(root.glob(pattern)) if place.is_dir()]
    files = {path.stem: path for place in places for path in sorted(place.rglob("*.png"))}
    samples, missing = [], []
    for row in rows:
        name = row[image].removesuffix(".0")
        path = files.get(name)
        if path is None:
            missing.append(f"{FOLDERS[split][0]}/{name}.png")
            continue
        if row[sex].lower() not in MALE:
            raise ValueError(f"{table}: {name} has {sex} {row[sex]!r}; it is True or False, M or F")
        months = number(row, age, table)
        if months is None or not 0 < months < 300:
            raise ValueError(f"{table}: {name} has a bone age of {row[age]!r}; it is in months, above 0 and below 300")
        samples.append(
            Sample(
                path=path,
                file_name=path.relative_to(root).as_posix(),
                body_part="hand",
                patient_id=f"{split}-{name}",
                split=split,
                row=row,
                sex=MALE[row[sex].lower()],
                bone_age_months=months,
            )
        )
    return samples, missing
