"""The README's table of the eleven tasks says what the committed run says."""

import json
import sys
from pathlib import Path

import pytest

from pedclip.eval.marks import between_marks

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def bench11_page():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import bench11_page
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return bench11_page


def test_the_table_is_that_of_the_results(bench11_page):
    results = json.loads(bench11_page.RESULTS.read_text(encoding="utf-8"))
    assert len(results["tasks"]) == 11
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = bench11_page.table(results)
    assert between_marks(page, *bench11_page.MARK, lines) == page, "python benchmarks/bench11_page.py mends it"


def test_what_is_missed_is_said(bench11_page):
    one = {"value": 0.5, "low": 0.4, "high": 0.6, "chance": 0.5}
    row = {
        **one,
        **{"title": "a task", "metric": "AUC", "n": 9, "patients": 9, "seconds": 1.0, "floor": 0.6, "control": one},
    }
    results = {"seconds_of_tasks": 60.0, "cores": 2, "commit": "abc"}
    bad = {"reaches_floor": False, "control_covers_chance": False}
    good = {"reaches_floor": True, "control_covers_chance": True}
    said = bench11_page.table({**results, "tasks": [row | bad]})
    assert "0.6, missed" in said and "not chance" in said
    said = bench11_page.table({**results, "tasks": [row | good]})
    assert "missed" not in said and "not chance" not in said


def test_a_row_says_what_its_mean_rests_on_and_what_lies_below_chance(bench11_page):
    control = {"value": 0.39, "low": 0.36, "high": 0.42, "chance": 0.4}
    row = {
        **{"value": 0.41, "low": None, "high": None, "chance": 0.5, "title": "a task", "metric": "macro AUC", "n": 9},
        **{"patients": 9, "seconds": 1.0, "floor": 0.6, "reaches_floor": False, "control_covers_chance": True},
        **{"labels": [2, 14], "few_patients": ["erosion"], "kind": "prompt classification, seen classes"},
        "control": control,
    }
    said = bench11_page.table({"seconds_of_tasks": 60.0, "cores": 2, "commit": "abc", "tasks": [row]})
    assert "a task (2 of 14 labels count; fewer than 10 patients: erosion; labels seen in training)" in said
    assert "0.410 (no interval), below chance" in said
    assert "0.390 (0.360 to 0.420), below chance; its chance 0.400" in said
