"""The benchmark: official folders in, one entry a task out, with what is needed to doubt it."""

import base64
import dataclasses
import json
import shutil
import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pedclip.card_results import model_index, rows_of
from pedclip.cli import main
from pedclip.eval.bench import running, tasks
from pedclip.eval.bench.asked import Answer
from pedclip.eval.bench.by_group import by_group
from pedclip.eval.bench.maps import maps_of
from pedclip.eval.bench.phantom import FLOORS, judged, require_floors
from pedclip.eval.bench.phantom import PROMPTS as PHANTOM_PROMPTS
from pedclip.eval.bench.report import difference, html, markdown, open_run
from pedclip.eval.bench.running import NOT_AVAILABLE, Bench, run_bench, shuffled
from pedclip.eval.bench.tasks import TASKS
from pedclip.eval.bench.zero_shot import PROMPTS, askings, zero_shot
from pedclip.eval.calibration import calibration
from pedclip.eval.embeddings import load_model
from pedclip.eval.prompt_classification import SEEN, ZERO_SHOT
from pedclip.eval.statistics import auc_metric, estimate, paired_difference
from pedclip.eval.training_manifest import MANIFEST, write_manifest
from pedclip.processing.data.sample import Sample
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


def test_an_entry_has_subgroups_with_their_n_and_what_its_probabilities_are_worth(run, data_root):
    out, _ = run
    entry = json.loads((out / "tasks" / f"{ARTHRITIS}.json").read_text())
    samples = [
        one
        for one in running.official_reader("arthritis").read(data_root / "arthritis").samples
        if one.split == "test"
    ]
    told = entry["predictions"]
    assert {"age", "sex", "body part"} & entry["subgroups"].keys() and "device" not in entry["subgroups"]
    parts = entry["subgroups"]["body part"]["groups"]
    assert {row["group"]: row["n"] for row in parts} == Counter(one.body_part for one in samples)
    assert all("too few" in row["too_few"] for row in parts)  # 18 patients in all
    stated = 1 / (1 + np.exp(-np.array(told["score: arthritis"])))
    truth = np.array(told["label: arthritis"], int)
    assert entry["calibration"]["value"] == pytest.approx(
        calibration(truth, stated, told["patient"], resamples=0)["value"], abs=1e-4
    )
    page = html([open_run(out)])
    assert "By subgroup: first" in page and "Reliability: first" in page
    assert f"| {ARTHRITIS} | body part |" in markdown([open_run(out)])


def test_devices_are_told_apart_where_the_table_names_them():
    samples = [
        Sample(Path("x"), "x", "wrist", f"p{n}", "test", row={"device_manufacturer": "AB"[n % 2]}) for n in range(60)
    ]
    labels, scores = np.arange(60) % 3 == 0, np.random.default_rng(0).normal(size=60)
    patients = [one.patient_id for one in samples]
    answer = Answer({}, {}, auc_metric(labels, scores), patients)
    found = by_group(answer, samples, False, 100, 0)
    assert list(found) == ["device"] and [row["n"] for row in found["device"]["groups"]] == [30, 30]
    rows = list(range(0, 60, 2))
    assert found["device"]["groups"][0]["value"] == pytest.approx(roc_auc_score(labels[rows], scores[rows]))
    assert found["device"]["gap"]["value"] >= 0
    # an answer about half of the images, which are all from one device
    half = Answer({}, {}, auc_metric(labels[rows], scores[rows]), [patients[row] for row in rows], rows)
    assert by_group(half, samples, False, 100, 0) == {}


def test_generated_films_are_mapped_and_others_never(run, model, data_root, tmp_path):
    out, _ = run
    maps = json.loads((out / "maps.json").read_text())
    assert [(one["data_set"], one["label"]) for one in maps][1] == ("arthritis", "arthritis")
    assert base64.b64decode(maps[1]["png"]).startswith(b"\x89PNG")
    assert html([open_run(out)]).count("film, relevance and experts") == len(maps)
    real = tmp_path / "real"
    shutil.copytree(data_root / "arthritis", real / "arthritis")
    (real / "arthritis" / "README.txt").unlink()  # as if it were a hospital's
    assert maps_of(load_model(model), real, ["arthritis"], PHANTOM_PROMPTS) == []


def test_phantom_trees_never_stand_under_the_name_of_real_radiographs(run):
    out, entries = run
    assert entries[1]["data_set"].startswith("pedclip/phantom (synthetic), laid out as ")
    results = json.loads((out / "results.json").read_text())
    rows = rows_of(results)
    assert [row["task"] for row in rows] == [CHD, ARTHRITIS]  # not the one whose data are not there
    indexed = model_index([results], "zero-shot-image-classification")
    assert [one.dataset_type for one in indexed] == ["pedclip/phantom"] * 2
    assert indexed[1].metric_value == round(entries[1]["value"], 4) and indexed[1].metric_type == "roc_auc"
    with pytest.raises(ValueError, match="control with shuffled labels"):
        rows_of({**results, "shuffled_labels": True})


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


@pytest.fixture
def again(run, bench, tmp_path):
    """A copy of the finished run, a changeable copy of its data, and what was asked of it anew."""
    shutil.copytree(run[0], tmp_path / "first")
    shutil.copytree(bench.data_root, tmp_path / "data")
    here = dataclasses.replace(bench, data_root=tmp_path / "data")
    return tmp_path / "first", here


def test_an_answer_is_used_again_only_for_the_same_images(again, run, monkeypatch):
    out, bench = again
    samples = running.official_reader("arthritis").read(bench.data_root / "arthritis").samples
    train = next(one for one in samples if one.split == "train")
    table = bench.data_root / "arthritis" / "arthritis.csv"
    rows = table.read_text().splitlines()
    place = next(number for number, row in enumerate(rows) if train.path.name in row)
    rows[place] = rows[place][:-1] + str(1 - int(rows[place][-1]))  # the last concept
    table.write_text("\n".join(rows) + "\n")
    loaded = []
    monkeypatch.setattr(running, "load_model", lambda folder: loaded.append(folder) or load_model(folder))
    entries = run_bench(bench, out, [CHD, ARTHRITIS])
    assert loaded and entries[0] == run[1][0]  # the other data set's answer stays
    assert entries[1]["data_hashes"] != run[1][1]["data_hashes"]
    assert entries[1]["data_hash"] == run[1][1]["data_hash"]  # a training image alone was changed


def test_other_prompts_of_the_same_name_are_another_run(again, bench, tmp_path):
    out, here = again
    (tmp_path / "other").mkdir()
    prompts = tmp_path / "other" / bench.prompts.name
    prompts.write_text(bench.prompts.read_text() + "\n# reworded\n")
    with pytest.raises(ValueError, match=r"another run \(prompts_sha256 differ\)"):
        run_bench(dataclasses.replace(here, prompts=prompts), out, [CHD])


def test_what_failed_is_asked_again_and_one_bad_tree_ends_no_run(bench, data_root, tmp_path, capsys):
    root = tmp_path / "data"
    shutil.copytree(data_root, root)
    table = root / "arthritis" / "arthritis.csv"
    whole = table.read_text()
    header, *rows = whole.splitlines()
    table.write_text("\n".join([f"{header},split", *(f"{row},train" for row in rows)]) + "\n")
    here = dataclasses.replace(bench, data_root=root)
    entries = run_bench(here, tmp_path / "out", [ARTHRITIS, CHD])
    by_task = {entry["task"]: entry for entry in entries}
    assert "no images in split validation" in by_task[ARTHRITIS]["status"] and "value" in by_task[CHD]
    assert running.failed(entries) == [ARTHRITIS]
    command = ["bench", str(bench.model), "--data-root", str(root), "--out", str(tmp_path / "cli")]
    command += ["--resamples", "100", "--tasks", ARTHRITIS, CHD]
    assert main(command) == 1
    assert "1 of 2 tasks were not answered" in capsys.readouterr().out
    table.write_text(whole)
    entries = run_bench(here, tmp_path / "out", [ARTHRITIS, CHD])
    assert all("value" in entry for entry in entries)


def test_a_second_call_keeps_what_an_earlier_one_answered(again):
    out, bench = again
    run_bench(bench, out, ["probe-arthritis"])
    tasks = [entry["task"] for entry in json.loads((out / "results.json").read_text())["tasks"]]
    assert tasks == [CHD, ARTHRITIS, "zero-shot-grazpedwri-dx", "probe-arthritis"]
    assert len(json.loads((out / "maps.json").read_text())) == 2
    assert open_run(out)["entries"].keys() == set(tasks)


def test_a_file_that_was_cut_off_is_named(again):
    out, bench = again
    file = out / "tasks" / f"{CHD}.json"
    file.write_text(file.read_text()[:300])
    for call in (lambda: run_bench(bench, out, [ARTHRITIS]), lambda: open_run(out)):
        with pytest.raises(ValueError, match=f"{CHD}.json is no whole JSON .*remove it and run"):
            call()


def test_a_failing_map_is_a_warning_after_the_results(bench, tmp_path, monkeypatch):
    def fails(*given):
        assert (tmp_path / "out" / "results.json").is_file()
        raise RuntimeError("no gradient")

    monkeypatch.setattr(running, "maps_of", fails)
    said = []
    run_bench(bench, tmp_path / "out", [ARTHRITIS], say=said.append)
    assert said[-1] == "  no relevance maps, and the results are whole: no gradient"
    assert not (tmp_path / "out" / "maps.json").exists()


def test_an_allowed_leak_is_marked_and_no_result_of_a_card(bench, model, data_root, tmp_path):
    hub = tmp_path / "run" / "hub"
    shutil.copytree(model, hub)
    samples = running.official_reader("arthritis").read(data_root / "arthritis").samples
    write_manifest(
        hub.parent / MANIFEST, {"train": [one for one in samples if one.split == "test"][:3]}, ["arthritis"]
    )
    here, out = dataclasses.replace(bench, model=hub), tmp_path / "out"
    (refused,) = run_bench(here, out, [ARTHRITIS])
    assert refused["status"].startswith("not answered: 3 of") and "--allow-leaks" in refused["status"]
    (allowed,) = run_bench(dataclasses.replace(here, allow_leaks=True), out, [ARTHRITIS])
    assert "LEAK" in running.line_of(allowed)
    for page in (markdown([open_run(out)]), html([open_run(out)])):
        assert "LEAK: the model was trained on this" in page and "is no test of the model: 3 of" in page
    with pytest.raises(ValueError, match=f"{ARTHRITIS} was measured on what the model was trained on"):
        rows_of(json.loads((out / "results.json").read_text()))
    (again,) = run_bench(here, out, [ARTHRITIS])  # without the flag it refuses as the first call did
    assert again["status"] == refused["status"]
    assert "LEAK" not in markdown([open_run(out)])


def test_unknown_leaks_are_said_on_the_line_and_on_the_page(run):
    out, entries = run
    assert entries[1]["leaks"]["found"] is None
    assert "leaks: unknown" in running.line_of(entries[1]) and "leaks: unknown" in markdown([open_run(out)])


def test_a_task_of_the_paper_without_a_floor_is_named(monkeypatch):
    require_floors()
    monkeypatch.delitem(FLOORS, "concepts")
    with pytest.raises(ValueError, match=r"concepts is of_the_paper and has no floor; .*FLOORS"):
        require_floors()


def test_nothing_that_is_written_names_a_patient_or_a_file(run, data_root):
    out, _ = run
    written = "".join(file.read_text() for file in out.rglob("*.json")) + html([open_run(out)])
    samples = running.official_reader("arthritis").read(data_root / "arthritis").samples
    for sample in samples:
        assert sample.patient_id not in written and sample.file_name not in written
    assert str(data_root) not in written


def test_the_control_deals_out_labels_and_keeps_pictures_and_patients(bench):
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
    alike = {"value": 0, "low": None, "high": None, "no_interval": "the resamples do not differ"}
    assert difference(pair[0], pair[0]) == alike
    rare = {**pair[1], "low": None, "high": None, "no_interval": "4 patients on one side"}
    assert difference(pair[0], rare)["low"] is None
    assert difference({**pair[0], "without_each": None}, pair[1]) is None
    assert difference(pair[0], {**pair[1], "data_hash": "other images"}) is None
    assert "first minus other" in markdown([first, other])


def test_a_difference_has_the_interval_that_both_models_together_would_give():
    random = np.random.default_rng(2)
    labels, patients = np.arange(90) % 3 == 0, [f"p{number // 2}" for number in range(90)]
    metrics = [auc_metric(labels, random.normal(size=90) + shift * labels) for shift in (1.0, 0.5)]
    bench = Bench(Path("m"), Path("d"), resamples=300, seed=4)
    entries = []
    for metric in metrics:
        found = estimate(metric, patients, 300, 4)
        kept = {"data_hash": "h", "seed": 4, "resamples_asked": 300, "metric": "AUC", **found.to_dict()}
        written = json.dumps({**kept, **running.draws_of(Answer({}, {}, metric, patients), bench)})
        entries.append(json.loads(written))
    expected = paired_difference(*metrics, patients, 300, 4)
    found = difference(*entries)
    assert [found[key] for key in ("value", "low", "high")] == pytest.approx(
        [expected.value, expected.low, expected.high]
    )


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


def test_bench11_judges_floors_and_controls():
    random = np.random.default_rng(0)

    def entry(task: str, value: float, spread: float) -> dict:
        drawn, without_each = random.normal(value, spread, 1000), random.normal(value, spread / 100, 80)
        return {
            **{"task": task, "title": "", "data_set": "", "metric": "", "n": 80, "patients": 80, "seconds": 1.0},
            **{"value": value, "low": value - 2 * spread, "high": value + 2 * spread, "chance": 0.5},
            **{"draws": drawn.tolist(), "without_each": without_each.tolist()},
        }

    def judge(task: str, value: float, control: float) -> tuple[bool, bool]:
        row = judged(entry(task, value, 0.02), entry(task, control, 0.02))
        assert row["control"]["low_of_all"] < row["control"]["low"]  # eleven are looked at
        return row["reaches_floor"], row["control_covers_chance"]

    two = [{"class": "a", "in_mean": True}, {"class": "b", "in_mean": False}]
    row = judged(
        {**entry("zero-shot-vindr-pcxr", 0.9, 0.02), "classes": two}, entry("zero-shot-vindr-pcxr", 0.5, 0.02)
    )
    assert row["labels"] == [1, 14]  # the prompts ask about fewer than the data set has
    none = {**entry("zero-shot-arthritis", 0.5, 0.02), "low": None, "high": None}
    assert not judged(entry("zero-shot-arthritis", 0.9, 0.02), none)["control_covers_chance"]
    assert judge("zero-shot-arthritis", 0.9, 0.51) == (True, True)
    assert judge("zero-shot-arthritis", 0.55, 0.45) == (False, True)  # 2.5 spreads off: one of eleven may be
    assert judge("zero-shot-arthritis", 0.9, 0.6) == (True, False)
    assert judge("bone-age", 0.4, 0.5) == (True, True)  # less error is better
    assert judge("bone-age", 60.0, 0.5)[0] is False


def test_the_row_that_contributing_shows_is_a_task(again, monkeypatch):
    out, bench = again
    page = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = page.split("<!-- snippet: task -->", 1)[1].split("```python\n", 1)[1].split("```", 1)[0]
    row = eval(textwrap.dedent(code), vars(tasks))
    monkeypatch.setitem(TASKS, row.name, row)
    (entry,) = run_bench(bench, out, [row.name])
    assert entry["title"] == row.title and entry["share"] == 0.5 and "value" in entry


def test_findings_that_the_demo_learned_are_no_zero_shot(bench, data_root):
    labels = {"findings": ["atrial septal defect", "soft tissue swelling"], "body_part": [], "captions": 9}
    for given, kind in ((labels, SEEN), ({**labels, "findings": ["fracture"]}, ZERO_SHOT)):
        asked = running.ask(bench, dataclasses.replace(load_model(bench.model), training_labels=given), "arthritis")
        assert zero_shot(asked, "arthritis", PHANTOM_PROMPTS).result["kind"] == kind
