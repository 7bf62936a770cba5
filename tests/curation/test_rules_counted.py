"""Reports whose sentences people have marked, counted: how many the rules send where they belong, set by set."""

import json
from pathlib import Path

import pytest
from curation_scores import BY_OTHERS, Counts, marked_studies, score


@pytest.mark.parametrize("number", range(19))
def test_reports_of_our_own_come_out_to_the_sentence(number):
    study, truths = marked_studies("dev")[number]
    assert score(study, truths, Counts()) == []


def test_the_reports_that_were_held_out_come_out_nearly_as_well():
    counts = Counts()
    for study, truths in marked_studies("test"):
        score(study, truths, counts)
    assert counts.f1 > 0.92
    assert counts.leaked == 0 < counts.history


@pytest.mark.parametrize(
    ("file", "half", "studies", "floor", "leaks"),
    [
        ("a", "dev", 85, 0.96, 5),
        ("a", "test", 40, 0.93, 5),
        ("b", "dev", 60, 0.97, 1),
        ("c", "dev", 60, 0.95, 1),
        ("d", "dev", 60, 0.95, 2),
        ("e", "dev", 80, 0.91, 1),
        ("f", "test", 60, 0.92, 5),
    ],
)
def test_reports_by_others_come_out(file, half, studies, floor, leaks):
    counts, found = Counts(), marked_studies(half, BY_OTHERS / f"{file}.yaml")
    for study, truths in found:
        score(study, truths, counts)
    assert len(found) == studies
    assert counts.f1 > floor
    assert counts.leaked <= leaks < counts.history


def test_the_pages_say_what_was_counted():
    root = Path(__file__).resolve().parents[2]
    kept = json.loads((root / "benchmarks/results/curation_rules.json").read_text(encoding="utf-8"))
    page = (root / "docs/curation/rules.md").read_text(encoding="utf-8")
    readme = (root / "README.md").read_text(encoding="utf-8")
    a, b, speed = kept["phrasing_a"], kept["phrasing_b"], f"{kept['reports_a_second']:.0f} reports"
    assert f"| {a['f1']:.4f} | {100 * a['history_leak']:.1f} % |".replace(" 0.", " .") in page
    sure = f"precision {b['precision']:.2f}, recall {b['recall']:.2f}"
    assert f"| {b['f1']:.4f} ({sure}) | {100 * b['history_leak']:.1f} % |".replace(" 0.", " .") in page
    assert f" {b['f1']:.3f} in another whose errors nobody looked at ({sure}".replace(" 0.", " .") in readme
    assert speed in page and speed in readme.replace("\n", " ")
