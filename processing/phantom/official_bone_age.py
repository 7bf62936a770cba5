"""Phantom hands in the layout of RSNA Bone Age, whose test labels are an Excel workbook."""

from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from .official_tree import drawn, save_8_bit, write_table
from .render import render
from .study import Clinic

TRAIN_COLUMNS = ("id", "boneage", "male")
VALIDATION_COLUMNS = ("Image ID", "male", "Bone Age (months)")
TEST_COLUMNS = ("Case ID", "Sex", "Ground truth bone age (months)")
TRAIN_IMAGES = "boneage-training-dataset/boneage-training-dataset"  # nested twice, as Kaggle's copy unpacks
VALIDATION = "Bone Age Validation Set"
TEST = "Bone Age Test Set"
SPLITS = ("train", "validation", "test", "train", "train", "train")  # patients take turns
FIRST_ID = 1377
HEALTHY_HAND = Clinic(parts={"hand": 1.0}, exams=(1.0,), findings=(1.0,), second_study=0.0)


def write_rsna_bone_age(new: Path, patients: int, seed: int, side: int, clinic: Clinic = HEALTHY_HAND) -> int:
    """Left hands. Bone age is the phantom's own: what its growth plates show."""
    rows: dict[str, list[list]] = {split: [] for split in SPLITS}
    row: list
    for folder in (TRAIN_IMAGES, *(f"{VALIDATION}/boneage-validation-dataset-{half}" for half in (1, 2))):
        (new / folder).mkdir(parents=True)
    (new / TEST / "Test Set Images").mkdir(parents=True)
    for number, study in drawn(patients, seed, clinic):
        study = replace(study, exams=(replace(study.exams[0], laterality="left"),))
        film = render(study, 0, study.exams[0].views[0], side=side)
        split, image_id = SPLITS[number % len(SPLITS)], FIRST_ID + number
        months, male = study.patient.bone_age_months, study.patient.sex == "male"
        whole = max(round(months), 1)
        if split == "train":
            folder, row = TRAIN_IMAGES, [image_id, whole, male]
        elif split == "validation":
            half = 1 + len(rows[split]) % 2
            folder = f"{VALIDATION}/boneage-validation-dataset-{half}"
            row = [image_id, str(male).upper(), whole]
        else:
            folder, row = f"{TEST}/Test Set Images", [image_id, "M" if male else "F", round(months, 4)]
        rows[split].append(row)
        save_8_bit(film, new / folder / f"{image_id}.png")
    write_table(new / "boneage-training-dataset.csv", TRAIN_COLUMNS, rows["train"])
    write_table(new / VALIDATION / "Validation Dataset.csv", VALIDATION_COLUMNS, rows["validation"])
    write_workbook(new / TEST / "Bone age ground truth.xlsx", [list(TEST_COLUMNS), *rows["test"]])
    return patients


_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_WORKBOOK = {
    "[Content_Types].xml": (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPES}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPES}.worksheet+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{_SHEET}" xmlns:r="{_RELATIONS}">'
        '<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'
    ),
}


def write_workbook(path: Path, rows: list[list]) -> None:
    """The smallest .xlsx that Excel opens: one sheet of numbers and texts. No dependency, and no date inside."""
    lines = []
    for number, row in enumerate(rows, start=1):
        cells = "".join(_cell(f"{chr(ord('A') + column)}{number}", value) for column, value in enumerate(row))
        lines.append(f'<row r="{number}">{cells}</row>')
    sheet = f'<worksheet xmlns="{_SHEET}"><sheetData>{"".join(lines)}</sheetData></worksheet>'
    with ZipFile(path, "w", ZIP_DEFLATED) as book:
        for name, text in {**_WORKBOOK, "xl/worksheets/sheet1.xml": sheet}.items():
            book.writestr(ZipInfo(name), _HEAD + text, ZIP_DEFLATED)  # ZipInfo's own date is 1980-01-01


def _cell(place: str, value: str | float) -> str:
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f'<c r="{place}"><v>{value}</v></c>'
