"""GRAZPEDWRI-DX (figshare 14825193): 16-bit wrists with boxes, and the bone masks published for some of them."""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from ..sample import Box, Mask, Sample
from .cvat import read_masks
from .reading import Reading, flag, number, read_table, require_some, root_of, sex_of, split_by_patient

TITLE = "GRAZPEDWRI-DX"
TREE = """\
images_part1/*.png ... images_part4/*.png      20,327 files of 16 bits (or all in one folder images/)
dataset.csv
folder_structure/yolov5/labels/*.txt           boxes, optional (or labels/)
train_data.csv, valid_data.csv, test_data.csv  the split in common use, optional (filestem)
cvat_annotation_xml/annotations_{train1,train2,val,test}.xml   bone masks, optional"""
COUNTS = {"images": 20327, "patients": 6091, "fracture": 13550, "cast": 5776, "osteopenia": 2473, "metal": 708}
SPLIT_RULE = "{train,valid,test}_data.csv where they lie; else a tenth of the patients each, by a hash, seed 0"
FLAGS = {  # column -> finding
    "fracture_visible": "fracture",
    "cast": "cast",
    "osteopenia": "osteopenia",
    "metal": "metal",
    "diagnosis_uncertain": "diagnosis uncertain",
}
NEEDED = ("filestem", "patient_id", "study_number", "gender", "age", "laterality", "projection", *FLAGS)
PROJECTIONS = {"1": "AP", "2": "lateral", "3": "oblique"}
BOX_LABELS = (
    "bone anomaly", "bone lesion", "foreign body", "fracture", "metal", "periosteal reaction", "pronator sign",
    "soft tissue", "text",
)  # fmt: skip
SPLIT_FILES = {"train": "train_data.csv", "validation": "valid_data.csv", "test": "test_data.csv"}
# The 17 of the public masks (label Knochen, attribute Anatomie); Sonstiges, other, is none
BONES = frozenset(
    [
        "Radius",
        "Ulna",
        *(
            f"Os {name}"
            for name in "scaphoideum lunatum triquetrum pisiforme trapezium trapezoideum capitatum hamatum".split()
        ),
        *(f"Ossa metacarpalia {numeral}" for numeral in ("I", "II", "III", "IV", "V")),
        "Epiphyse Radius",
        "Epiphyse Ulna",
    ]
)


def read(folder: Path) -> Reading:
    """Every image that dataset.csv names and that is there, with its boxes and masks."""
    root = root_of(folder, ("dataset.csv",), TITLE, TREE)
    rows, files = read_rows(root), _images(root)
    labels = next(
        (root / name for name in ("folder_structure/yolov5/labels", "labels") if (root / name).is_dir()), None
    )
    masks, notes = _masks(root)
    splits = _splits(root)
    if splits is None:
        notes.append("no train_data.csv, valid_data.csv, test_data.csv: split by patient")
    if labels is None:
        notes.append("no label files: no boxes")
    samples, missing = [], []
    for row in rows:
        stem = row["filestem"]
        path = files.get(stem)
        if path is None:
            missing.append(f"{stem}.png")
            continue
        if splits is not None and stem not in splits:
            notes.append(f"{stem} is in none of the split files: left out")
            continue
        age = number(row, "age", root / "dataset.csv")
        samples.append(
            Sample(
                path=path,
                file_name=path.relative_to(root).as_posix(),
                body_part="wrist",
                patient_id=row["patient_id"],
                split=splits[stem] if splits is not None else split_by_patient(row["patient_id"]),
                findings=findings_of(row, root / "dataset.csv"),
                row={**row, "view": PROJECTIONS.get(row["projection"])},
                age_months=None if age is None else round(age * 12, 1),
                sex=sex_of(row["gender"]),
                boxes=_boxes(labels / f"{stem}.txt", path) if labels is not None else (),
                masks=masks.get(f"{stem}.png", ()),
            )
        )
    strangers = sorted(set(masks) - {f"{row['filestem']}.png" for row in rows})
    if strangers:
        notes.append(f"{len(strangers)} images with masks are not in dataset.csv: {', '.join(strangers[:4])}")
    require_some(samples, missing, root, TREE)
    return Reading(samples, missing, notes)


def read_rows(root: Path) -> list[dict[str, str]]:
    """dataset.csv, saved with a byte order mark; its flags are 1 or blank."""
    return read_table(root / "dataset.csv", NEEDED, "filestem")


def findings_of(row: Mapping[str, str], table: Path) -> tuple[str, ...]:
    found = tuple(name for column, name in FLAGS.items() if flag(row, column, table))
    return found if "fracture" in found else (*found, "no fracture")


def _images(root: Path) -> dict[str, Path]:
    folders = sorted(root.glob("images_part*")) or [root / "images"]
    return {path.stem: path for folder in folders for path in sorted(folder.rglob("*.png"))}


def _splits(root: Path) -> dict[str, str] | None:
    tables = {split: next(iter(sorted(root.rglob(name))), None) for split, name in SPLIT_FILES.items()}
    if any(table is None for table in tables.values()):
        return None
    found: dict[str, str] = {}
    for split, table in tables.items():
        for row in read_table(Path(str(table)), ("filestem",), "filestem"):
            if row["filestem"] in found:
                raise ValueError(f"{table}: {row['filestem']} is in {found[row['filestem']]} too; keep one")
            found[row["filestem"]] = split
    return found


def _boxes(file: Path, image: Path) -> tuple[Box, ...]:
    """YOLO's lines: class, then centre, width and height as shares of the image."""
    if not file.is_file():
        return ()
    with Image.open(image) as opened:  # reads the header alone
        width, height = opened.size
    found = []
    for place, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            kind, *numbers = line.split()
            x, y, across, down = map(float, numbers)
            label = BOX_LABELS[int(kind)]
        except (ValueError, IndexError) as error:
            raise ValueError(f"{file} line {place} is {line!r}; it is a class 0 to 8 and four shares") from error
        left, top = (x - across / 2) * width, (y - down / 2) * height
        found.append(Box(label, left, top, left + across * width, top + down * height))
    return tuple(found)


def _masks(root: Path) -> tuple[dict[str, tuple[Mask, ...]], list[str]]:
    found: dict[str, tuple[Mask, ...]] = {}
    files = sorted(root.glob("cvat_annotation_xml/annotations_*.xml")) or sorted(root.glob("annotations_*.xml"))
    for file in files:
        found |= read_masks(file, "Anatomie", BONES)
    return found, [] if files else ["no annotations_*.xml: no bone masks"]
