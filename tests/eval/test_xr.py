"""The run's evaluation puts baselines beside every number and writes a page without any patient's image."""

import json

import numpy as np
import pytest

from pedclip.configuration.data import DataConfig
from pedclip.eval import xr
from pedclip.eval.baselines import BASELINES, PROBE, extract, fit_and_score
from pedclip.eval.embeddings import model_hash
from pedclip.eval.retrieval import matched
from pedclip.eval.retrieval_baselines import closeness_to_captions
from pedclip.eval.training_manifest import MANIFEST, write_manifest
from pedclip.processing.data.folder import read_folder


@pytest.fixture
def run(tested, processor, tmp_path):
    for place, keep_aspect_ratio in (("hub", False), ("padded/hub", True)):
        processor.image_processor.keep_aspect_ratio = keep_aspect_ratio
        tested.model.save_pretrained(tmp_path / place)
        processor.save_pretrained(tmp_path / place)
        (tmp_path / place / "training_labels.json").write_text(json.dumps(tested.training_labels))
    lines = [{"step": n, "epoch": n / 4, "train/loss": 3 / n, "train/gate_loss": 1 / n} for n in range(1, 9)]
    lines += [{"step": 4 * n, "epoch": n, "validation/body_part_auc": 0.5 + n / 10} for n in (1, 2)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_a_run_gets_results_and_a_report(run, collection, capsys, monkeypatch):
    monkeypatch.setattr(xr, "RESAMPLES", 50)
    assert xr.main([str(run), "--data", str(collection)]) == 0
    results = json.loads((run / "results.json").read_text())

    for key in (
        "body_part_auc",
        "pneumonia_auc",
        "viral_bacterial_auc",
        "scoliosis_auc",
        "retrieval_r1",
        "gate_accuracy",
    ):
        assert {"value", "low", "high", "n", "patients"} <= set(results[key])
    assert list(results["fittings"]) == ["resize", "padding"]
    first = results["rows"][0]
    assert [entry["method"] for entry in first["entries"]] == ["PedCLIP", PROBE.name, *BASELINES]
    assert all("pedclip_minus_this" in entry for entry in first["entries"][1:])
    # within the one source that has both; Kermany alone is a row already, and so is the only source of spines
    assert {row["key"] for row in results["rows"] if ": " in row["key"]} == {
        "body_part_auc: other",
        "pneumonia_auc: other",
    }

    assert results["leaks"]["found"] is None and results["model_hash"] == model_hash(run / "hub")
    told = json.loads((run / "predictions.json").read_text())
    assert told["data_hash"] == results["data_hash"] and list(told["fittings"]) == ["resize", "padding"]
    said = told["fittings"]["resize"]["scoliosis_auc"]
    assert list(said) == ["PedCLIP", PROBE.name, *BASELINES]
    assert {len(column) for column in said["PedCLIP"].values()} == {results["scoliosis_auc"]["n"]}
    assert "leaks, resize: unknown" in (run / "report.html").read_text()

    detected = results["gate_detector"]
    assert detected["unknown"]["no X-ray"] == 120 and detected["known"] + detected["unknown"]["unknown part"] == 96
    retrieved = results["retrieval_r1"]
    methods = [row["method"] for row in retrieved["baselines"]]
    assert methods[-1].startswith("commonest") and len(set(methods)) == len(BASELINES) + 1
    nearest = retrieved["baselines"][0]["image_to_text"]["R@1"]
    apart = nearest["pedclip_minus_this"]
    assert apart["value"] == pytest.approx(retrieved["value"] - nearest["value"])
    assert results["training_minutes"] == {"resize": None}
    assert results["patients"]["test"] == results["rows"][0]["entries"][0]["patients"]

    printed = capsys.readouterr().out
    assert "| body part, all sources |" in printed
    assert "above PedCLIP" in printed  # a random model loses to brightness
    page = (run / "report.html").read_text()
    assert "Not a medical device" in page and 'name="viewport"' in page
    assert "data:image/svg+xml" in page
    assert "http" not in page.replace("http://www.w3.org", "")  # nothing is fetched from anywhere
    assert "image/png" not in page and "image/jpeg" not in page and "0.png" not in page


def test_the_caption_of_the_nearest_training_image_is_found_first():
    train = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    test = np.array([[1.0, 0.0], [9.0, 1.0], [5.0, 5.1]])
    closeness = closeness_to_captions(train, ["a", "b", "c"], test, ["a", "b", "d"])
    spread = train.std(0)  # the features are standardised by the training images
    expected = np.linalg.norm((test[:, None] - train[None, :2]) / spread, axis=2)
    np.testing.assert_allclose(-closeness[:, :2], expected, atol=1e-9)
    assert np.isneginf(closeness[:, 2]).all()  # no training image has that caption
    found = matched([0, 1, 2], ["a", "b", "d"], closeness)
    assert found.ranks["image_to_text"].tolist() == [0, 0, 2]
    assert found.ranks["text_to_image"].tolist() == [0, 0, 2]  # equally far from all: as bad as can be


def test_a_run_without_a_model_says_what_is_missing(tmp_path, collection, capsys):
    assert xr.main([str(tmp_path), "--data", str(collection)]) == 2
    assert "has no model" in capsys.readouterr().err


def test_models_in_the_wrong_place_are_refused(run, collection, capsys):
    (run / "hub").rename(run / "other")
    (run / "padded" / "hub").rename(run / "hub")
    assert xr.main([str(run), "--data", str(collection)]) == 2
    assert "keep_aspect_ratio=True" in capsys.readouterr().err


def test_a_baseline_finds_a_planted_difference_and_never_sees_test_labels(collection):
    from pedclip.configuration.data import DataConfig

    config = DataConfig(path=str(collection))
    parts = {}
    for split in ("train", "validation", "test"):
        samples = [sample for sample in read_folder(config, split=split) if sample.body_part == "spine"]
        labels = ["scoliosis" if "scoliosis" in sample.findings else "normal" for sample in samples]
        parts[split] = (extract(samples, keep_aspect_ratio=False), labels)
    for name, baseline in BASELINES.items():
        train, validation, test = ((features[name], labels) for features, labels in parts.values())
        scores, strength = fit_and_score(baseline, ["scoliosis", "normal", "neither"], train, validation, test[0])
        assert scores.shape == (len(test[1]), 3) and strength in baseline.strengths
        assert (scores[:, 2] == 0).all()  # a class that training lacks
        if name != "HOG, logistic regression":  # gradients do not see brightness
            assert ((scores[:, 0] > scores[:, 1]) == (np.array(test[1]) == "scoliosis")).mean() > 0.9


def test_a_model_that_was_trained_on_the_test_images_is_refused(run, collection, capsys):
    test = read_folder(DataConfig(path=str(collection)), split="test", need_caption=False)
    write_manifest(run / MANIFEST, {"train": test[:2]})
    assert xr.main([str(run), "--data", str(collection)]) == 2
    assert f"2 of {len(test)} test images were in training" in capsys.readouterr().err
    assert not (run / "results.json").exists()
