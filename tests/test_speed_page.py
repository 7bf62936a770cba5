"""The tables of speed say what the benchmarks' results say."""

import json
import sys
from pathlib import Path

import pytest

from pedclip.eval.marks import between_marks

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def speed_page():
    pytest.importorskip("matplotlib", reason="the extra `eval` is not installed")
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import speed_page
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return speed_page


def test_the_tables_are_those_of_the_results(speed_page):
    assert len(speed_page.rows()) > 10
    for file, lines in (("docs/speed/README.md", speed_page.table()), ("README.md", speed_page.short_table())):
        page = (ROOT / file).read_text(encoding="utf-8")
        assert between_marks(page, *speed_page.MARK, lines) == page, (
            "python benchmarks/speed_page.py docs/speed brings it up to date"
        )


def test_the_page_of_volumes_says_what_they_cost(speed_page):
    page = (ROOT / "docs/volume.md").read_text(encoding="utf-8")
    assert between_marks(page, *speed_page.VOLUME, speed_page.volume_lines()) == page
    held = json.loads((speed_page.RESULTS / "volume.json").read_text(encoding="utf-8"))["memory"]["peak_gib"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"512 slices embeds in {held['slice attention']:.1f} GiB" in readme.replace("\n", " ")


def test_a_missed_goal_of_volumes_is_said(speed_page, monkeypatch, tmp_path):
    result = json.loads((speed_page.RESULTS / "volume.json").read_text(encoding="utf-8"))
    assert "missed" not in speed_page.volume_lines()
    result["memory"]["peak_gib"]["slice attention"] = 2.01
    result["against_mean_of_a_loop"]["by_clock"]["ratio"] = 1.06
    (tmp_path / "volume.json").write_text(json.dumps(result))
    monkeypatch.setattr(speed_page, "RESULTS", tmp_path)
    assert speed_page.volume_lines().count("missed") == 2


def test_a_missed_goal_is_said(speed_page, monkeypatch):
    row = {"goal": 1.0, "ratio": 1.01, "quartiles": [1, 1.1], "seconds": [1, 2]}
    monkeypatch.setattr(speed_page, "rows", lambda: [("a row", row)])
    assert "1.0, missed" in speed_page.table() and "1.0, missed" in speed_page.short_table()
