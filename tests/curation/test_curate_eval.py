"""`pedclip curate eval` and `pedclip curate review`, from the command's words to what is written."""

import json
import shutil
from pathlib import Path

import pytest

from pedclip.cli import main
from pedclip.curate_review_command import is_phantom
from pedclip.processing.curation.labelled import labelled_study
from pedclip.processing.curation.measure import compare
from pedclip.processing.curation.triplets import answered_by_rules
from pedclip.processing.phantom.folder import FolderSettings, write_folder
from pedclip.processing.phantom.study import Clinic
from pedclip.publishing import NotForPublicationError, refuse_private


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("work") / "films"
    parts = {"knee": 1.0, "wrist": 1.0, "chest": 1.0}
    clinic = Clinic(parts=parts, exams=(0.2, 0.4, 0.4), single_view=1.0)
    write_folder(folder, FolderSettings(patients=8, side=32, clinic=clinic), workers=1)
    return folder


@pytest.fixture(scope="module")
def table(films) -> Path:
    """The studies as a source that `pedclip curate` reads: no truth in it."""
    rows = [json.loads(line) for line in (films / "metadata.jsonl").read_text().splitlines()]
    studies = [json.loads(line) for line in (films / "studies.jsonl").read_text().splitlines()]
    reports = {study["study_id"]: study["report"] for study in studies}
    names = ("study_id", "patient_id", "body_part", "laterality", "file_name")
    lines = [{**{name: row[name] for name in names}, "report": reports[row["study_id"]]} for row in rows]
    path = films / "source.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def triplets(table) -> Path:
    out = table.parent.parent / "triplets"
    assert main(["curate", str(table), "--out", str(out), "--workers", "1"]) == 0
    return out


def test_eval_prints_a_table_and_writes_what_counting_by_hand_gives(films, tmp_path, capsys):
    assert main(["curate", "eval", str(films / "studies.jsonl"), "--out", str(tmp_path / "results.json")]) == 0
    result = json.loads((tmp_path / "results.json").read_text())
    labelled = [labelled_study(json.loads(line)) for line in (films / "studies.jsonl").read_text().splitlines()]
    answers = answered_by_rules([one.study for one in labelled])
    counts = [compare(one, answer.sentences, answer.assignment) for one, answer in zip(labelled, answers, strict=True)]
    right = sum(one.right.total() for one in counts)
    missed = sum(one.missed.total() for one in counts)
    found = result["measures"]["recall"]
    assert (found["count"], found["of"]) == (right, right + missed) and right > 10
    assert result["engine"] == "rules" and result["studies"] == len(labelled)
    assert set(result["by_part"]) <= {"knee", "wrist", "chest"}
    printed = capsys.readouterr().out
    assert "history leak" in printed and "knee" in printed
    assert not any(one.study.report[:30] in printed for one in labelled)


def test_eval_takes_the_first_studies_and_refuses_what_is_no_truth(films, table, tmp_path, capsys):
    out = tmp_path / "results.json"
    assert main(["curate", "eval", str(films / "studies.jsonl"), "--first", "3", "--out", str(out)]) == 0
    assert json.loads(out.read_text())["studies"] == 3
    assert main(["curate", "eval", str(table)]) == 2
    assert "line 1" in capsys.readouterr().err
    assert main(["curate", "eval", str(films / "studies.jsonl"), "--first", "0"]) == 2


def test_a_phantoms_page_is_written_openly(triplets, table, tmp_path, capsys):
    out = tmp_path / "review.html"
    assert main(["curate", "review", str(triplets), str(table), "--out", str(out), "--n", "4"]) == 0
    data = json.loads(out.read_text().partition('id="data">')[2].partition("</script>")[0])
    assert len(data["studies"]) == 4 and data["export_name"] == "review.jsonl"
    reports = {json.loads(line)["study_id"]: json.loads(line)["report"] for line in table.read_text().splitlines()}
    for study in data["studies"]:
        assert study["report"] == reports[study["study_id"]] and study["engine"] == "rules"
        assert all(part["films"] for part in study["parts"])
        assert all(one["parts"] or one["reason"] for one in study["sentences"])
    assert "4 studies" in capsys.readouterr().out and out.stat().st_mode & 0o044


def test_the_same_seed_draws_the_same_studies(triplets, table, tmp_path):
    names = ("one", "two", "other")
    for name, seed in zip(names, ("0", "0", "1"), strict=True):
        page = tmp_path / f"{name}.html"
        assert (
            main(["curate", "review", str(triplets), str(table), "--out", str(page), "--n", "3", "--seed", seed]) == 0
        )
    one, two, other = ((tmp_path / f"{name}.html").read_text().replace(f"{name}.jsonl", "") for name in names)
    assert one == two != other


def test_a_patients_report_is_shown_only_on_request_and_under_a_private_name(triplets, table, tmp_path, capsys):
    """The films are the phantom's own; one report is not what the phantom wrote."""
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    source = table.with_name("changed.jsonl")
    source.write_text("".join(json.dumps({**row, "report": f"{row['report']}Anna."}) + "\n" for row in rows))
    changed = tmp_path / "triplets"
    assert main(["curate", str(source), "--out", str(changed), "--workers", "1"]) == 0
    asked = ["curate", "review", str(changed), str(source), "--out"]
    assert main([*asked, str(tmp_path / "review.html")]) == 2
    assert "--include-private" in capsys.readouterr().err
    assert main([*asked, str(tmp_path / "review.html"), "--include-private"]) == 2
    assert "review.private.html" in capsys.readouterr().err
    model = tmp_path / "model"
    model.mkdir()
    out = model / "review.private.html"
    assert main([*asked, str(out), "--include-private"]) == 0
    assert out.stat().st_mode & 0o777 == 0o600 and "review.private.jsonl" in out.read_text()
    with pytest.raises(NotForPublicationError):
        refuse_private(model)
    source.unlink()


def test_only_a_phantom_folders_own_study_counts_as_nobodys(films, tmp_path):
    from pedclip.processing.curation.schema import FilmedPart, Study

    row = json.loads((films / "studies.jsonl").read_text().splitlines()[0])
    names = [json.loads(line) for line in (films / "metadata.jsonl").read_text().splitlines()]
    image = next(str(films / one["file_name"]) for one in names if one["study_id"] == row["study_id"])
    copy = tmp_path / "film.png"
    shutil.copy(image, copy)

    def study(report: str, *images: str) -> Study:
        return Study(row["study_id"], row["patient_id"], report, (FilmedPart("x", None, None, images),))

    assert is_phantom(study(row["report"], image))
    assert not is_phantom(study(row["report"] + " Anna.", image))
    assert not is_phantom(study(row["report"], image, str(copy)))
    assert not is_phantom(study(row["report"]))


@pytest.mark.parametrize(
    ("out", "more", "why"),
    [
        ("review.pdf", (), "no .html"),
        ("review.html", ("--n", "0"), "--n is 0"),
    ],
)
def test_review_says_what_is_wrong(triplets, table, tmp_path, capsys, out, more, why):
    assert main(["curate", "review", str(triplets), str(table), "--out", str(tmp_path / out), *more]) == 2
    assert why in capsys.readouterr().err


def test_review_refuses_triplets_of_other_reports(triplets, table, tmp_path, capsys):
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    source = table.with_name("other.jsonl")
    source.write_text("".join(json.dumps({**row, "report": "Normal."}) + "\n" for row in rows))
    assert main(["curate", "review", str(triplets), str(source), "--out", str(tmp_path / "review.html")]) == 2
    assert "curate it again" in capsys.readouterr().err
    source.unlink()
    assert main(["curate", "review", str(tmp_path), str(table), "--out", str(tmp_path / "review.html")]) == 2
    assert "assignments.parquet" in capsys.readouterr().err


def test_a_phantom_folder_is_curated_and_reviewed_as_it_is(films, tmp_path):
    out, page = tmp_path / "triplets", tmp_path / "review.html"
    assert main(["curate", str(films), "--out", str(out), "--workers", "1"]) == 0
    studies = {row["study_id"]: row for row in map(json.loads, (films / "studies.jsonl").read_text().splitlines())}
    summary = json.loads((out / "summary.json").read_text())
    assert summary["studies"] == len(studies) and summary["skipped"] == 0
    assert main(["curate", "review", f"{out}/", f"{films}/", "--out", str(page)]) == 0  # openly: nobody is in it
    several = next(row for row in studies.values() if len(row["exams"]) > 1)
    assert several["report"].split("\n")[0] in page.read_text() or several["study_id"] not in page.read_text()
