"""The five official data sets: exact trees are read whole, damaged ones say what is wrong and what to do."""

import csv
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pedclip.cli import main
from pedclip.processing.data.official.chd_cxr import CLASSES
from pedclip.processing.data.official.cvat import draw_polygon, draw_runs, parse_xml
from pedclip.processing.data.official.grazpedwri_dx import BONES, COUNTS, findings_of, read_rows
from pedclip.processing.data.official.readers import OFFICIAL_READERS, official_reader
from pedclip.processing.data.official.reading import split_hash
from pedclip.processing.data.official.terms import all_terms, ancestors, shared_lineage, terms_of
from pedclip.processing.data.official.vindr_pcxr import LABELS
from pedclip.processing.phantom.official import write_official
from pedclip.processing.phantom.official_bone_age import HEALTHY_HAND
from pedclip.processing.phantom.official_chest import VINDR_LABELS
from pedclip.processing.phantom.official_tree import drawn
from pedclip.processing.phantom.official_wrist import CLINIC, wrist_films
from pedclip.processing.reading_pedclip import read_radiograph

PATIENTS, SEED, SIDE = 12, 3, 64


@pytest.fixture(scope="module")
def trees(tmp_path_factory) -> Path:
    """Every data set in its exact layout, made from the phantom."""
    folder = tmp_path_factory.mktemp("official")
    for name in OFFICIAL_READERS:
        write_official(name, folder / name, patients=PATIENTS, seed=SEED, side=SIDE)
    return folder


@pytest.fixture
def tree(trees, tmp_path):
    """A copy of one of them, to be damaged."""

    def copied(name: str) -> Path:
        shutil.copytree(trees / name, tmp_path / name)
        return tmp_path / name

    return copied


def rewrite(table: Path, change) -> None:
    """Changes a CSV table row by row; `change` gives the new rows, the first of them the columns."""
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(change(rows))


@pytest.mark.parametrize("name", list(OFFICIAL_READERS))
def test_an_exact_tree_is_read_whole(name, trees):
    reading = OFFICIAL_READERS[name].read(trees / name)
    images = [
        path for path in (trees / name).rglob("*") if path.suffix in (".png", ".dcm", ".dicom") and path.is_file()
    ]
    assert sorted(sample.path for sample in reading.samples) == sorted(images) and reading.missing == []
    assert len({sample.file_name for sample in reading.samples}) == len(images)
    for sample in reading.samples:
        assert sample.split in ("train", "validation", "test")
        assert sample.sex in ("female", "male", None) and (sample.age_months is None or 0 <= sample.age_months < 217)
    assert read_radiograph(reading.samples[0].path).pixels.shape[0] == SIDE
    patients = {}
    for sample in reading.samples:
        patients.setdefault(sample.patient_id, set()).add(sample.split)
    assert all(len(splits) == 1 for splits in patients.values())
    again = OFFICIAL_READERS[name].read(trees / name)
    assert split_hash(again.samples) == split_hash(reading.samples)
    assert split_hash(again.samples[1:]) != split_hash(reading.samples)


def test_wrists_have_the_phantoms_boxes_masks_ages_and_flags(trees):
    samples = {
        sample.path.stem: sample for sample in OFFICIAL_READERS["grazpedwri-dx"].read(trees / "grazpedwri-dx").samples
    }
    for film in wrist_films(PATIENTS, SEED, SIDE):
        sample, exam = samples[film.stem], film.study.exams[0]
        found = {finding.name for finding in exam.findings}
        assert ("fracture" in sample.findings) == ("fracture" in found)
        assert ("osteopenia" in sample.findings) == ("inflammation" in found)
        assert sample.age_months == pytest.approx(film.study.patient.age_months, abs=0.7)
        assert sample.sex == film.study.patient.sex and sample.patient_id == str(film.patient)
        fractures = [box for box in sample.boxes if box.label == "fracture"]
        mark = film.film.marks.get("fracture")
        assert bool(fractures) == (mark is not None and bool(mark.any()))
        for box in fractures:
            rows, columns = np.nonzero(mark)
            edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert (box.left, box.top, box.right, box.bottom) == pytest.approx(edges, abs=0.01)
        masks = {mask.label: mask for mask in sample.masks}
        assert set(masks) <= BONES and {"Radius", "Ulna"} <= set(masks)
        np.testing.assert_array_equal(masks["Radius"].draw(), film.film.bones["radius"])


def test_hands_have_the_phantoms_bone_age(trees):
    samples = OFFICIAL_READERS["rsna-boneage"].read(trees / "rsna-boneage").samples
    given = sorted(max(round(study.patient.bone_age_months), 1) for _, study in drawn(PATIENTS, SEED, HEALTHY_HAND))
    assert sorted(round(sample.bone_age_months) for sample in samples) == given
    assert Counter(sample.split for sample in samples) == {"train": 8, "validation": 2, "test": 2}
    sexes = Counter(study.patient.sex for _, study in drawn(PATIENTS, SEED, HEALTHY_HAND))
    assert Counter(sample.sex for sample in samples) == sexes


def test_chests_have_their_diagnoses_boxes_ages_and_defects(trees):
    assert list(LABELS) == list(VINDR_LABELS)
    root = trees / "vindr-pcxr"
    samples = OFFICIAL_READERS["vindr-pcxr"].read(root).samples
    for split in ("train", "test"):
        with (root / f"image_labels_{split}.csv").open() as file:
            rows = {row["image_id"]: row for row in csv.DictReader(file)}
        for sample in (one for one in samples if one.path.parent.name == split):
            row = rows[sample.patient_id]
            assert sample.findings == tuple(LABELS[name] for name in LABELS if row[name] == "1")
            assert sample.split in (("train", "validation") if split == "train" else ("test",))
            assert sample.age_months is not None and sample.sex is not None
    boxes = [box for sample in samples for box in sample.boxes]
    assert boxes and all(0 <= box.left < box.right <= SIDE and 0 <= box.top < box.bottom <= SIDE for box in boxes)
    hearts = OFFICIAL_READERS["chd-cxr"].read(trees / "chd-cxr").samples
    assert all(sample.findings == (CLASSES[sample.path.parent.name.lower()],) for sample in hearts)


def test_a_nested_folder_another_spelling_and_folders_alone_are_read_too(tree, tmp_path):
    chests = tree("vindr-pcxr")

    def other_names(rows):
        names = {"rad_ID": "rad_id", "Other disease": "Other disease(s)", "Brocho-pneumonia": "Broncho-pneumonia"}
        return [[names.get(cell, cell) for cell in rows[0]], *rows[1:]]

    def vector(rows):
        return [
            ["image_id", "rad_id", "labels"],
            *([row[0], row[1], json.dumps([int(c) for c in row[2:]])] for row in rows[1:]),
        ]

    expected = OFFICIAL_READERS["vindr-pcxr"].read(chests).samples
    rewrite(chests / "image_labels_train.csv", other_names)
    rewrite(chests / "image_labels_test.csv", vector)
    nested = tmp_path / "outer"
    (nested / "inner").mkdir(parents=True)
    shutil.move(chests, nested / "inner" / "vindr-pcxr-1.0.0")
    found = OFFICIAL_READERS["vindr-pcxr"].read(nested).samples
    assert [(one.file_name, one.findings) for one in found] == [(one.file_name, one.findings) for one in expected]
    hearts = tree("chd-cxr")
    by_table = {one.file_name: one.findings for one in OFFICIAL_READERS["chd-cxr"].read(hearts).samples}
    (hearts / "labels.csv").unlink()
    assert {one.file_name: one.findings for one in OFFICIAL_READERS["chd-cxr"].read(hearts).samples} == by_table


def test_the_split_in_common_use_goes_before_the_rule(tree):
    root = tree("grazpedwri-dx")
    stems = [row["filestem"] for row in read_rows(root)]
    parts = {"train_data.csv": stems[:-4], "valid_data.csv": stems[-4:-2], "test_data.csv": stems[-2:]}
    for name, of_split in parts.items():
        (root / name).write_text("filestem\n" + "".join(f"{stem}\n" for stem in of_split))
    splits = {one.path.stem: one.split for one in OFFICIAL_READERS["grazpedwri-dx"].read(root).samples}
    assert Counter(splits.values()) == {"train": len(stems) - 4, "validation": 2, "test": 2}
    (root / "test_data.csv").write_text(f"filestem\n{stems[0]}\n")
    with pytest.raises(ValueError, match=f"{stems[0]} is in train too; keep one"):
        OFFICIAL_READERS["grazpedwri-dx"].read(root)


TABLES = {
    "vindr-pcxr": ("image_labels_train.csv", "Pneumonia"),
    "chd-cxr": ("labels.csv", "label"),
    "grazpedwri-dx": ("dataset.csv", "fracture_visible"),
    "rsna-boneage": ("boneage-training-dataset.csv", "boneage"),
    "arthritis": ("arthritis.csv", "erosion"),
}


@pytest.mark.parametrize("name", list(TABLES))
def test_damaged_tables_say_what_is_wrong(name, tree):
    root, (table, column) = tree(name), TABLES[name]
    path, reader = root / table, OFFICIAL_READERS[name]
    whole = path.read_bytes()

    def without_column(rows):
        place = rows[0].index(column)
        return [row[:place] + row[place + 1 :] for row in rows]

    rewrite(path, without_column)
    with pytest.raises(ValueError, match=rf"{re.escape(table)} lacks the column\(s\) '{column}'; it has "):
        reader.read(root)
    path.write_bytes(whole)
    rewrite(path, lambda rows: [*rows, rows[1]])
    with pytest.raises(ValueError, match=rf"{re.escape(table)}.* stands in more than one row \(1 such\); keep one"):
        reader.read(root)
    for encoding in ("utf-16", "latin-1"):
        path.write_bytes((whole.decode("utf-8-sig") + "\nMüller\n").encode(encoding))
        with pytest.raises(ValueError, match=rf"{re.escape(table)} is not in UTF-8"):
            reader.read(root)
    path.write_bytes(whole.splitlines()[0])
    with pytest.raises(ValueError, match=rf"{re.escape(table)} has no rows"):
        reader.read(root)


@pytest.mark.parametrize("name", list(TABLES))
def test_absent_images_are_listed_and_an_empty_tree_shows_what_is_expected(name, tree, tmp_path):
    root, reader = tree(name), OFFICIAL_READERS[name]
    whole = reader.read(root)
    gone = whole.samples[0].path
    gone.unlink()
    fewer = reader.read(root)
    assert len(fewer.samples) == len(whole.samples) - 1 and len(fewer.missing) == 1
    assert gone.stem in fewer.missing[0]
    for sample in fewer.samples:
        sample.path.unlink()
    with pytest.raises(FileNotFoundError, match=r"none of the \d+ images is there") as error:
        reader.read(root)
    assert reader.tree in str(error.value)
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError) as error:
            reader.read(folder)
        assert reader.tree in str(error.value) and str(folder) in str(error.value)


def test_wrong_cells_name_the_cell_and_the_rule(tree):
    cases = (
        ("grazpedwri-dx", "dataset.csv", "fracture_visible", "maybe", "it is 1, 0 or blank"),
        ("grazpedwri-dx", "dataset.csv", "age", "seven", "which is no number"),
        ("rsna-boneage", "boneage-training-dataset.csv", "boneage", "900", "above 0 and below 300"),
        ("rsna-boneage", "boneage-training-dataset.csv", "male", "perhaps", "it is True or False, M or F"),
        ("chd-cxr", "labels.csv", "label", "TOF", "it is one of ASD, VSD, PDA, Normal"),
        ("chd-cxr", "labels.csv", "image_path", "../secret.dcm", "leads out of the folder"),
        ("arthritis", "arthritis.csv", "patient_id", "", "has no patient_id"),
        ("arthritis", "arthritis.csv", "image_path", "/etc/passwd", "leads out of the folder"),
    )
    made: dict[str, Path] = {}
    for name, table, column, value, message in cases:
        root = made.setdefault(name, None) or tree(name)
        made[name] = root
        before = (root / table).read_bytes()

        def changed(rows, column=column, value=value):
            rows[1][rows[0].index(column)] = value
            return rows

        rewrite(root / table, changed)
        with pytest.raises(ValueError, match=message):
            OFFICIAL_READERS[name].read(root)
        (root / table).write_bytes(before)


def test_the_real_label_table_has_the_published_counts(shared_data):
    table = shared_data / "labels" / "grazpedwri_dataset.csv"
    if not table.is_file():
        pytest.skip("the real label table (../shared/data/labels) is not here")
    folder = table.parent
    from pedclip.processing.data.official.grazpedwri_dx import NEEDED
    from pedclip.processing.data.official.reading import read_table

    rows = read_table(table, NEEDED, "filestem")
    found = Counter(name for row in rows for name in findings_of(row, folder))
    assert len(rows) == COUNTS["images"] and len({row["patient_id"] for row in rows}) == COUNTS["patients"]
    assert {name: found[name] for name in ("fracture", "cast", "osteopenia", "metal")} == {
        name: COUNTS[name] for name in ("fracture", "cast", "osteopenia", "metal")
    }
    assert Counter(row["projection"] for row in rows) == {"1": 10086, "2": 10148, "3": 93}


def test_polygons_are_filled_by_the_even_odd_rule_at_pixel_centres():
    random = np.random.default_rng(0)
    for _ in range(20):
        points = random.uniform(-3, 23, (int(random.integers(3, 9)), 2))
        slow = np.zeros((20, 18), bool)
        for row in range(20):
            for column in range(18):
                x, y, inside = column + 0.5, row + 0.5, False
                for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
                    if (y1 <= y) != (y2 <= y) and x >= x1 + (y - y1) / (y2 - y1) * (x2 - x1):
                        inside = not inside
                slow[row, column] = inside
        np.testing.assert_array_equal(draw_polygon(points, 20, 18), slow)


def test_run_lengths_start_with_background_and_must_fill_their_box():
    drawn_runs = draw_runs([2, 3, 1], (1, 2, 3, 2), 6, 5)
    expected = np.zeros((6, 5), bool)
    expected[2, 3] = expected[3, 1] = expected[3, 2] = True
    np.testing.assert_array_equal(drawn_runs, expected)
    with pytest.raises(ValueError, match="a mask of 3 x 2 pixels has run lengths for 5"):
        draw_runs([2, 3], (0, 0, 3, 2), 6, 5)


def test_xml_with_entities_is_refused():
    bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbb">]><a>&b;</a>'
    with pytest.raises(ValueError, match="declares a document type or entities"):
        parse_xml(bomb, "masks.xml")
    with pytest.raises(ValueError, match=r"masks.xml is not XML"):
        parse_xml(b"<a>", "masks.xml")


def test_terms_are_known_for_every_reader_and_unknown_names_are_refused():
    for name in OFFICIAL_READERS:
        terms = terms_of(name)
        assert terms.may_send_to_remote in ("yes", "no", "unknown, ask") and terms.source
    assert terms_of("vindr-pcxr").may_send_to_remote == "no" and terms_of("phantom").may_publish_weights == "yes"
    assert ancestors("mednist-hand") == ("mednist-hand", "rsna-boneage")
    assert shared_lineage(["mednist-hand"], ["rsna-boneage"]) == ("rsna-boneage",)
    assert shared_lineage(["phantom"], list(all_terms())) == ("phantom",)
    for spelling in ("VinDr-PCXR", "vindr_pcxr", "PediCXR"):
        assert terms_of(spelling).name == "vindr-pcxr" == ancestors(spelling)[0]
    with pytest.raises(ValueError, match="did you mean rsna-boneage"):
        terms_of("rsna-bone-ages")
    with pytest.raises(ValueError, match="did you mean 'grazpedwri-dx'"):
        official_reader("grazpedwri")


def test_the_check_command_compares_with_the_published_counts(trees, tree, capsys):
    assert main(["data", "check", "rsna-boneage", str(trees / "rsna-boneage")]) == 1
    said = capsys.readouterr().out
    assert "12,611   differs" in said and "missing files: 0" in said and "may be sent to a remote server" in said
    root = tree("arthritis")
    gone = OFFICIAL_READERS["arthritis"].read(root).samples[0]
    gone.path.unlink()
    assert main(["data", "check", "arthritis", str(root), "--list-missing"]) == 1
    said = capsys.readouterr().out
    assert "missing files: 1" in said and gone.file_name in said and "expected:" in said
    assert main(["data", "check", "arthritis", str(root / "nowhere")]) == 2
    assert "is no folder; give the one that holds" in capsys.readouterr().err


def test_16_bit_wrists_keep_their_depth(trees):
    sample = OFFICIAL_READERS["grazpedwri-dx"].read(trees / "grazpedwri-dx").samples[0]
    with Image.open(sample.path) as stored:
        assert stored.mode.startswith("I;16")
    assert read_radiograph(sample.path).bits == 16
    assert CLINIC.parts == {"wrist": 1.0}
