"""The parts of `make matrix` that decide: which releases, what counts as different, what counts as failed."""

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version


@pytest.fixture
def of_matrix(monkeypatch):
    """`of_matrix(name)`: a module of this folder, which is no package."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return import_module


@pytest.fixture
def corners(of_matrix):
    return of_matrix("corners")


def test_the_corners_are_the_ends_of_the_range(corners):
    released = [Version(text) for text in ("5.24.0", "5.19.0", "5.23.1", "5.20.1", "5.100.0", "5.9.0")]
    allowed = SpecifierSet(">=5.20,<5.24")
    assert corners.chosen("lowest", allowed, released, "transformers") == "5.20.1"
    assert corners.chosen("newest", allowed, released, "transformers") == "5.23.1"
    with pytest.raises(ValueError, match=r"transformers>=6 is allowed and the package index has none of it, only 5\."):
        corners.chosen("newest", SpecifierSet(">=6"), released, "transformers")


def test_constraints_change_in_the_pins_alone(corners):
    text = "# a comment\ntorch==2.13.0\nhuggingface-hub==2.4.0\npeft==0.21.2\n"
    changed = text.replace("2.4.0", "1.31.0")
    assert corners.pinned(text, {"huggingface_hub": "1.31.0"}) == changed
    with pytest.raises(ValueError, match=r"pins no accelerate; add a line NAME==VERSION"):
        corners.pinned(text, {"accelerate": "1.10.0"})


@pytest.mark.parametrize("name", ["lowest", "newest"])
def test_a_corner_pins_what_pyproject_and_the_index_say_and_else_constraints(corners, monkeypatch, name):
    released = [Version(text) for text in ("0.1.0", "1.31.0", "2.4.0", "5.20.0", "5.23.0", "77.0")]
    monkeypatch.setattr(corners, "released", lambda package, python: released)
    pins = dict(corners.PIN.findall(corners.corner(name, sys.executable).constraints))
    usual = dict(corners.PIN.findall((corners.ROOT / "constraints.txt").read_text(encoding="utf-8")))

    assert pins["transformers"] == {"lowest": "5.20.0", "newest": "5.23.0"}[name]
    assert pins["huggingface_hub"] == {"lowest": "1.31.0", "newest": "2.4.0"}[name]
    assert pins["torch"] == usual["torch"]
    assert {package for package in pins if pins[package] in map(str, released)} >= set(corners.SUPPORTED)
    assert (pins["tokenizers"] == usual["tokenizers"]) is (name == "newest")


def test_the_releases_in_constraints_are_inside_the_ranges(corners):
    project = tomllib.loads((corners.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = dict(corners.PIN.findall((corners.ROOT / "constraints.txt").read_text(encoding="utf-8")))
    for text in project["dependencies"]:
        needed = Requirement(text)
        assert needed.specifier.contains(pins[needed.name]), f"{text}, and constraints.txt has {pins[needed.name]}"


def test_pixels_tokens_and_weights_may_not_differ_in_one_bit_and_outputs_in_the_last(of_matrix):
    differences = of_matrix("differences")
    numbers = np.linspace(-3, 14, 50, dtype=np.float32)
    saved = {f"model/{kind}/a": numbers for kind in (*differences.EXACT, "outputs")}
    assert differences.compare(saved, saved) == [{"folder": "model", "compared": 4, "difference": 0.0, "wrong": []}]

    nearly = numbers.copy()
    nearly[-1] = np.nextafter(nearly[-1], np.float32(99))
    for kind in differences.EXACT:
        (row,) = differences.compare(saved, saved | {f"model/{kind}/a": nearly})
        assert row["wrong"] == [f"model/{kind}/a differs in 1 of 50 elements"]
    (row,) = differences.compare(saved, saved | {"model/outputs/a": nearly})
    assert not row["wrong"]
    assert 0 < row["difference"] < differences.TOLERANCE


@pytest.mark.parametrize(
    ("opened", "said"),
    [
        ({"outputs": np.float32([1, 14.125])}, "differs by 0.0089 of its largest number"),
        ({"outputs": np.float32([np.nan, 14])}, "differs by inf of its largest number"),
        ({"outputs": np.float32([1])}, r"is float32 \(1,\), was float32 \(2,\)"),
        ({"outputs": np.float64([1, 14])}, r"is float64 \(2,\), was float32 \(2,\)"),
        ({}, "was saved only"),
        ({"outputs": np.float32([1, 14]), "more": np.float32([0])}, "was opened only"),
    ],
    ids=["other values", "not a number", "other shape", "other type", "missing", "additional"],
)
def test_what_differs_is_named(of_matrix, opened, said):
    saved = {"tower/outputs/a": np.float32([1, 14])}
    (row,) = of_matrix("differences").compare(saved, {f"tower/{kind}/a": value for kind, value in opened.items()})
    (wrong,) = row["wrong"]
    assert re.search(said, wrong)


def test_nothing_saved_is_a_failure(of_matrix):
    (row,) = of_matrix("differences").compare({}, {})
    assert row["wrong"]


def test_every_outcome_of_a_test_run_is_counted(of_matrix, tmp_path):
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def broken():\n    yield\n    raise OSError\n"
        "def test_good():\n    pass\n"
        "def test_bad():\n    assert False\n"
        "def test_bad_afterwards(broken):\n    pass\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_elsewhere(n):\n    pytest.skip('no GPU')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=report.xml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True)
    assert done.returncode == 1
    counts = of_matrix("run").count(tmp_path / "report.xml")
    assert counts == {
        "passed": 1,
        "failed": ["test_some::test_bad", "test_some::test_bad_afterwards"],
        "skipped": {"no GPU": 2},
    }
