"""The form for an arthritis set like the paper's, which is private: six concepts, a body part and a label an image."""

from pathlib import Path

from ..sample import Sample
from .reading import Reading, flag, read_table, require_some, root_of, split_by_patient

TITLE = "arthritis (our form: the paper's set is private)"
CONCEPTS = (
    "inflammation",
    "bony change",
    "erosion",
    "joint space narrowing",
    "soft tissue swelling",
    "joint effusion",
)
TREE = f"""\
arthritis.csv    image_path, patient_id, body_part, label, {", ".join(CONCEPTS)}
<image_path>     PNG, JPEG, TIFF or DICOM; paths count from the table
label is 1 for arthritis; each concept is 1 where it shows; 0 or blank otherwise; a column split is optional"""
COUNTS = {"images (of the paper's)": 1191}
SPLIT_RULE = "the column split (train, validation, test) where there is one; else a tenth of the patients each, seed 0"
SPLIT_NAMES = ("train", "validation", "test")


def read(folder: Path) -> Reading:
    """Every image of the table that is there."""
    root = root_of(folder, ("arthritis.csv",), TITLE, TREE)
    table = root / "arthritis.csv"
    samples, missing = [], []
    for row in read_table(table, ("image_path", "patient_id", "body_part", "label", *CONCEPTS), "image_path"):
        name = row["image_path"]
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"{table}: {name!r} leads out of the folder")
        if not row["patient_id"]:
            raise ValueError(f"{table}: {name} has no patient_id, by which the splits are made")
        split = row.get("split") or split_by_patient(row["patient_id"])
        if split not in SPLIT_NAMES:
            raise ValueError(f"{table}: {name} is in split {split!r}; it is one of {', '.join(SPLIT_NAMES)}")
        if not (root / name).is_file():
            missing.append(name)
            continue
        found = [concept for concept in CONCEPTS if flag(row, concept, table)]
        samples.append(
            Sample(
                path=root / name,
                file_name=name,
                body_part=row["body_part"] or None,
                patient_id=row["patient_id"],
                split=split,
                findings=(*(["arthritis"] if flag(row, "label", table) else ["no arthritis"]), *found),
                row=row,
            )
        )
    require_some(samples, missing, root, TREE)
    return Reading(samples, missing, [])
