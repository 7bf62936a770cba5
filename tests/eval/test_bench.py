"""The benchmark: official folders in, one entry a task out, with what is needed to doubt it."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pedclip.cli import main
from pedclip.eval.bench import running
from pedclip.eval.bench.phantom import PROMPTS as PHANTOM_PROMPTS
from pedclip.eval.bench.report import difference, html, markdown, open_run
from pedclip.eval.bench.running import NOT_AVAILABLE, Bench, run_bench, shuffled
from pedclip.eval.bench.tasks import TASKS
from pedclip.eval.bench.zero_shot import PROMPTS, askings, zero_shot
from pedclip.processing.phantom.official import write_official

CHD, ARTHRITIS = "zero-shot-chd-cxr", "zero-shot-arthritis"


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("official")
    write_official("chd-cxr", root / "chd-cxr", patients=260, seed=3, side=48)
    write_official("arthritis", root / "arthritis", patients=260, seed=3, side=48)
    return root


@pytest.fixture(scope="session")
def model(make_model, make_processor, tmp_path_factory):
    folder, processor = tmp_path_factory.mktemp("model"), make_processor()
    parts = ["chest", "hand", "wrist", "hip", "knee", "ankle", "elbow", "finger", "foot", "shoulder"]
    vision = {"num_experts": len(parts)}
    make_model(vision=vision, text={"vocab_size": len(processor.tokenizer)}, body_parts=parts).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bench(model, data_root):
    return Bench(model, data_root, PHANTOM_PROMPTS, resamples=200)


@pytest.fixture(scope="session")
def run(bench, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "first"
    return out, run_bench(bench, out, [CHD, ARTHRITIS, "zero-shot-grazpedwri-dx"])


def test_values_are_scikit_learns_on_the_predictions_that_are_written(run):
    out, _ = run
    arthritis = json.loads((out / "tasks" / f"{ARTHRITIS}.json").read_text())
    told = arthritis["predictions"]
    assert arthritis["value"] == pytest.approx(roc_auc_score(told["label: arthritis"], told["score: arthritis"]))
    assert arthritis["low"] < arthritis["value"] < arthritis["high"]
    assert arthritis["n"] == arthritis["images"]["test"] == len(told["patient"])
    assert arthritis["patients"] == len(set(told["patient"]))

    chd = json.loads((out / "tasks" / f"{CHD}.json").read_text())
    told, names = chd["predictions"], [row["class"] for row in chd["classes"]]
    logits = np.array([told[f"score: {name}"] for name in names], float).T
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    one_by_one = [roc_auc_score(np.array(told["label"]) == name, shares[:, place]) for place, name in enumerate(names)]
    assert chd["value"] == pytest.approx(np.mean(one_by_one), abs=2e-3)  # written with five digits
    assert chd["chance"] == 0.5 and chd["metric"] == "macro AUC"
    spread = chd["paraphrases"]
    assert spread["lowest"] == min(spread["value_by_template"].values()) < spread["highest"]


def test_a_data_set_that_is_not_there_stays_a_row_with_the_way_to_get_it(run):
    out, entries = run
    missing = entries[-1]
    assert missing["status"] == NOT_AVAILABLE and "dataset.csv" in missing["needs"]
    assert NOT_AVAILABLE in markdown([open_run(out)]) and NOT_AVAILABLE in html([open_run(out)])


def test_a_task_that_cannot_be_answered_says_why_and_stops_no_other(bench, data_root, tmp_path):
    few = tmp_path / "few"
    (few / "chd-cxr").mkdir(parents=True)
    write_official("arthritis", few / "arthritis", patients=60, seed=3, side=48)
    (few / "chd-cxr").rmdir()
    (few / "chd-cxr").symlink_to(data_root / "chd-cxr")
    entries = run_bench(dataclasses.replace(bench, data_root=few), tmp_path / "out", [CHD, ARTHRITIS])
    assert "value" in entries[0]
    assert entries[1]["status"].startswith("not answered: no label of arthritis has 5 images with and without it")


def test_a_run_goes_on_and_refuses_other_settings(run, bench, monkeypatch):
    out, entries = run
    monkeypatch.setattr(running, "load_model", None)  # nothing is left to do
    assert run_bench(bench, out, [CHD, ARTHRITIS, "zero-shot-grazpedwri-dx"]) == entries
    with pytest.raises(ValueError, match=r"another run \(seed differ\)"):
        run_bench(dataclasses.replace(bench, seed=1), out, [CHD])


def test_nothing_that_is_written_names_a_patient_or_a_file(run, data_root):
    out, _ = run
    written = "".join(file.read_text() for file in out.rglob("*.json")) + html([open_run(out)])
    samples = running.official_reader("arthritis").read(data_root / "arthritis").samples
    for sample in samples:
        assert sample.patient_id not in written and sample.file_name not in written
    assert str(data_root) not in written


def test_the_control_deals_out_labels_and_keeps_pictures_and_patients(bench):
    from pedclip.eval.embeddings import load_model

    asked = running.ask(bench, load_model(bench.model), "arthritis")
    images = asked.splits["test"]
    control = shuffled(images, seed=0)
    assert [one.path for one in control.samples] == [one.path for one in images.samples]
    assert control.patients == images.patients
    assert sorted(one.findings for one in control.samples) == sorted(one.findings for one in images.samples)
    assert [one.findings for one in control.samples] != [one.findings for one in images.samples]
    answer = zero_shot(
        dataclasses.replace(asked, splits={**asked.splits, "test": control}), "arthritis", PHANTOM_PROMPTS
    )
    assert answer.predictions["score: arthritis"] == sorted_as(asked, images)
    assert answer.result["low"] < 0.5 < answer.result["high"]


def sorted_as(asked, images):
    answer = zero_shot(dataclasses.replace(asked, splits={"test": images}), "arthritis", PHANTOM_PROMPTS)
    return answer.predictions["score: arthritis"]


def test_two_runs_are_compared_on_the_same_resamples(run, bench, tmp_path):
    out, _ = run
    run_bench(dataclasses.replace(bench, prompts=PROMPTS), tmp_path / "other", [CHD])
    first, other = open_run(out), open_run(tmp_path / "other")
    pair = (first["entries"][CHD], other["entries"][CHD])
    found = difference(*pair)
    assert found["value"] == pytest.approx(pair[0]["value"] - pair[1]["value"])
    apart = np.hypot(*(one["high"] - one["low"] for one in pair))
    assert 0 < found["high"] - found["low"] < 1.2 * apart  # drawn together: mostly narrower than apart
    assert difference(pair[0], pair[0]) == {"value": 0, "low": 0, "high": 0}
    assert difference(pair[0], {**pair[1], "data_hash": "other images"}) is None
    assert "first minus other" in markdown([first, other])


def test_both_prompt_files_ask_every_data_set_and_say_what_is_wrong_with_them(tmp_path):
    assert askings(PROMPTS).keys() == askings(PHANTOM_PROMPTS).keys()
    assert len(askings(PROMPTS)["vindr-pcxr"].questions) == 14
    own = tmp_path / "own.yaml"
    own.write_text("wrist: {asks: x, min_images: 5, prompts: ['{words}'], labels: {fracture: {positive: [a]}}}")
    with pytest.raises(ValueError, match="wrist, fracture, needs positive and negative"):
        askings(own)
    other = tmp_path / "other.yaml"
    other.write_text("wrist: {asks: x, prompts: ['{words}']}")
    with pytest.raises(ValueError, match="wrist has asks, prompts; it needs"):
        askings(other)


def test_the_commands_run_and_mistakes_are_one_line(run, model, data_root, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["bench", str(model), "--data-root", str(data_root), "--out", "out", "--resamples", "100"]
    assert main([*command, "--tasks", CHD]) == 0
    assert CHD in capsys.readouterr().out
    assert main(["report", "out", "--out", "page.md"]) == 0 and (tmp_path / "page.md").is_file()
    for wrong, said in (
        ([*command, "--tasks", "zero-shot"], f"unknown task 'zero-shot'; there are {next(iter(TASKS))}"),
        (["bench", str(model), "--data-root", "nowhere", "--out", "out"], "nowhere is no folder"),
        (["report", "nowhere"], "nowhere is no run"),
        (["report", "out", "--out", "page.pdf"], "ends in .html or .md"),
    ):
        assert main(wrong) == 2
        assert said in capsys.readouterr().err
