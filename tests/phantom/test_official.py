"""Trees in the official layouts: folders, files and columns as the data sets have them, labels that fit the films."""

import csv
import re
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from pedclip.processing.phantom.official import OFFICIAL, write_official
from pedclip.processing.phantom.official_bone_age import TEST_COLUMNS, TRAIN_COLUMNS, VALIDATION_COLUMNS
from pedclip.processing.phantom.official_chest import VINDR_CLASS_OF, VINDR_CLASSES, VINDR_LABELS
from pedclip.processing.phantom.official_wrist import ANATOMY, wrist_films
from pedclip.processing.phantom.records import ARTHRITIS_CONCEPTS, CHEST_FINDINGS

PATIENTS, SEED, SIDE = 8, 5, 64
LABELS = Path(__file__).parents[3] / "shared" / "data" / "labels"
NEED_PYDICOM = ("vindr-pcxr", "chd-cxr")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Writes a tree at its first use."""
    root, written = tmp_path_factory.mktemp("official"), {}

    def of(name):
        need(name)
        if name not in written:
            written[name] = write_official(name, root / name, patients=PATIENTS, seed=SEED, side=SIDE)
        return root / name

    return of


def need(name):
    if name in NEED_PYDICOM:
        pytest.importorskip("pydicom", reason="pydicom is missing: pip install 'pedclip[dicom]'")


def rows_of(path, encoding="utf-8"):
    with open(path, encoding=encoding, newline="") as file:
        return list(csv.DictReader(file))


def columns_of(path, encoding="utf-8"):
    with open(path, encoding=encoding, newline="") as file:
        return tuple(next(csv.reader(file)))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- all of them


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_same_seed_writes_the_same_bytes_and_a_readme_says_what_they_are(name, tmp_path):
    need(name)
    images = write_official(name, tmp_path / "one", patients=2, seed=SEED, side=SIDE)
    write_official(name, tmp_path / "two", patients=2, seed=SEED, side=SIDE)
    write_official(name, tmp_path / "other", patients=2, seed=SEED + 1, side=SIDE)

    written = contents(tmp_path / "one")
    assert written == contents(tmp_path / "two") != contents(tmp_path / "other")
    assert images == sum(path.suffix in (".png", ".dcm", ".dicom") for path in written)
    assert "no patient is shown" in (tmp_path / "one" / "README.txt").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other", "two"]


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds something already"):
        write_official("arthritis", tmp_path, patients=1, seed=0, side=SIDE)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "mura"}, "choose one of vindr-pcxr"),
        ({"patients": 0}, "at least one"),
        ({"side": 8}, "pixels a side"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is(tmp_path, settings, said):
    asked = {"name": "arthritis", "patients": 1, "seed": 0, "side": SIDE} | settings
    with pytest.raises(ValueError, match=said):
        write_official(asked.pop("name"), tmp_path / "out", **asked)
    assert not list(tmp_path.iterdir())


# ---- VinDr-PCXR


def test_vindr_labels_and_boxes_belong_to_the_films(tree):
    root = tree("vindr-pcxr")
    pydicom = pytest.importorskip("pydicom")
    boxed = set()
    for split in ("train", "test"):
        labels, boxes = rows_of(root / f"image_labels_{split}.csv"), rows_of(root / f"annotations_{split}.csv")
        films = {path.stem for path in (root / split).glob("*.dicom")}
        assert {row["image_id"] for row in labels} == {row["image_id"] for row in boxes} == films
        assert all(re.fullmatch(r"[0-9a-f]{32}", film) for film in films)
        healthy = {row["image_id"] for row in labels if row["No finding"] == "1"}
        assert healthy == {row["image_id"] for row in boxes if row["class_name"] == "No finding"}
        assert all(sum(int(row[name]) for name in VINDR_LABELS) == 1 for row in labels)
        for row in boxes:
            if row["class_name"] != "No finding":
                boxed.add(row["class_name"])
                left, top, right, bottom = (int(row[name]) for name in ("x_min", "y_min", "x_max", "y_max"))
                assert 0 <= left < right <= SIDE
                assert 0 <= top < bottom <= SIDE
        for film in films:
            one = pydicom.dcmread(root / split / f"{film}.dicom")
            assert not one.PatientID
            assert re.fullmatch(r"\d{3}[DMY]", one.PatientAge)
            assert one.pixel_array.shape == (SIDE, SIDE)
    assert boxed
    assert boxed <= set(VINDR_CLASSES)


def test_vindr_columns_are_spelled_as_they_are_there(tree):
    root = tree("vindr-pcxr")
    first = ("image_id", "rad_ID", "No finding", "Bronchitis", "Brocho-pneumonia", "Other disease", "Bronchiolitis")
    last = ("Diagphramatic hernia", "Tuberculosis", "Congenital emphysema", "CPAM", "Hyaline membrane disease")
    found = columns_of(root / "image_labels_train.csv")
    assert (found[:7], found[10:15], len(found)) == (first, last, 17)
    assert columns_of(root / "annotations_test.csv") == (
        "image_id", "rad_ID", "class_name", "x_min", "y_min", "x_max", "y_max",
    )  # fmt: skip


def test_every_chest_finding_stands_under_a_name_that_vindr_has():
    assert set(VINDR_CLASS_OF) == set(CHEST_FINDINGS)
    assert set(VINDR_CLASS_OF.values()) <= set(VINDR_CLASSES)
    assert len(VINDR_CLASSES) == len(set(VINDR_CLASSES)) == 37


# ---- CHD-CXR


def test_chd_folders_are_the_classes(tree):
    root = tree("chd-cxr")
    rows = rows_of(root / "labels.csv")
    assert sorted(row["image_path"] for row in rows) == sorted(
        path.relative_to(root).as_posix() for path in root.glob("*/*.dcm")
    )
    assert all(row["image_path"].startswith(row["label"] + "/") for row in rows)
    assert {row["label"] for row in rows} == {"ASD", "VSD", "PDA", "Normal"}
    assert len({row["sample_id"] for row in rows}) == len(rows)


# ---- GRAZPEDWRI-DX


def check_graz_rows(rows):
    """What holds for every row of the real table and for the phantom's."""
    for row in rows:
        stem = re.fullmatch(r"(\d{4})_(\d{10})_(\d{2})_WRI-([LR])([123])_([MFO])(\d{3})", row["filestem"])
        assert stem, row["filestem"]
        patient, time, study, side, projection, sex, years = stem.groups()
        assert [int(patient), int(time), int(study)] == [
            int(row[name]) for name in ("patient_id", "timehash", "study_number")
        ]
        assert (side, projection, sex) == (row["laterality"], row["projection"], row["gender"])
        assert int(years) == int(float(row["age"]))
        flags = ("initial_exam", "cast", "diagnosis_uncertain", "osteopenia", "fracture_visible", "metal")
        assert all(row[flag] in ("1", "") for flag in flags)


def test_graz_rows_look_like_the_real_ones(tree):
    real = LABELS / "grazpedwri_dataset.csv"
    if not real.is_file():
        pytest.skip(f"{real} is absent: the real label table is not part of the project")
    ours = tree("grazpedwri-dx") / "dataset.csv"
    assert columns_of(ours, "utf-8-sig") == columns_of(real, "utf-8-sig")
    assert ours.read_bytes()[:3] == real.read_bytes()[:3] == b"\xef\xbb\xbf"
    known = rows_of(real, "utf-8-sig")
    check_graz_rows(known[::40])
    single_codes = {code for row in known for code in row["ao_classification"].split("; ")}
    assert {row["ao_classification"] for row in rows_of(ours, "utf-8-sig")} <= single_codes


def test_graz_films_are_16_bit_and_each_has_its_row_and_its_boxes(tree):
    root = tree("grazpedwri-dx")
    rows = rows_of(root / "dataset.csv", "utf-8-sig")
    check_graz_rows(rows)
    films = {path.stem: path for path in root.glob("images_part[1-4]/*.png")}
    labels = root / "folder_structure" / "yolov5" / "labels"
    assert films.keys() == {row["filestem"] for row in rows} == {path.stem for path in labels.iterdir()}
    boxed = set()
    for row in rows:
        with Image.open(films[row["filestem"]]) as film:
            pixels = np.asarray(film)
        assert (pixels.dtype, pixels.shape) == (np.uint16, (SIDE, SIDE))
        assert pixels.max() > 4095 * 8
        for line in (labels / f"{row['filestem']}.txt").read_text().splitlines():
            number, x, y, width, height = map(float, line.split())
            assert min(x - width / 2, y - height / 2) > -1e-6
            assert max(x + width / 2, y + height / 2) < 1 + 1e-6
            assert number in range(9)
            if number == 3:
                boxed.add(row["filestem"])
    assert boxed
    assert boxed <= {row["filestem"] for row in rows if row["fracture_visible"] == "1"}


def test_graz_bone_masks_give_the_phantoms_own_back(tree):
    root = tree("grazpedwri-dx") / "cvat_annotation_xml"
    images = {}
    for name in ("train1", "train2", "val", "test"):
        file = ElementTree.parse(root / f"annotations_{name}.xml").getroot()
        images |= {image.get("name"): image for image in file.iter("image")}
    kinds = set()
    for one in wrist_films(PATIENTS, SEED, SIDE):
        shapes = {shape.find("attribute").text: shape for shape in images[f"{one.stem}.png"]}
        seen = {ANATOMY[bone]: mask for bone, mask in one.film.bones.items() if mask.any()}
        assert shapes.keys() == seen.keys()
        for name, shape in shapes.items():
            kinds.add(shape.tag)
            assert (shape.get("label"), shape.find("attribute").get("name")) == ("Knochen", "Anatomie")
            np.testing.assert_array_equal(decoded(shape), seen[name])
    assert kinds == {"polygon", "mask"}


def decoded(shape):
    """A CVAT shape as a mask (S, S), the slow way."""
    mask = np.zeros((SIDE, SIDE), bool)
    if shape.tag == "mask":
        left, top, width, height = (int(shape.get(name)) for name in ("left", "top", "width", "height"))
        pixels = []
        for number, run in enumerate(map(int, shape.get("rle").split(","))):
            pixels += [number % 2 == 1] * run
        mask[top : top + height, left : left + width] = np.array(pixels).reshape(height, width)
        return mask
    points = [tuple(map(float, point.split(","))) for point in shape.get("points").split(";")]
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        for row in range(SIDE):  # an edge that lies right of a pixel's middle turns its outside to inside, and back
            if min(y0, y1) <= row + 0.5 < max(y0, y1):
                crossing = x0 + (x1 - x0) * (row + 0.5 - y0) / (y1 - y0)
                mask[row] ^= np.arange(SIDE) + 0.5 < crossing
    return mask


# ---- RSNA Bone Age


def test_bone_age_has_three_splits_each_in_its_own_form(tree):
    root = tree("rsna-boneage")
    train = rows_of(root / "boneage-training-dataset.csv")
    validation = rows_of(root / "Bone Age Validation Set" / "Validation Dataset.csv")
    test = sheet(root / "Bone Age Test Set" / "Bone age ground truth.xlsx")
    assert (tuple(train[0]), tuple(validation[0]), test[0]) == (TRAIN_COLUMNS, VALIDATION_COLUMNS, list(TEST_COLUMNS))
    assert {row["male"] for row in train} <= {"True", "False"}
    assert {row["male"] for row in validation} <= {"TRUE", "FALSE"}
    assert all(0 < int(row["boneage"]) <= 228 for row in train)
    found = {
        "boneage-training-dataset/boneage-training-dataset": [row["id"] for row in train],
        "Bone Age Validation Set/boneage-validation-dataset-[12]": [row["Image ID"] for row in validation],
        "Bone Age Test Set/Test Set Images": [row[0] for row in test[1:]],
    }
    for folder, ids in found.items():
        assert sorted(path.stem for path in root.glob(f"{folder}/*.png")) == sorted(ids)
    assert sum(map(len, found.values())) == PATIENTS


def sheet(path):
    """The cells of a workbook's one sheet, as texts."""
    with ZipFile(path) as book:
        root = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    return [["".join(cell.itertext()) for cell in row] for row in root[0]]


def test_excel_libraries_open_the_workbook(tree):
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is missing; it is only the judge of our workbook")
    path = tree("rsna-boneage") / "Bone Age Test Set" / "Bone age ground truth.xlsx"
    read = [list(row) for row in openpyxl.load_workbook(path).active.values]
    assert [[str(value) for value in row] for row in read] == sheet(path)
    assert isinstance(read[1][2], float)


# ---- Arthritis


def test_arthritis_is_any_of_the_six_concepts(tree):
    root = tree("arthritis")
    rows = rows_of(root / "arthritis.csv")
    assert tuple(rows[0])[4:] == ARTHRITIS_CONCEPTS
    assert sorted(row["image_path"] for row in rows) == sorted(
        path.relative_to(root).as_posix() for path in root.glob("images/*.png")
    )
    for row in rows:
        assert row["label"] == str(int(any(row[name] == "1" for name in ARTHRITIS_CONCEPTS)))
    assert {row["label"] for row in rows} == {"0", "1"}


def test_findings_are_as_plain_as_asked(tmp_path):
    written = {}
    for name, severity in (("faint", (0.1, 0.2)), ("plain", (0.9, 1.0)), ("own", None)):
        write_official("grazpedwri-dx", tmp_path / name, patients=30, seed=SEED, side=SIDE, severity=severity)
        table = (tmp_path / name / "dataset.csv").read_text(encoding="utf-8-sig").splitlines()
        places = {column: place for place, column in enumerate(table[0].split(","))}
        rows = [line.split(",") for line in table[1:]]
        fractured = [row for row in rows if row[places["fracture_visible"]]]
        written[name] = {row[places["diagnosis_uncertain"]] for row in fractured}
        assert fractured
    assert written["faint"] == {"1"}  # a reader may doubt every one
    assert written["plain"] == {""}
    assert written["own"] == {"", "1"}
