"""The phantom's DICOM files: what their tags say, and that the same studies always write the same bytes."""

import csv
import sys
from dataclasses import replace

import numpy as np
import pytest

from pedclip.processing.data.body_parts import body_part_of
from pedclip.processing.phantom.dicom import (
    BODY_PART_TERMS,
    INVERTED_ONE_IN,
    VIEW_TERMS,
    age_string,
    film_as_dicom,
    write_dicom,
)
from pedclip.processing.phantom.parts import PARTS
from pedclip.processing.phantom.render import render
from pedclip.processing.phantom.study import Clinic, studies_of

SIDE = 64
LIMBS = Clinic(parts={"knee": 1.0, "wrist": 1.0}, second_study=1.0)


def studies(patients=3, clinic=LIMBS):
    return [study for number in range(patients) for study in studies_of(7, number, clinic)]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def pydicom():
    return pytest.importorskip("pydicom", reason="pydicom is missing: pip install 'pedclip[dicom]'")


def test_every_body_part_has_a_term_that_means_it():
    assert set(BODY_PART_TERMS) == set(PARTS)
    assert {part: body_part_of(term) for part, term in BODY_PART_TERMS.items()} == {part: part for part in PARTS}
    assert all(term.isupper() and len(term) <= 16 for term in BODY_PART_TERMS.values())


def test_the_common_views_have_terms():
    views = {view.name for part in PARTS.values() for view in part.views}
    assert set(VIEW_TERMS) <= views
    assert {term for terms in VIEW_TERMS.values() for term in terms.values()} <= {"AP", "PA", "LL", "RL", "LLO", "RLO"}


@pytest.mark.parametrize(
    ("months", "said"),
    [(0, "015D"), (2, "075D"), (3, "003M"), (10, "010M"), (23, "023M"), (24, "002Y"), (119, "009Y"), (215, "017Y")],
)
def test_an_age_is_written_in_days_months_or_years(months, said):
    assert age_string(months) == said


def test_a_file_says_what_the_phantom_knows(pydicom, tmp_path):
    written = studies()
    films = write_dicom(tmp_path / "out", written, side=SIDE)

    files = sorted((tmp_path / "out").rglob("*.dcm"))
    assert films == len(files) == sum(len(exam.views) for study in written for exam in study.exams)
    for study in written:
        for number, exam in enumerate(study.exams):
            for view in exam.views:
                where = tmp_path / "out" / study.patient.patient_id / study.study_id
                one = pydicom.dcmread(where / f"{exam.name}_{view}.dcm".replace(" ", "_"))
                assert (one.Modality, one.BitsStored, one.BitsAllocated) == ("DX", 12, 16)
                assert body_part_of(one.BodyPartExamined) == exam.body_part
                assert one.ViewPosition == VIEW_TERMS[view][exam.laterality]
                assert one.ImageLaterality == exam.laterality[0].upper()
                assert (one.PatientID, one.PatientSex) == (study.patient.patient_id, study.patient.sex[0].upper())
                assert one.PatientAge == age_string(study.patient.age_months)
                assert "PHANTOM" in one.SeriesDescription
                assert str(one.PatientName).startswith("PHANTOM^")
                film = render(study, number, view, side=SIDE)
                white_bone = one.PhotometricInterpretation == "MONOCHROME2"
                np.testing.assert_array_equal(one.pixel_array if white_bone else 4095 - one.pixel_array, film.pixels)
                assert one.ImagerPixelSpacing == pytest.approx([film.mm_per_pixel] * 2, abs=1e-4)


def test_identifiers_are_one_for_a_study_one_for_an_exam_and_one_for_a_film(pydicom, tmp_path):
    write_dicom(tmp_path / "out", studies(), side=SIDE)
    read = [(path, pydicom.dcmread(path)) for path in (tmp_path / "out").rglob("*.dcm")]
    assert len({one.SOPInstanceUID for _, one in read}) == len(read)
    assert len({one.StudyInstanceUID for _, one in read}) == len({path.parent for path, _ in read})
    assert len({one.SeriesInstanceUID for _, one in read}) == len(
        {(path.parent, path.stem.rsplit("_", 1)[0]) for path, _ in read}
    )
    assert all(one.SOPInstanceUID.is_valid and one.SOPInstanceUID.startswith("2.25.") for _, one in read)


def test_the_reports_stand_beside_the_films(pydicom, tmp_path):
    written = studies()
    write_dicom(tmp_path / "out", written, side=SIDE)
    with open(tmp_path / "out" / "reports.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["report"] for row in rows] == [study.report.text for study in written]
    assert all(set(row["body_parts"].split("|")) <= {"knee", "wrist"} for row in rows)


def test_one_study_in_three_is_stored_the_other_way_round(pydicom):
    study = studies(1)[0]
    film = render(study, 0, study.exams[0].views[0], side=SIDE)
    as_it_is, inverted = (film_as_dicom(study, 0, film, inverted=inverted) for inverted in (False, True))
    np.testing.assert_array_equal(as_it_is.pixel_array, film.pixels)
    np.testing.assert_array_equal(as_it_is.pixel_array + inverted.pixel_array, 4095)
    assert inverted.PhotometricInterpretation == "MONOCHROME1"

    named = (film_as_dicom(replace(study, study_id=f"s-{number}"), 0, film) for number in range(90))
    share = sum(one.PhotometricInterpretation == "MONOCHROME1" for one in named) / 90
    assert share == pytest.approx(1 / INVERTED_ONE_IN, abs=0.12)


def test_the_same_studies_write_the_same_bytes(pydicom, tmp_path):
    write_dicom(tmp_path / "one", studies(2), side=SIDE)
    write_dicom(tmp_path / "two", studies(2), side=SIDE)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_folder_with_something_in_it_is_refused_and_stays(pydicom, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds something already"):
        write_dicom(tmp_path, studies(1), side=SIDE)
    assert contents(tmp_path).keys() == {(tmp_path / "mine.txt").relative_to(tmp_path)}


def test_nothing_is_left_of_a_failure(pydicom, tmp_path):
    def until_the_disk_is_full():
        yield from studies(1)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_dicom(tmp_path / "out", until_the_disk_is_full(), side=SIDE)
    assert not list(tmp_path.iterdir())


def test_a_missing_pydicom_is_named_with_the_way_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImportError, match=r"pedclip\[dicom\]"):
        write_dicom(tmp_path / "out", [], side=SIDE)
    assert not list(tmp_path.iterdir())
