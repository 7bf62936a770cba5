"""What a table of studies may look like, and what is listed and left out."""

import csv
import json
import re

import pyarrow
import pytest
from pyarrow import parquet

from pedclip.cli import main
from pedclip.processing.curation.studies import read_studies
from pedclip.processing.phantom.dicom import write_dicom
from pedclip.processing.phantom.study import studies_of

REPORT = "The left knee is normal."


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def parts_of(study):
    return [
        (part.name, part.expert, part.laterality, [name.rsplit("/", 1)[-1] for name in part.images])
        for part in study.parts
    ]


def test_a_row_a_study_in_every_form(tmp_path):
    both = [("L KNEE", "knee", "left", ["a.png"]), ("R HIP", "hip", "right", ["b.png"])]
    cells = [
        {"body_parts": ["L KNEE", "R HIP"], "images": ["a.png", "b.png"]},
        {"body_parts": "L KNEE; R HIP", "images": "a.png; b.png"},
        {"body_parts": "L KNEE | R HIP", "images": {"R HIP": "b.png", "L KNEE": ["a.png"]}},
        {"body_parts": '["L KNEE", "R HIP"]', "images": '{"L KNEE": "a.png", "R HIP": ["b.png"]}'},
    ]
    rows = [{"study_id": f"s{n}", "patient_id": "p", "report": REPORT, **cell} for n, cell in enumerate(cells)]
    found = read_studies(jsonl(tmp_path / "s.jsonl", rows))
    assert [parts_of(study) for study in found.usable] == [both] * 4 and not found.skipped
    assert found.usable[0].parts[0].images == (str(tmp_path / "a.png"),)
    with (tmp_path / "s.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerow(rows[1])
    assert read_studies(tmp_path / "s.csv").usable[0].parts == found.usable[1].parts
    parquet.write_table(pyarrow.Table.from_pylist(rows[:1]), tmp_path / "s.parquet")
    assert read_studies(tmp_path / "s.parquet").usable == found.usable[:1]


def test_several_films_of_a_part(tmp_path):
    rows = [
        {"study_id": "one", "report": REPORT, "body_parts": "knee", "images": ["a.png", "b.png", "c.png"]},
        {
            "study_id": "named twice",
            "report": REPORT,
            "body_parts": "knee; hip; knee",
            "images": "a.png; b.png; c.png",
        },
        {"study_id": "none", "report": REPORT, "body_parts": "knee"},
    ]
    found = read_studies(jsonl(tmp_path / "s.jsonl", rows)).usable
    assert [name.rsplit("/", 1)[-1] for name in found[0].parts[0].images] == ["a.png", "b.png", "c.png"]
    assert parts_of(found[1]) == [("knee", "knee", None, ["a.png", "c.png"]), ("hip", "hip", None, ["b.png"])]
    assert found[2].parts[0].images == () and found[2].patient_id == "study none"


def test_a_row_an_image_with_its_side_in_another_column(tmp_path):
    rows = [
        {
            "study_id": "s",
            "patient_id": "p",
            "text": REPORT,
            "body_part": "knee",
            "laterality": side,
            "file_name": f"{side}.png",
        }
        for side in ("left", "R", None)
    ]
    rows.insert(1, {**rows[0], "file_name": "again.png"})
    (study,) = read_studies(jsonl(tmp_path / "s.jsonl", rows)).usable
    assert parts_of(study) == [
        ("left knee", "knee", "left", ["left.png", "again.png"]),
        ("right knee", "knee", "right", ["R.png"]),
        ("knee", "knee", None, ["None.png"]),
    ]


def test_what_cannot_be_read_is_listed_with_its_reason_and_never_guessed(tmp_path):
    good = {"study_id": "good", "patient_id": "p", "report": REPORT, "body_parts": "knee", "images": "a.png"}
    wrong = {
        "no id": {"study_id": " "},
        "no report": {"report": None},
        "unknown": {"body_parts": "FOOZLE; knee", "images": "a.png; b.png"},
        "unequal": {"body_parts": "knee; hip", "images": "a.png; b.png; c.png"},
        "strange part": {"images": {"hip": "a.png"}},
        "no parts": {"body_parts": "", "images": ""},
        "number": {"body_parts": 7},
        "broken": {"body_parts": "[knee"},
        "long": {"report": "x" * 60_000},
    }
    rows = [good, *({**good, "study_id": name, **cells} for name, cells in wrong.items()), good]
    found = read_studies(jsonl(tmp_path / "s.jsonl", rows[:-1]))
    assert [study.study_id for study in found.usable] == ["good"]
    reasons = {line["study"]: line["reason"] for line in found.skipped}
    assert reasons["row 2"] == "no study_id"
    assert reasons.keys() == {"row 2", *list(wrong)[1:]}
    assert "'FOOZLE'" in reasons["unknown"] and found.unknown_parts == {"FOOZLE": 1}
    assert all(REPORT not in reason for reason in reasons.values())
    with pytest.raises(ValueError, match="no study to curate"):
        read_studies(jsonl(tmp_path / "twice.jsonl", [good, good]))  # which of the two would it be?
    own = read_studies(tmp_path / "s.jsonl", {"FOOZLE": "hip"}).usable
    assert parts_of(own[1])[0] == ("FOOZLE", "hip", None, ["a.png"])


def test_rows_of_an_image_that_contradict_each_other_leave_the_study_out(tmp_path):
    row = {"study_id": "s", "patient_id": "p", "report": REPORT, "body_part": "knee", "file_name": "a.png"}
    rows = [row, {**row, "report": "Another.", "file_name": "b.png"}, {**row, "study_id": "t"}]
    found = read_studies(jsonl(tmp_path / "s.jsonl", rows))
    assert [study.study_id for study in found.usable] == ["t"]
    assert found.skipped == [{"study": "s", "reason": "its rows have different reports"}]


def test_a_table_without_the_columns_says_which(tmp_path):
    with pytest.raises(
        ValueError, match=r"no column report or text, nor body_parts .* its columns are study_id, note"
    ):
        read_studies(jsonl(tmp_path / "s.jsonl", [{"study_id": "s", "note": "x"}]))


def test_a_folder_of_dicom_files_with_their_reports(tmp_path):
    studies = [study for number in range(3) for study in studies_of(0, number)]
    write_dicom(tmp_path, studies, side=32)
    found = read_studies(tmp_path)
    assert len(found.usable) == len(studies) and not found.skipped
    reports = {study.report.text for study in studies}
    for study in found.usable:
        assert study.report in reports
        assert all(part.expert and part.images for part in study.parts)
    filmed = sum(len(exam.views) for study in studies for exam in study.exams)
    assert sum(len(part.images) for study in found.usable for part in study.parts) == filmed


def test_nothing_of_a_report_comes_into_a_message(tmp_path, capsys):
    row = "s1,p1,Okonkwo fell. Left knee fracture.,L KNEE,a.png\n"
    (tmp_path / "headless.csv").write_text(row + row.replace("1", "2"))
    (tmp_path / "parts.csv").write_text(
        "study_id,patient_id,report,body_part,file_name\n"
        "1,p,Normal.,L KNEE - JOHN SMITH 01/02/2015,a.png\n2,p,Normal.,GNOMON,b.png\n"
    )
    assert main(["curate", str(tmp_path / "headless.csv"), "--out", str(tmp_path / "a")]) == 2
    assert main(["curate", str(tmp_path / "parts.csv"), "--out", str(tmp_path / "b")]) == 2
    said = capsys.readouterr()
    assert "is the first line a header?" in said.err and "1 that may hold text" in said.err
    assert not re.search("Okonkwo|fell|SMITH|2015", said.out + said.err)
    # the names are where the message says, also where no study is left
    assert "JOHN SMITH" in (tmp_path / "b-private" / "unknown_parts.yaml").read_text()
    with (tmp_path / "parts.csv").open("a") as file:
        file.write("3,p,Left knee normal.,L KNEE,c.png\n")
    assert main(["curate", str(tmp_path / "parts.csv"), "--out", str(tmp_path / "c"), "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "'GNOMON' and 1 that may hold text of a report (see" in said and "SMITH" not in said


def test_whole_numbers_that_became_floats_are_the_same_ids(tmp_path):
    (tmp_path / "s.csv").write_text(
        "study_id,patient_id,report,body_part,file_name\n7.0,1.0,Normal.,knee,a.png\n7,1,Normal.,hip,b.png\n"
    )
    (study,) = read_studies(tmp_path / "s.csv").usable
    assert (study.study_id, study.patient_id, len(study.parts)) == ("7", "1", 2)


def test_headers_with_names_of_their_own_are_listed_and_may_be_explained(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    write_dicom(tmp_path, list(studies_of(0, 1)), side=32)
    first, *others = sorted(tmp_path.rglob("*.dcm"))
    for other in others:
        other.unlink()
    (tmp_path / "reports.csv").write_text(f"study_id,report\n1.2.1,{REPORT}\n1.2.2,{REPORT}\n1.2.3,{REPORT}\n")
    films = [
        ("1.2.1", "LOWEREXTREMITY", "L"), ("1.2.1", "KNEE", "L"), ("1.2.2", "GNOMON", "L"), ("1.2.2", "HAND", "B"),
        ("1.2.3", "HAND", "B"), ("1.2.3", "KNEE", "R"),
    ]  # fmt: skip
    for number, (study, part, side) in enumerate(films):
        film = pydicom.dcmread(first)
        film.StudyInstanceUID = study
        film.PatientID, film.BodyPartExamined, film.ImageLaterality = study, part, side
        film.save_as(tmp_path / f"{number}.dcm")
    first.unlink()
    found = read_studies(tmp_path)
    one, three = found.usable
    # as a table has it: a name that means none of the 23 is filmed all the same
    assert [(part.name, part.expert, part.laterality) for part in one.parts] == [
        ("left LOWEREXTREMITY", None, "left"), ("left KNEE", "knee", "left"),
    ]  # fmt: skip
    assert [(part.name, part.laterality) for part in three.parts] == [
        ("bilateral HAND", "bilateral"), ("right KNEE", "right"),
    ]  # fmt: skip
    assert found.unknown_parts == {"GNOMON": 1}
    two = next(study for study in read_studies(tmp_path, {"GNOMON": "knee"}).usable if study.study_id == "1.2.2")
    assert two.parts[0].expert == "knee" and two.parts[0].name == "left GNOMON"


def test_a_studys_laterality_is_of_all_its_parts_or_refused(tmp_path):
    good = {"patient_id": "p", "report": REPORT, "images": "a.png; b.png"}
    cells = {
        "both": ("KNEE; hip", "L"), "spine": ("KNEE; CHEST", "right"), "none": ("L KNEE; R HIP", "U"),
        "mapped": ("KNEE; HIP", "R"), "against": ("L KNEE; HIP", "R"), "odd": ("KNEE; HIP", "L;R"),
    }  # fmt: skip
    rows = [
        {**good, "study_id": name, "body_parts": parts, "laterality": side} for name, (parts, side) in cells.items()
    ]
    rows[3]["images"] = {"KNEE": ["a.png"], "HIP": ["b.png"]}
    found = read_studies(jsonl(tmp_path / "s.jsonl", rows))
    assert {study.study_id: parts_of(study) for study in found.usable} == {
        "both": [("left KNEE", "knee", "left", ["a.png"]), ("left hip", "hip", "left", ["b.png"])],
        "spine": [("right KNEE", "knee", "right", ["a.png"]), ("CHEST", "chest", None, ["b.png"])],
        "none": [("L KNEE", "knee", "left", ["a.png"]), ("R HIP", "hip", "right", ["b.png"])],
        "mapped": [("right KNEE", "knee", "right", ["a.png"]), ("right HIP", "hip", "right", ["b.png"])],
    }
    reasons = {line["study"]: line["reason"] for line in found.skipped}
    assert "one of its parts says left" in reasons["against"] and "none of L, R, B" in reasons["odd"]


def test_images_by_part_may_be_a_map_of_parquet_and_have_blanks_around_their_keys(tmp_path):
    kind = pyarrow.map_(pyarrow.string(), pyarrow.list_(pyarrow.string()))
    images = [[(" knee", ["a.png"]), ("hip ", ["b.png"])], [("knee", ["a"]), ("knee", ["b"])]]
    columns = {
        "study_id": ["s", "twice"], "report": [REPORT] * 2, "body_parts": [[" knee", "hip"], ["knee"]],
        "images": pyarrow.array(images, kind),
    }  # fmt: skip
    parquet.write_table(pyarrow.table(columns), tmp_path / "s.parquet")
    found = read_studies(tmp_path / "s.parquet")
    assert parts_of(found.usable[0]) == [("knee", "knee", None, ["a.png"]), ("hip", "hip", None, ["b.png"])]
    assert found.skipped == [{"study": "twice", "reason": "images names a part twice"}]


def test_what_steers_a_terminal_or_turns_the_writing_becomes_a_blank(tmp_path):
    report = "Left\x00knee:\x1b[31m \u202eeffusion\u202c.\r\n\u2067No\u2069 fracture.\x85"
    row = {"study_id": "s", "report": report, "body_parts": "knee", "images": "a.png"}
    (study,) = read_studies(jsonl(tmp_path / "s.jsonl", [row])).usable
    assert study.report == "Left knee: [31m  effusion .\r\n No  fracture."
    assert study.report.index("fracture") == report.index("fracture")  # every place stays
