"""`pedclip data build`: what goes into shards, what stays out, and what a kill changes (nothing)."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_reference import as_bytes, make
from PIL import Image
from pyarrow import parquet

from pedclip.cli import main
from pedclip.configuration.data import DataConfig, SplitsConfig
from pedclip.processing.data.archive.build import BuildSettings, build
from pedclip.processing.data.archive.duplicates import near_duplicates, thumbnail
from pedclip.processing.data.archive.headers import TAGS, months_of_age, reason_to_set_aside
from pedclip.processing.data.archive.picture import PictureSettings
from pedclip.processing.data.samples import read_samples
from pedclip.processing.phantom.dicom import write_dicom
from pedclip.processing.phantom.folder import FolderSettings, write_folder
from pedclip.processing.phantom.study import studies_of
from pedclip.processing.reading_pedclip import read_radiograph

SMALL = BuildSettings(picture=PictureSettings(side=48), splits=SplitsConfig(), images_in_a_shard=7, dataset="phantom")


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """An imagefolder of generated films with every column that a manifest may have."""
    folder = tmp_path_factory.mktemp("source") / "films"
    write_folder(folder, FolderSettings(patients=14, side=64), workers=1)
    return folder


@pytest.fixture(scope="module")
def dicom_films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "dicom"
    write_dicom(folder, [study for number in range(6) for study in studies_of(3, number)], side=64)
    return folder


def rows_of(out: Path) -> list[dict]:
    return [row for file in sorted((out / "data").glob("*.parquet")) for row in parquet.read_table(file).to_pylist()]


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def manifest_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def test_an_imagefolder_becomes_shards_that_datasets_and_training_read(films, tmp_path, monkeypatch):
    out = tmp_path / "shards"
    summary = build(films, out, SMALL, workers=1)
    given = manifest_of(films)
    rows = rows_of(out)
    assert len(rows) == len(given) == sum(summary["images"].values()) and summary["shards"] > 3
    by_text = sorted((row["text"], row["body_part"], row["age_months"], row["sex"], row["view"]) for row in rows)
    assert by_text == sorted((g["text"], g["body_part"], g["age_months"], g["sex"], g["view"]) for g in given)
    for row in rows:
        with Image.open(io.BytesIO(row["image"]["bytes"])) as picture:
            assert picture.format == "JPEG" and picture.mode == "L" and min(picture.size) == 48
    assert summary["patients_in_several_splits"] == 0
    assert summary["images"] == {
        split: sum(g["split"] == split for g in given) for split in {g["split"] for g in given}
    }
    streamed = read_samples(DataConfig(path=str(out)), split="train")
    assert len(streamed) == summary["images"]["train"]
    assert read_radiograph(streamed.content(0)).pixels.shape[0] >= 48

    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    from datasets import Image as ImageFeature
    from datasets import load_dataset

    loaded = load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert isinstance(loaded["train"].features["image"], ImageFeature)
    assert {split: len(part) for split, part in loaded.items()} == summary["images"]
    assert loaded["train"][0]["image"].size[0] >= 48


def test_a_dicom_folder_gives_its_headers_fields_and_nothing_that_names_anybody(dicom_films, tmp_path):
    out = tmp_path / "shards"
    build(dicom_films, out, SMALL, workers=1)
    rows = rows_of(out)
    files = sorted(dicom_films.rglob("*.dcm"))
    headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    assert len(rows) == len(files)
    assert sorted(row["body_part"] for row in rows) == sorted(header.BodyPartExamined for header in headers)
    with (dicom_films / "reports.csv").open(newline="") as table:
        reports = {row["report"] for row in csv.DictReader(table)}
    assert {row["text"] for row in rows} == reports
    assert len({row["patient_id"] for row in rows}) == len({header.PatientID for header in headers})
    secrets = {
        str(header[name].value) for header in headers for name in ("PatientName", "PatientID", "SOPInstanceUID")
    }
    secrets |= {str(header[name].value) for header in headers for name in ("StudyInstanceUID", "SeriesInstanceUID")}
    secrets |= {file.name for file in files} | {file.parent.name for file in files}
    whole = b"".join(content_of(out).values())
    assert not [secret for secret in secrets if secret.encode() in whole]
    key = (tmp_path / "shards-private" / "key").read_text().strip()
    assert key.encode() not in whole and bytes.fromhex(key) not in whole
    assert (tmp_path / "shards-private" / "key").stat().st_mode & 0o077 == 0


def test_a_films_age_side_view_and_year_come_from_its_header(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    shades = np.add.outer(np.arange(60) * 40, np.arange(50) * 30).astype(np.uint16)
    dataset = make(
        shades, bits=12, WindowCenter=2000, WindowWidth=3000, PatientAge="018M", PatientSex="F", ImageLaterality="R",
        ViewPosition="AP", StudyDate="20190314", BodyPartExamined="WRIST", PatientID="secret-7", Modality="CR",
        PatientName="Doe^Jane", BurnedInAnnotation="NO", Manufacturer="SIEMENS Dr Roe", OperatorsName="Nurse^Ann",
    )  # fmt: skip
    (source / "IM01").write_bytes(as_bytes(dataset))
    out = tmp_path / "out"
    build(source, out, SMALL, workers=1)
    (row,) = rows_of(out)
    wanted = dict(age_months=18, sex="female", laterality="right", view="AP", year=2019, body_part="WRIST")
    assert {name: row[name] for name in wanted} == wanted
    assert (row["modality"], row["device"], row["bits"], row["window"]) == ("CR", "Siemens", 12, "window")
    assert not re.search(rb"secret-7|Doe|Jane|Nurse|0314|Roe", b"".join(content_of(out).values()))
    # every kept field is documented, and no other keyword is asked for
    page = (Path(__file__).parents[2] / "docs/data/build.md").read_text(encoding="utf-8")
    assert all(f"`{tag}`" in page for tag in TAGS)


@pytest.mark.parametrize(
    "text, months",
    [("010D", 0.33), ("003W", 0.69), ("018M", 18), ("017Y", 204), ("090Y", None), ("7", None), ("", None)],
)
def test_ages_of_every_unit_are_months(text, months):
    assert months_of_age(text) == (None if months is None else pytest.approx(months, abs=0.01))


def test_what_may_show_a_name_is_set_aside_and_counted(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    shades = np.add.outer(np.arange(60) * 40, np.arange(50) * 30).astype(np.uint16)
    kinds = {
        "film": dict(Modality="DX"),
        "said": dict(Modality="DX", BurnedInAnnotation="NO"),
        "burnt": dict(Modality="DX", BurnedInAnnotation="YES"),
        "capture": dict(Modality="DX", SOPClassUID="1.2.840.10008.5.1.4.1.1.7"),
        "screen": dict(Modality="CR", ConversionType="WSD"),
        "saved": dict(Modality="DX", ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]),
        "digitised": dict(Modality="CR", ConversionType="DF"),
        "other": dict(Modality="OT", BurnedInAnnotation="NO"),
    }
    for name, fields in kinds.items():
        (source / f"{name}.dcm").write_bytes(as_bytes(make(shades, bits=12, PatientID=name, **fields)))
    colour = np.zeros((40, 40, 3), np.uint8)
    (source / "colour.dcm").write_bytes(as_bytes(make(colour, bits=8, photometric="RGB", PatientID="colour")))
    report = pydicom.dcmread(Path(pydicom.__file__).parent / "data/test_files/test-SR.dcm")
    report.save_as(source / "report.dcm")
    summary = build(source, tmp_path / "out", SMALL, workers=1)
    assert sum(summary["images"].values()) == 2 and summary["annotation_not_stated"] == 1
    listed = [json.loads(line) for line in (tmp_path / "out-private/quarantine.jsonl").read_text().splitlines()]
    assert {Path(one["file"]).stem: one["reason"] for one in listed} == {
        "burnt": "BurnedInAnnotation is not NO",
        "capture": "a secondary capture",
        "screen": "ConversionType is WSD: no direct exposure",
        "saved": "a saved screen",
        "digitised": "ConversionType is DF: no direct exposure",
        "other": "the modality is none that takes films",
        "colour": "in colour: a screenshot, or a document",
    }
    (skipped,) = [json.loads(line) for line in (tmp_path / "out-private/skipped.jsonl").read_text().splitlines()]
    assert skipped["file"] == "report.dcm" and "no image" in skipped["reason"]
    assert reason_to_set_aside({"Modality": "DX"}) is None


def test_names_in_free_fields_of_a_header_do_not_get_through(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    shades = np.add.outer(np.arange(60) * 40, np.arange(50) * 30).astype(np.uint16)
    free = dict(BodyPartExamined="WRIST DOE JANE", ViewPosition="AP DOE", Manufacturer="Doe Imaging")
    (source / "a.dcm").write_bytes(as_bytes(make(shades, bits=12, **free)))
    build(source, tmp_path / "out", SMALL, workers=1)
    (row,) = rows_of(tmp_path / "out")
    assert (row["body_part"], row["view"], row["device"]) == (None, None, None)
    assert b"doe" not in b"".join(content_of(tmp_path / "out").values()).lower()


def test_a_study_stays_in_one_split_where_nobody_is_named(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    rows = []
    for number in range(60):
        name = f"{number}.png"
        Image.fromarray(np.full((20, 20), number, np.uint8)).save(source / name)
        rows.append({"file_name": name, "study_id": f"s{number // 3}"})
    (source / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build(
        source, tmp_path / "out", BuildSettings(splits=SplitsConfig(validation_share=0.3, test_share=0.3)), workers=1
    )
    splits: dict[str, set[str]] = {}
    for file in (tmp_path / "out/data").glob("*.parquet"):
        for row in parquet.read_table(file).to_pylist():
            splits.setdefault(row["study_id"], set()).add(file.name.split("-")[0])
    assert len(splits) == 20 and all(len(where) == 1 for where in splits.values())
    assert len(set.union(*splits.values())) > 1


def test_odd_cells_of_a_manifest_are_read_or_listed_and_stop_nothing(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    cells = {
        "date": {"year": "20190314", "age": "018M"},
        "number": {"year": 2018.0, "findings": ["fracture"], "text": "one\u2028two \ud800 three"},
        "quoted": {"findings": "['fracture']"},
        "wrong": {"findings": 1},
        "huge": {"year": "99999999999"},
    }
    rows = []
    for number, (name, fields) in enumerate(cells.items()):
        Image.fromarray(np.full((40, 20 + number), number, np.uint8)).save(source / f"{name}.png")
        rows.append({"file_name": f"{name}.png", **fields})
    rows.append({"file_name": "./date.png"})  # the same file again
    lines = "".join(json.dumps(row) + "\n" for row in rows).replace("\\u2028", "\u2028")  # as some programs write it
    (source / "metadata.jsonl").write_text(lines, encoding="utf-8")
    build(source, tmp_path / "out", SMALL, workers=1)
    found = {row["original_width"] - 20: row for row in rows_of(tmp_path / "out")}
    assert set(found) == {0, 1, 4}
    assert (found[0]["year"], found[0]["age_months"]) == (2019, 18)
    assert (found[1]["year"], found[1]["findings"], found[1]["text"]) == (2018, ["fracture"], "one\u2028two ? three")
    assert found[4]["year"] is None
    listed = [json.loads(line) for line in (tmp_path / "out-private/skipped.jsonl").read_text().splitlines()]
    assert {one["file"] for one in listed} == {"quoted.png", "wrong.png", "./date.png"}


def test_damaged_headers_are_listed_and_the_rest_is_built(dicom_films, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(dicom_films, source)
    files = sorted(source.rglob("*.dcm"))
    random = np.random.default_rng(0)
    for victim in files[:6]:
        data = bytearray(victim.read_bytes())
        for place in random.integers(140, 900, 12):
            data[place] = int(random.integers(256))
        victim.write_bytes(data)
    summary = build(source, tmp_path / "out", SMALL, workers=1)
    built = sum(summary["images"].values())
    assert len(files) - 6 <= built <= len(files) - summary["skipped"] - summary["quarantined"]
    assert summary["skipped"] + summary["quarantined"] > 0


def test_broken_files_are_listed_with_their_reason_and_the_rest_is_built(films, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(films, source)
    rows = manifest_of(source)
    (source / rows[0]["file_name"]).write_bytes(b"no picture")
    (source / rows[1]["file_name"]).unlink()
    (source / rows[2]["file_name"]).write_bytes((source / rows[2]["file_name"]).read_bytes()[:300])
    out = tmp_path / "out"
    summary = build(source, out, SMALL, workers=1)
    listed = [json.loads(line) for line in (tmp_path / "out-private/skipped.jsonl").read_text().splitlines()]
    assert {one["file"] for one in listed} == {row["file_name"] for row in rows[:3]}
    assert summary["skipped"] == 3 and len(rows_of(out)) == len(rows) - 3
    assert all(len(one["reason"]) > 10 and str(tmp_path) not in one["reason"] for one in listed)
    read_samples(DataConfig(path=str(out)), split="train")  # shards with a hole in them are whole


def test_16_bits_are_kept_where_asked_for(tmp_path):
    source = tmp_path / "source"
    write_folder(source, FolderSettings(patients=2, side=64, bits=16), workers=1)
    settings = BuildSettings(picture=PictureSettings(side=64, keep_16_bit=True))
    build(source, tmp_path / "out", settings, workers=1)
    given = {row["text"] + row["view"]: source / row["file_name"] for row in manifest_of(source)}
    for row in rows_of(tmp_path / "out"):
        with Image.open(io.BytesIO(row["image"]["bytes"])) as stored:
            assert stored.mode.startswith("I;16")
            values = np.asarray(stored) / 257
        shown = read_radiograph(given[row["text"] + row["view"]])
        assert shown.bits == 16 and np.abs(values - shown.pixels).max() <= 0.5 / 257 + 1e-3


def test_the_number_of_workers_changes_no_byte_and_another_key_changes_every_name(films, tmp_path):
    build(films, tmp_path / "one", SMALL, workers=1)
    for name in ("two", "other"):
        (tmp_path / f"{name}-private").mkdir()
    shutil.copy(tmp_path / "one-private/key", tmp_path / "two-private/key")
    build(films, tmp_path / "two", SMALL, workers=2)
    assert content_of(tmp_path / "one") == content_of(tmp_path / "two")
    build(films, tmp_path / "other", SMALL, workers=2)
    ids = [{row["image_id"] for row in rows_of(tmp_path / name)} for name in ("one", "other")]
    assert not ids[0] & ids[1]


def start(films: Path, out: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "pedclip.cli", "data", "build", str(films), "--out", str(out), "--side", "48"]
    return subprocess.Popen(
        [*command, "--shard-images", "3", "--workers", "2"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def test_a_killed_build_goes_on_and_ends_with_the_same_bytes(films, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(films, whole).wait() == 0
    (tmp_path / "killed-private").mkdir()
    shutil.copy(tmp_path / "whole-private/key", tmp_path / "killed-private/key")
    shards = len(list((whole / "data").iterdir()))
    for share in (1, shards // 3, 2 * shards // 3):
        running = start(films, killed)
        unfinished = tmp_path / "killed-private/unfinished"
        while running.poll() is None and len(list(unfinished.glob("*-of-*.json"))) < share:
            time.sleep(0.01)
        assert running.poll() is None, "it was through before it could be killed"
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        assert not (killed / "build.json").exists()
    with pytest.raises(ValueError, match="is an unfinished build with other dataset, images_in_a_shard;"):
        build(films, killed, SMALL, workers=1)
    assert start(films, killed).wait() == 0
    assert content_of(killed / "data") == content_of(whole / "data")
    assert (killed / "build.json").read_bytes() == (whole / "build.json").read_bytes()
    assert not unfinished.exists()


def test_a_build_killed_before_its_report_is_there_goes_on(films, tmp_path):
    class Killed(BaseException):
        pass

    def die(summary):
        raise Killed

    with pytest.raises(Killed):
        build(films, tmp_path / "out", SMALL, workers=1, report=die)
    reports = []
    build(films, tmp_path / "out", SMALL, workers=1, report=reports.append)
    assert len(reports) == 1 and reports[0] == json.loads((tmp_path / "out/build.json").read_text())


def test_workers_end_when_their_build_is_killed_alone(films, tmp_path):
    running = start(films, tmp_path / "out")
    while not list((tmp_path / "out-private").glob("unfinished/*-of-*.json")):
        assert running.poll() is None
        time.sleep(0.01)
    running.kill()
    running.wait()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        left = subprocess.run(
            ["ps", "-o", "pid=,stat=", "-g", str(running.pid)], capture_output=True, text=True
        ).stdout
        if not [line for line in left.splitlines() if "Z" not in line]:
            return
        time.sleep(0.2)
    pytest.fail(f"still there: {left}")


def test_near_duplicates_are_found_across_patients_alone():
    random = np.random.default_rng(0)
    bases = [
        np.asarray(Image.fromarray(random.integers(0, 256, (9, 9), np.uint8)).resize((80, 70))) for _ in range(60)
    ]
    pictures = [*bases, bases[3], bases[4]]
    again = Image.fromarray((bases[5] * 0.85 + 15).astype(np.uint8)).resize((50, 44))
    buffer = io.BytesIO()
    again.save(buffer, "JPEG", quality=50)
    pictures.append(np.asarray(Image.open(buffer)))
    pictures += [np.full((40, 40), 7, np.uint8)] * 2  # even ones look like nothing
    patients = [f"p{number}" for number in range(len(pictures))]
    patients[60] = "p3"  # the same patient's own film twice is no leak
    pairs = near_duplicates([thumbnail(picture) for picture in pictures], patients)
    assert [(pair.first, pair.second) for pair in pairs] == [(4, 61), (5, 62)]
    correlations = np.corrcoef([np.frombuffer(thumbnail(picture), np.uint8) for picture in pictures[:63]])
    assert pairs[1].correlation == pytest.approx(correlations[5, 62], abs=1e-3)


def test_wrong_sources_and_folders_are_refused_with_the_way_out(films, tmp_path, capsys):
    build(films, tmp_path / "done", SMALL, workers=1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "table.csv").write_text("picture,age\na.png,3\n")
    for source, out, message in (
        (films, tmp_path / "done", "exists and is no unfinished build"),
        (tmp_path / "nowhere", tmp_path / "new", "is neither a manifest"),
        (tmp_path / "empty", tmp_path / "new", "nor any DICOM file"),
        (tmp_path / "table.csv", tmp_path / "new", "has no column file_name or"),
    ):
        assert main(["data", "build", str(source), "--out", str(out)]) == 2
        assert message in capsys.readouterr().err
    assert main(["data", "build", str(films), "--out", str(tmp_path / "x"), "--private", str(tmp_path / "x/key")]) == 2
    assert "which is what you hand on" in capsys.readouterr().err
    hidden = tmp_path / "done" / ".." / "x" / "key"
    assert main(["data", "build", str(films), "--out", str(tmp_path / "x"), "--private", str(hidden)]) == 2
    assert main(["data", "build", str(films), "--out", str(tmp_path / "y"), "--format", "gif"]) == 2
    assert "choose one of jpeg, png, webp" in capsys.readouterr().err


def test_the_command_says_what_to_open_and_writes_a_page_with_pictures(films, tmp_path, capsys):
    out = tmp_path / "shards"
    assert main(["data", "build", str(films), "--out", str(out), "--dataset", "my films", "--side", "48"]) == 0
    said = capsys.readouterr().out
    assert f"Open   {out / 'report.html'}" in said and "do not hand it on" in said
    page = (out / "report.html").read_text()
    assert page.count("<figure>") > 5 and "my films" in page and "images by body part" in page
    card = (out / "README.md").read_text()
    assert card.startswith("---\n") and "# my films" in card and "take names out" in card
    assert "terms are not known here" in card
    assert (
        main(["data", "build", str(films), "--out", str(tmp_path / "more"), "--dataset", "phantom", "--side", "48"])
        == 0
    )
    assert "May be sent to a remote server: yes." in (tmp_path / "more" / "README.md").read_text()
