"""`pedclip data build` from DICOM: what a header gives, what never gets through, what is set aside."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from built import content_of, rows_of
from dicom_reference import as_bytes, make

from pedclip.configuration.data import SplitsConfig
from pedclip.processing.data.archive.build import BuildSettings, build
from pedclip.processing.data.archive.headers import TAGS, months_of_age, reason_to_set_aside
from pedclip.processing.data.archive.picture import PictureSettings
from pedclip.processing.phantom.dicom import write_dicom
from pedclip.processing.phantom.study import studies_of

SMALL = BuildSettings(picture=PictureSettings(side=48), splits=SplitsConfig(), images_in_a_shard=7, dataset="phantom")


@pytest.fixture(scope="module")
def dicom_films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "dicom"
    write_dicom(folder, [study for number in range(6) for study in studies_of(3, number)], side=64)
    return folder


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
