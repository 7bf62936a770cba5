"""`pedclip data build`: what goes into shards, what stays out, and what a kill changes (nothing)."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from built import content_of, rows_of
from PIL import Image
from pyarrow import parquet

from pedclip.cli import main
from pedclip.configuration.data import DataConfig, SplitsConfig
from pedclip.processing.data.archive.build import BuildSettings, build
from pedclip.processing.data.archive.duplicates import near_duplicates, thumbnail
from pedclip.processing.data.archive.picture import PictureSettings
from pedclip.processing.data.samples import read_samples
from pedclip.processing.phantom.folder import FolderSettings, write_folder
from pedclip.processing.reading_pedclip import read_radiograph

SMALL = BuildSettings(picture=PictureSettings(side=48), splits=SplitsConfig(), images_in_a_shard=7, dataset="phantom")


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """An imagefolder of generated films with every column that a manifest may have."""
    folder = tmp_path_factory.mktemp("source") / "films"
    write_folder(folder, FolderSettings(patients=14, side=64), workers=1)
    return folder


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


# Gives out no further shard once so many are written: a kill then comes before the end, however slow the killer is.
HELD = """
import sys, time
from pathlib import Path
import pedclip.processing.data.archive.build as build
from pedclip.cli import main
unfinished, share, wait = Path(sys.argv.pop(1)), int(sys.argv.pop(1)), build.wait
def held(*of, **how):
    while len(list(unfinished.glob("*-of-*.json"))) >= share:
        time.sleep(1)
    return wait(*of, **how)
build.wait = held
sys.exit(main(sys.argv[1:]))
"""


def start(films: Path, out: Path, hold_at: int = 10**6) -> subprocess.Popen:
    program = [sys.executable, "-c", HELD, str(unfinished_of(out)), str(hold_at)]
    command = ["data", "build", str(films), "--out", str(out), "--side", "48", "--shard-images", "3", "--workers", "2"]
    return subprocess.Popen(
        [*program, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def unfinished_of(out: Path) -> Path:
    return out.with_name(f"{out.name}-private") / "unfinished"


def test_a_killed_build_goes_on_and_ends_with_the_same_bytes(films, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(films, whole).wait() == 0
    (tmp_path / "killed-private").mkdir()
    shutil.copy(tmp_path / "whole-private/key", tmp_path / "killed-private/key")
    shards = len(list((whole / "data").iterdir()))
    assert shards > 15  # more than two thirds and the four that two workers may hold
    for share in (1, shards // 3, 2 * shards // 3):
        running, unfinished = start(films, killed, hold_at=share), unfinished_of(killed)
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
    running = start(films, tmp_path / "out", hold_at=1)
    while not list(unfinished_of(tmp_path / "out").glob("*-of-*.json")):
        assert running.poll() is None
        time.sleep(0.01)
    running.kill()
    running.wait()
    until = time.monotonic() + 120
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
