"""The README's section on real radiographs says what the kept results say, and the kept results name nobody."""

import json
import sys
from pathlib import Path

import pytest

from pedclip.eval.marks import between_marks

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def xr_page():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import xr_page
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return xr_page


@pytest.mark.parametrize("name", ["xr", "xr-mobe"])
def test_the_readme_says_what_the_results_say(xr_page, name):
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert page.count(f"<!-- {name}: {xr_page.WRITER} -->") == page.count(f"<!-- end of {name} -->") == 1
    file = xr_page.FILES[name]
    if not file.is_file():
        pytest.skip(f"no {file.name}: `make {name}` has not been run for the README")
    lines = xr_page.LINES[name](json.loads(file.read_text(encoding="utf-8")))
    assert between_marks(page, name, xr_page.WRITER, lines) == page, "python benchmarks/xr_page.py mends it"


def score(value: float, low: float, high: float, **more) -> dict:
    return {"value": value, "low": low, "high": high, "n": 40, "patients": 30, "resamples": 1000, **more}


ABOUT = {
    "data_set": "d",
    "split": "test",
    "seed": 0,
    "resamples_asked": 1000,
    "interval": "95 %, BCa",
    "data_hash": "h",
    "versions": {"torch": "2"},
}
SECRET = "patient-17.png"  # as if an entry carried it


@pytest.fixture
def of_xr():
    """What eval/xr.py writes, with two methods, and a name where none belongs."""
    classes = [{"class": "chest", "n": 25, "in_mean": True}, {"class": "hand", "n": 3, "in_mean": False}]
    own = {"method": "PedCLIP", **score(0.9, 0.85, 0.95), "classes": classes, "predictions": [SECRET]}
    hog = {"method": "HOG", **score(0.95, 0.9, 0.99), "pedclip_minus_this": score(-0.05, -0.08, -0.02)}
    thumbnail = {"method": "thumbnail", **score(0.8, 0.7, 0.85), "pedclip_minus_this": score(0.1, -0.01, 0.2)}
    recalls = {f"R@{k}": score(0.5, 0.4, 0.6, chance=0.125) for k in (1, 5, 10)}
    trivial = {f"R@{k}": score(0.7, 0.6, 0.8, pedclip_minus_this=score(-0.2, -0.3, -0.1)) for k in (1, 5, 10)}
    by_score = {"largest probability": score(0.97, 0.96, 0.98, **{"rejected_at_95%_kept": 0.75})}
    scores = {
        "retrieval_r1": {
            "n": 40,
            "distinct_captions": 9,
            "largest_caption_group": 12,
            "image_to_text": recalls,
            "text_to_image": recalls,
            "baselines": [{"method": "commonest", "image_to_text": trivial}],
        },
        "gate_accuracy": score(0.945, 0.92, 0.96, chance=0.49, without_expert=1),
        "gate_detector": {
            "metric": "AUC by the largest probability",
            "known": 39,
            "unknown": {"no X-ray": 12},
            "abstention": {"no X-ray": by_score, "all": by_score},
            "calibration": {**score(0.02, 0.0, 0.03), "if_calibrated": {"mean": 0.011, "highest_of_95_percent": 0.02}},
        },
    }
    row = {"key": "body_part_auc", "title": "body part", "fitting": "resize", "entries": [own, hog, thumbnail]}
    return {
        "rows": [row],
        "fittings": {"resize": scores},
        "headline_fitting": "resize",
        "images": {"train": 2767, "test": 40},
        "patients": {"train": 900, "test": 30},
        "body_parts": {"train": 12, "test": 7},
        "training_minutes": {"resize": 36.6},
        "seconds": 60.0,
        "skipped": SECRET,
        **ABOUT,
    }


@pytest.fixture
def of_mobe():
    row = {
        "title": "body part",
        "metric": "AUC",
        "chance": 0.5,
        "arms": {arm: score(0.9, 0.85, 0.95, by_seed=[0.9]) for arm in ("MoBE", "MLP")},
    }
    apart = [("a", score(0.02, 0.01, 0.03, by_seed=[0.02])), ("b", score(-0.02, -0.03, 0.0, by_seed=[-0.02]))]
    apart.append(("c", score(-0.02, -0.03, -0.01, by_seed=[-0.02])))
    design = {"recipe": "xr.yaml", "set": {"epochs": 10}, "arms": {"MoBE": {}, "MLP": {}}, "seeds": [0]}
    run = {"seed": 0, "steps": 860, "seconds": 330.0, "parameters": 14_000_000}
    return {
        "design": {**design, "headline": "a", "limits": ["A limit."]},
        "runs": [{**run, "arm": arm, "folder": SECRET} for arm in ("MoBE", "MLP")],
        "rows": [{**row, "key": key, "title": f"row {key}", "differences": {"MLP": one}} for key, one in apart],
        "images": 40,
        "patients": 30,
        **ABOUT,
    }


def test_only_what_is_named_is_kept(xr_page, of_xr, of_mobe):
    for results, kept in ((of_xr, xr_page.kept_xr), (of_mobe, xr_page.kept_mobe)):
        assert SECRET in json.dumps(results) and SECRET not in json.dumps(kept(results))


def test_the_tables_show_every_number_with_its_interval_and_who_wins(xr_page, of_xr):
    said = xr_page.xr_lines(xr_page.kept_xr(of_xr))
    assert "2,767 images of 900 patients and 12 body parts (37 minutes for the training)" in said
    assert "(chest 25)" in said  # hands are too few for the mean
    assert (
        "| body part | 40, 30 | 0.900 (0.850 to 0.950) | **0.950 (0.900 to 0.990)** | 0.800 (0.700 to 0.850) |" in said
    )
    assert "| HOG | 1 of 1 | 1 of 1 | 0 of 1 |" in said and "| thumbnail | 0 of 1 | 0 of 1 | 0 of 1 |" in said
    assert "| image to text R@1 | 0.125 | 0.500 (0.400 to 0.600) | **0.700 (0.600 to 0.800)** |" in said
    assert "| text to image R@10 | 0.125 | **0.500 (0.400 to 0.600)** | - |" in said
    assert "| names the labelled expert | 0.945 (0.920 to 0.960) |" in said
    assert "| always the commonest part | 0.490 |" in said
    assert "AUC by largest probability | 0.970 (0.960 to 0.980) [75%] |" in said


def test_the_comparison_says_who_wins_and_its_limits(xr_page, of_mobe):
    said = xr_page.mobe_lines(xr_page.kept_mobe(of_mobe))
    assert "10 epochs, seeds 0; MoBE: 860 steps, 14.0 million parameters, 5.5 to 5.5 minutes" in said
    assert "| **row a** | AUC, 0.50 | 0.900 (0.850 to 0.950) | 0.900 (0.850 to 0.950) |" in said
    assert "| +0.020 (+0.010 to +0.030) | +0.020 |" in said
    assert "MoBE is better, with an interval that leaves 0 out, on: row a. MLP is, on: row c." in said
    assert "On 1 of 3 rows neither is." in said and "A limit." in said


def test_a_page_without_marks_is_refused(xr_page):
    with pytest.raises(ValueError, match=r"lacks <!-- xr: benchmarks/xr_page\.py -->"):
        between_marks("# README\n", "xr", xr_page.WRITER, "lines")
