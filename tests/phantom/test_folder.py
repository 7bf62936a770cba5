"""The phantom as a folder, as a `datasets` data set, and through the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image

from pedclip.cli import main
from pedclip.configuration.data import DataConfig
from pedclip.processing.curation.studies import read_studies
from pedclip.processing.data.folder import read_folder
from pedclip.processing.phantom.dataset import features, phantom_dataset
from pedclip.processing.phantom.folder import FolderSettings, write_folder
from pedclip.processing.phantom.records import ARTHRITIS_CONCEPTS

SETTINGS = FolderSettings(patients=16, seed=3, side=48, masks=True, twins=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "films"
    write_folder(out, SETTINGS, workers=1)
    return out


def rows_of(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def test_a_folder_is_read_by_our_reader_and_by_datasets(folder):
    samples = read_folder(DataConfig(path=str(folder)))
    assert len(samples) == len(rows_of(folder)) > 16
    assert all(sample.text and sample.body_part for sample in samples)
    loaded = load_dataset("imagefolder", data_dir=str(folder / "images"), split="train")
    assert len(loaded) == len(samples)


def test_the_same_settings_give_the_same_bytes_in_one_process_and_in_two(folder, tmp_path):
    write_folder(tmp_path / "again", SETTINGS, workers=2)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*.*"))
    for name in files:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_no_patient_stands_in_two_splits_and_twins_are_for_training(folder):
    splits: dict[str, set] = {}
    for row in rows_of(folder):
        splits.setdefault(row["patient_id"], set()).add(row["split"])
        if row["study_id"].endswith("-twin"):
            assert row["split"] == "train" and not row["findings"]
    assert all(len(where) == 1 for where in splits.values())
    sick = [row for row in rows_of(folder) if row["split"] == "train" and row["findings"]]
    twins = {row["pair_id"] for row in rows_of(folder) if row["study_id"].endswith("-twin")}
    assert sick and twins == {row["pair_id"] for row in sick}


def test_masks_lie_beside_the_films(folder):
    for row in rows_of(folder):
        film = Image.open(folder / row["file_name"])
        assert {f"finding-{name}" for name in row["findings"]} <= set(row["masks"])
        for path in row["masks"].values():
            mask = np.asarray(Image.open(folder / path))
            assert mask.shape == film.size[::-1] and set(np.unique(mask)) <= {0, 255}


def test_the_report_of_a_study_says_which_exams_each_sentence_speaks_of(folder):
    rows = {(row["study_id"], row["body_part"], row["laterality"]): row["text"] for row in rows_of(folder)}
    for line in (folder / "studies.jsonl").read_text().splitlines():
        study = json.loads(line)
        for number, exam in enumerate(study["exams"]):
            own = " ".join(one["text"] for one in study["sentences"] if number in one["exams"])
            assert rows[study["study_id"], exam["body_part"], exam["laterality"]] == own


def test_twelve_bits_are_kept_where_asked_for(tmp_path):
    write_folder(tmp_path / "deep", FolderSettings(patients=2, side=48, bits=16), workers=1)
    path = next((tmp_path / "deep" / "images").iterdir())
    assert np.asarray(Image.open(path)).max() > 255


def test_written_again_with_the_same_settings_it_stays_and_with_others_it_is_refused(folder):
    before = (folder / "metadata.jsonl").stat().st_mtime_ns
    assert write_folder(folder, SETTINGS) == len(rows_of(folder))
    assert (folder / "metadata.jsonl").stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match="name another folder"):
        write_folder(folder, FolderSettings(patients=17, seed=3, side=48))


def test_nothing_is_left_of_a_failure(tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("pedclip.processing.phantom.folder._write_group", fails)
    with pytest.raises(RuntimeError):
        write_folder(tmp_path / "films", FolderSettings(patients=2), workers=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patients": 0}, "at least one"),
        ({"patients": 1, "seed": -1}, "negative"),
        ({"patients": 1, "side": 5}, "32 to 2048"),
        ({"patients": 1, "bits": 12}, "8 or 16"),
        ({"patients": 1, "dose": 0.0}, "above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        FolderSettings(**settings)


def test_the_data_set_has_typed_features_and_splits_by_patient(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    found = phantom_dataset(24, seed=1, side=32, masks=True)
    assert set(found) <= {"train", "validation", "test"} and "train" in found
    row = found["train"][0]
    assert found["train"].features == features()
    assert row["image"].size == (32, 32)
    assert found["train"].features["body_part"].int2str(row["body_part"])
    assert found["train"].features["concepts"].feature.names == list(ARTHRITIS_CONCEPTS)
    patients = [set(part["patient_id"]) for part in found.values()]
    assert sum(map(len, patients)) == len(set.union(*patients))


def test_the_command_writes_a_folder_and_says_that_nobody_is_in_it(tmp_path, capsys):
    assert main(["phantom", str(tmp_path / "films"), "--patients", "2", "--side", "32"]) == 0
    assert "no patients" in capsys.readouterr().out
    assert "no patient is shown" in (tmp_path / "films" / "README.md").read_text().lower()


def test_the_command_names_the_forms_and_the_options_that_do_not_fit(tmp_path, capsys):
    assert main(["phantom", str(tmp_path / "a"), "--form", "tiff"]) == 2
    assert "choose imagefolder, dicom" in capsys.readouterr().err
    assert main(["phantom", str(tmp_path / "a"), "--form", "dicom", "--masks"]) == 2
    assert "belong to the form imagefolder" in capsys.readouterr().err


def test_studies_of_a_folder_can_be_curated(tmp_path):
    write_folder(tmp_path / "films", FolderSettings(patients=3, seed=5, side=32), workers=1)
    written = [json.loads(line) for line in (tmp_path / "films" / "studies.jsonl").read_text().splitlines()]
    studies = read_studies(tmp_path / "films" / "studies.jsonl")
    assert not studies.skipped
    for row, study in zip(written, studies.usable, strict=True):
        assert study.report == row["report"]
        assert len(study.parts) == len(row["exams"])
        for exam, part in zip(row["exams"], study.parts, strict=True):
            assert (part.expert, part.laterality) == (exam["body_part"], exam["laterality"])
            assert len(part.images) == len(exam["views"])
            assert all(Path(image).is_file() for image in part.images)
