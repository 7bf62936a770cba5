"""`make demo` from end to end, small: films, training, evaluation, a fresh process, the report."""

import json
import re

import pytest

from pedclip.card import checkout_file
from pedclip.demo import main
from pedclip.eval.embeddings import model_hash

SMALL = ["epochs=1", "batch_size=16", "precision=fp32", "log_every=5", "model.vision_config.image_size=32"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "run"
    settings = [word for one in SMALL for word in ("--set", one)]
    assert main([str(out), "--patients", "110", "--side", "32", *settings]) == 0
    return out


def test_it_leaves_results_with_intervals_time_and_memory(run):
    results = json.loads((run / "results.json").read_text())
    for name in ("body_part_auc", "finding_auc", "gate_accuracy"):
        assert 0 <= results[name]["low"] <= results[name]["value"] <= results[name]["high"] <= 1
        assert results[name]["classes"] and all("n" in one for one in results[name]["classes"])
    assert results["seconds"] > 0 and 0 < results["peak_rss_gib"] < 4
    assert set(results["by_dose"]) == {"1", "1/4", "1/16"}
    assert results["data_set"] == "pedclip/phantom (synthetic)"
    assert "nothing about medicine" in results["note"]
    assert results["rows"][0]["entries"][1:], "trivial methods stand beside the model"
    assert results["leaks"]["found"] is False and results["model_hash"] == model_hash(run / "hub")
    told = json.loads((run / "predictions.json").read_text())
    assert told["model_hash"] == results["model_hash"] and len(told["gate"]["chosen"]) == results["images"]["test"]
    assert "PedCLIP" in told["questions"]["body-part"] and "phantom-" not in (run / "predictions.json").read_text()


def test_the_folder_names_the_data_sets_that_it_was_trained_on(run):
    assert json.loads((run / "hub" / "training_labels.json").read_text())["data_sets"] == ["phantom"]


def test_the_report_says_what_it_is_and_shows_films_curves_and_the_gate(run):
    page = (run / "report.html").read_text()
    assert "Software, not medicine" in page and "width=device-width" in page
    assert page.count("<figure>") >= 3 and page.count("data:image/svg") >= 3
    assert "What it looks at" in page and page.count("film, relevance and experts") >= 1
    assert "dose" in page and not re.search(r'src="(?!data:)', page)


def test_the_model_folder_is_complete(run):
    for name in ("config.json", "model.safetensors", "README.md", "LICENSE", "tokenizer.json"):
        assert (run / "hub" / name).is_file()
    assert "phantom" in (run / "hub" / "README.md").read_text()


def test_the_makefile_runs_it():
    makefile = (checkout_file("train.py").parent / "Makefile").read_text()
    assert re.search(r"^demo: .*\n\t\$\(PY\) -m pedclip.demo runs/demo$", makefile, re.MULTILINE)
