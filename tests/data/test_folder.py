"""A folder of images becomes samples; what cannot be used is skipped with its reason, and leaks are refused."""

import csv
import json
import logging

import numpy as np
import pytest
from PIL import Image

from pedclip.configuration.data import CaptionsConfig, ColumnsConfig, DataConfig, SplitsConfig
from pedclip.processing.data.folder import read_folder
from pedclip.processing.data.splits import split_of_patient


def row(name: str, **more) -> dict:
    return {"file_name": name, "body_part": "chest", "patient_id": "p1", "split": "train", **more}


def test_rows_become_samples_with_what_is_known(folder):
    path = folder([row("a.png", text=" clear ", findings=["no finding"], age=7), row("b.png", split="test", text="b")])
    (sample,) = read_folder(DataConfig(path=str(path)), split="train")
    assert (sample.file_name, sample.text, sample.findings) == ("a.png", "clear", ("no finding",))
    assert (sample.body_part, sample.patient_id, sample.split) == ("chest", "p1", "train")
    assert sample.row["age"] == 7
    assert sample.path.is_file()


def test_missing_broken_truncated_and_captionless_rows_are_skipped_and_listed(folder, tmp_path, caplog):
    path = folder(
        [
            row("good.png"),
            row("gone.png"),
            row("broken.png"),
            row("half.jpg"),
            row("mute.png", body_part=None),
            row(""),
        ],
        missing=("gone.png",),
    )
    (path / "broken.png").write_bytes(b"no picture")
    Image.new("L", (400, 400), 128).save(path / "half.jpg")
    (path / "half.jpg").write_bytes((path / "half.jpg").read_bytes()[:700])
    listed = tmp_path / "out" / "skipped_rows.jsonl"

    with caplog.at_level(logging.WARNING):
        samples = read_folder(DataConfig(path=str(path)), split="train", skipped_file=listed)

    assert [sample.file_name for sample in samples] == ["good.png"]
    skipped = {entry["row"]: entry["reason"] for entry in map(json.loads, listed.read_text().splitlines())}
    assert skipped[1] == "file is missing"
    assert skipped[2].startswith("image cannot be read: the file is no image that is read")
    assert skipped[3].startswith("image cannot be read: the image is broken")
    assert skipped[4] == "no text, and no caption template fits its labels"
    assert skipped[5] == "no file name"
    assert "5 of" in caplog.text and str(path) not in listed.read_text()


def test_rows_of_an_unknown_split_are_listed(folder, tmp_path):
    path = folder([row("a.png"), row("b.png", split="Test"), row("c.png", split="")])
    listed = tmp_path / "out" / "skipped_rows.jsonl"

    samples = read_folder(DataConfig(path=str(path)), split="train", skipped_file=listed)

    assert [sample.file_name for sample in samples] == ["a.png"]
    skipped = {entry["row"]: entry["reason"] for entry in map(json.loads, listed.read_text().splitlines())}
    assert skipped[1] == "split is none of those that data.splits names: 'Test'"
    assert skipped[2].endswith("names: None")


def test_images_of_more_than_8_bits_are_samples_too(folder):
    path = folder([row("a.png"), row("deep.png")])
    Image.fromarray(np.full((30, 30), 4000, dtype=np.uint16)).save(path / "deep.png")
    assert [sample.file_name for sample in read_folder(DataConfig(path=str(path)))] == ["a.png", "deep.png"]


def test_an_evaluation_may_keep_rows_without_a_caption(folder):
    path = folder([row("mute.png", body_part=None)])
    assert len(read_folder(DataConfig(path=str(path)), need_caption=False)) == 1


def test_a_file_in_two_rows_is_refused(folder):
    path = folder([row("a.png"), row("./a.png", split="test")])
    with pytest.raises(ValueError, match=r"more than one row.*a\.png"):
        read_folder(DataConfig(path=str(path)), split="train")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", "a/../../secret.png"])
def test_a_file_outside_the_folder_is_refused(folder, name):
    path = folder([row("a.png"), row(name)])
    with pytest.raises(ValueError, match="lead out of the folder"):
        read_folder(DataConfig(path=str(path)), split="train")


def test_an_absent_split_is_an_error_that_says_what_there_is(folder):
    path = folder([row("a.png", split="training")])
    with pytest.raises(ValueError, match=r"no rows in split 'train'.*training.*data\.splits"):
        read_folder(DataConfig(path=str(path)), split="train")
    assert read_folder(DataConfig(path=str(path), splits=SplitsConfig(train="training")), split="train")


def test_an_absent_image_column_is_an_error_that_lists_the_columns(folder):
    path = folder([row("a.png")])
    with pytest.raises(ValueError, match=r"no column 'image'.*file_name, body_part"):
        read_folder(DataConfig(path=str(path), columns=ColumnsConfig(image="image")))


def test_csv_and_parquet_give_the_same_samples_as_json_lines(folder):
    path = folder([row("a.png", findings=["x", "y"], text="t"), row("b.png", findings=[], text=None)])
    expected = read_folder(DataConfig(path=str(path)))
    rows = [json.loads(line) for line in (path / "metadata.jsonl").read_text().splitlines()]
    (path / "metadata.jsonl").unlink()

    with (path / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**values, "findings": "|".join(values["findings"])} for values in rows)
    assert read_folder(DataConfig(path=str(path))) == expected
    (path / "metadata.csv").unlink()

    from pyarrow import Table, parquet

    parquet.write_table(Table.from_pylist(rows), path / "metadata.parquet")
    assert read_folder(DataConfig(path=str(path))) == expected


def test_each_split_may_have_its_own_folder_and_table(folder):
    path = folder([{"file_name": "train/a.png"}, {"file_name": "test/b.png"}])
    (path / "metadata.jsonl").unlink()
    for split, name in (("train", "a.png"), ("test", "b.png")):
        (path / split / "metadata.jsonl").write_text(json.dumps({"file_name": name, "text": split}) + "\n")
    (sample,) = read_folder(DataConfig(path=str(path)), split="test")
    assert (sample.file_name, sample.text) == ("test/b.png", "test")


def test_a_folder_of_classes_without_a_table_is_read_by_its_folder_names(folder):
    path = folder([{"file_name": "train/hand/a.png"}, {"file_name": "test/foot/b.png"}])
    (path / "metadata.jsonl").unlink()
    (sample,) = read_folder(DataConfig(path=str(path)), split="train")
    assert (sample.body_part, sample.patient_id) == ("hand", "train/hand/a.png")
    config = DataConfig(path=str(path), class_folders="findings", captions=CaptionsConfig(templates=["an x-ray"]))
    (sample,) = read_folder(config, split="test")
    assert sample.findings == ("foot",) and sample.body_part is None


def test_two_tables_in_one_folder_are_refused(folder):
    path = folder([row("a.png")])
    (path / "metadata.csv").write_text("file_name\na.png\n")
    with pytest.raises(ValueError, match=r"metadata\.jsonl, metadata\.csv"):
        read_folder(DataConfig(path=str(path)))


def test_a_broken_line_is_named(folder):
    path = folder([row("a.png")])
    (path / "metadata.jsonl").write_text('{"file_name": "a.png"}\n{"file_name": \n')
    with pytest.raises(ValueError, match="line 2 is not JSON"):
        read_folder(DataConfig(path=str(path)))


def test_without_a_split_column_patients_are_split_once_and_for_all(folder):
    rows = [{"file_name": f"{n}.png", "body_part": "chest", "patient_id": f"p{n // 2}"} for n in range(80)]
    config = DataConfig(path=str(folder(rows)))
    split_of = {sample.patient_id: sample.split for sample in read_folder(config)}
    parts = [read_folder(config, split=split) for split in ("train", "validation", "test")]
    assert sum(map(len, parts)) == 80
    assert len(parts[0]) > len(parts[1]) > 0 and parts[2]
    assert not {s.patient_id for s in parts[0]} & {s.patient_id for s in parts[2]}
    assert all(split_of_patient(patient, SplitsConfig()) == split for patient, split in split_of.items())


def test_a_patient_in_two_splits_is_warned_about(folder, caplog):
    path = folder([row("a.png"), row("b.png", split="test")])
    with caplog.at_level(logging.WARNING):
        read_folder(DataConfig(path=str(path)), split="train")
    assert "1 patients stand in more than one split" in caplog.text


def test_the_shared_radiographs_are_read_whole(xr):
    config = DataConfig(path=str(xr))
    assert [len(read_folder(config, split=split)) for split in ("validation", "test")] == [365, 380]
