"""CHD-CXR (Kaggle congenital-heart-disease, doi:10.3389/fcvm.2024.1351965): chests with three heart defects, or none.

Its layout is not public. This is what loaders assume: a folder a class, or a table.
"""

from pathlib import Path

from ..sample import Sample
from .reading import Reading, age_and_sex, read_table, require_some, root_of, split_by_patient

TITLE = "CHD-CXR"
TREE = """\
ASD/*, VSD/*, PDA/*, Normal/*     828 images in all
or labels.csv with image_path, label and sample_id"""
COUNTS = {"images": 828}
SPLIT_RULE = "none is known: by a hash of sample_id, or of the file name, a tenth each for validation and test, seed 0"
CLASSES = {
    "asd": "atrial septal defect",
    "vsd": "ventricular septal defect",
    "pda": "patent ductus arteriosus",
    "normal": "no finding",
}
SUFFIXES = (".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
ALIASES = {"image_path": ("path", "image", "file_name"), "sample_id": ("id", "patient_id")}


def read(folder: Path) -> Reading:
    """By the table where there is one, else by the folders."""
    root = root_of(folder, ("*.csv", "ASD", "asd"), TITLE, TREE)
    table = next(iter(sorted(root.glob("*.csv"))), None)
    notes = ["the publication calls all children diagnosed; what Normal holds is not documented"]
    if table is None:
        notes.append("no table: an image without a DICOM header has neither age nor sex")
        named = [
            (path.relative_to(root).as_posix(), path.parent.name, path.relative_to(root).as_posix())
            for path in sorted(root.glob("*/*"))
            if path.parent.name.lower() in CLASSES and path.suffix.lower() in SUFFIXES
        ]
    else:
        rows = read_table(table, ("image_path", "label"), "image_path", ALIASES)
        named = [(row["image_path"], row["label"], row.get("sample_id") or row["image_path"]) for row in rows]
    samples, missing = [], []
    for name, label, patient in named:
        if label.lower() not in CLASSES:
            raise ValueError(f"{table or root}: {name} has the label {label!r}; it is one of ASD, VSD, PDA, Normal")
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"{table}: {name!r} leads out of the folder")
        path = root / name
        if not path.is_file():
            missing.append(name)
            continue
        age, sex = age_and_sex(path) if path.suffix.lower() in (".dcm", ".dicom") else (None, None)
        samples.append(
            Sample(
                path=path,
                file_name=name,
                body_part="chest",
                patient_id=patient,
                split=split_by_patient(patient),
                findings=(CLASSES[label.lower()],),
                row={"image_path": name, "label": label, "sample_id": patient},
                age_months=age,
                sex=sex,
            )
        )
    require_some(samples, missing, root, TREE)
    return Reading(samples, missing, notes)
