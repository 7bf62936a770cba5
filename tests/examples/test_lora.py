"""examples/lora.py, small: what it trains, what it leaves alone, what it writes, and what it says."""

import json
import re

import numpy as np
import pytest
import torch

from pedclip import PedCLIPImageProcessor, PedCLIPProcessor
from pedclip.card import CardFacts, checkout_file
from pedclip.check import check_folder
from pedclip.eval.classification import Classification
from pedclip.eval.statistics import auc_metric
from pedclip.examples import lora  # a checkout has it; an installed copy does not
from pedclip.hub import write_hub_folder

PATIENTS = 150  # fewest that leave five films with and five without some findings
ROW = re.compile(r"^(wrist|all other parts) +(\d+) +(\d+) +(\d+) +(.*)$", re.MULTILINE)
NUMBER = r"[+-]?\d\.\d{3}"
WITH_INTERVAL = re.compile(rf"{NUMBER} \({NUMBER} to {NUMBER}\)")


@pytest.fixture(scope="module")
def base(make_model, tmp_path_factory):
    """A folder with a tiny untrained model that reads the phantom's words, with convolutions and their batch norm."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("base") / "hub"
    tokenizer = AutoTokenizer.from_pretrained(checkout_file("processing/phantom/tokenizer/tokenizer.json").parent)
    model = make_model(vision={"stem_channels": [6, 8]}, text={"vocab_size": len(tokenizer)})
    processor = PedCLIPProcessor(PedCLIPImageProcessor(size={"height": 32, "width": 32}), tokenizer)
    labels = {"body_part": ["chest"], "findings": ["consolidation"], "captions": 3, "captions_from_text": 2}
    facts = CardFacts(name="Tiny", license="cc0-1.0", training_data="None: drawn at random.", results="Old results.")
    write_hub_folder(model, processor, folder, facts, training_labels=labels)
    return folder


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    lora.make_films(folder, "wrist", side=32, patients=PATIENTS)
    return folder


@pytest.fixture(scope="module")
def finished(base, films, tmp_path_factory):
    """One run of the command, and what it printed."""
    import contextlib
    import io

    out, printed = tmp_path_factory.mktemp("out") / "lora", io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert lora.main(words(base, out, films)) == 0
    return out, printed.getvalue()


def words(base, out, films, part="wrist"):
    command = f"--model {base} --part {part} --out {out} --films {films} --patients {PATIENTS} --epochs 1"
    return command.split()


def training(films, **changes):
    import dataclasses

    data = dataclasses.replace(lora.demo_data(), path=str(films / "wrist"), **changes)
    return lora.read_folder(data, split="train"), data


# ---- what is trained


def test_adapters_learn_and_the_frozen_base_stays_to_the_bit(base, films):
    model, processor = lora.load(str(base))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    samples, data = training(films)
    adapter = lora.with_lora(model, rank=2)
    lora.tune(adapter, processor, samples[:64], data, epochs=2, batch_size=32)

    after = {name.replace(".base_layer", ""): weight for name, weight in adapter.get_base_model().state_dict().items()}
    assert any("running_mean" in name for name in before)
    assert not [name for name, weight in before.items() if not torch.equal(after[name], weight)]
    sides = {name: weight for name, weight in adapter.named_parameters() if "lora_B" in name}
    assert all(weight.any() for weight in sides.values()), "each began as zero"
    assert {tower for tower in ("vision_model", "text_model") for name in sides if tower in name} == {
        "vision_model",
        "text_model",
    }
    assert sum("experts" in name for name in sides) == 2
    assert not adapter.training


def test_tuning_lowers_the_loss_on_what_it_sees(base, films):
    model, processor = lora.load(str(base))
    samples, data = training(films, augment=lora.DataConfig(path="-").augment)
    data.captions.source = "labels"  # a caption of the report would be another one in each epoch
    few = [sample for sample in samples if sample.findings][:16]
    adapter = lora.with_lora(model)
    dataset = lora.PairDataset(few, processor, data, model.config.body_parts)
    batch = lora.PairCollator(processor, data)([dataset[number] for number in range(len(few))])

    def loss():
        with torch.no_grad():
            return float(adapter(**batch, return_loss=True, teacher_forcing=True).contrastive_loss)

    before = loss()
    lora.tune(adapter, processor, few, data, epochs=30, batch_size=16, learning_rate=1e-2)
    assert loss() < before - 0.1


def test_the_merged_model_answers_as_the_adapter_and_as_its_folder(base, films, tmp_path):
    model, processor = lora.load(str(base))
    samples, data = training(films)
    adapter = lora.with_lora(model)
    lora.tune(adapter, processor, samples[:32], data, epochs=1, batch_size=32, learning_rate=1e-2)
    inputs = processor(
        images=[str(sample.path) for sample in samples[:3]],
        text=["wrist, fracture", "wrist, no finding"],
        return_tensors="pt",
        padding=True,
    )
    with torch.no_grad():
        untuned = lora.load(str(base))[0](**inputs)
        expected = adapter(**inputs)
        merged = lora.merge_and_save(adapter, processor, tmp_path / "merged")(**inputs)
        opened = lora.load(str(tmp_path / "merged"))[0](**inputs)
    for side in ("image_embeds", "text_embeds"):
        assert (expected[side] - untuned[side]).abs().max() > 1e-3
        torch.testing.assert_close(merged[side], expected[side], rtol=0, atol=2e-6)
        torch.testing.assert_close(opened[side], merged[side], rtol=0, atol=1e-6)


# ---- what is measured


def test_the_films_are_other_children_s_in_every_folder_and_split(films):
    patients = {}
    for name in ("wrist", "not-wrist"):
        rows = [json.loads(line) for line in (films / name / "metadata.jsonl").read_text().splitlines()]
        assert {row["body_part"] == "wrist" for row in rows} == {name == "wrist"}
        for row in rows:
            patients.setdefault(row["patient_id"], set()).add((name, row["split"]))
    assert all(len(places) == 1 for places in patients.values())
    assert not [patient for patient in patients if patient.startswith("phantom-0-")], "the demo's own"


def scored(positive, scores):
    answer = Classification({"value": float(auc_metric(positive, scores)(np.ones((1, len(scores))))[0])}, None)
    return Classification(answer.result, auc_metric(positive, scores))


class Film:
    def __init__(self, patient_id):
        self.patient_id = patient_id


def test_the_difference_is_that_of_the_means_on_the_same_patients():
    random = np.random.default_rng(0)
    positive = np.arange(40) % 2 == 0
    films = {"here": [Film(f"p{number // 2}") for number in range(60)]}
    rows = {"a": range(40), "b": range(20, 60)}  # each finding is asked of its own films
    noise = {name: random.normal(size=40) for name in rows}
    before = {"here": {name: (scored(positive, noise[name]), rows[name]) for name in rows}}
    after = {"here": {name: (scored(positive, noise[name] + positive), rows[name]) for name in rows}}
    (row,) = lora.compare(before, after, films)

    def auc(scores):  # by counting pairs
        return np.mean([won > lost for won in scores[positive] for lost in scores[~positive]])

    old, new = (np.mean([auc(noise[name] + shift * positive) for name in rows]) for shift in (0, 1))
    assert row["before"]["value"] == pytest.approx(old)
    assert row["after"]["value"] == pytest.approx(new)
    assert row["difference"]["value"] == pytest.approx(new - old)
    assert row["difference"]["low"] < new - old < row["difference"]["high"]
    assert (row["films"], row["patients"]) == (60, 30)
    (same,) = lora.compare(before, before, films)
    assert same["difference"]["value"] == 0 and same["difference"]["low"] is None, "paired: they differ nowhere"


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.03, "higher after tuning"),
        (-0.03, -0.01, "lower after tuning"),
        (-0.01, 0.02, "no difference that these patients can show"),
        (None, None, "no difference that these patients can show"),
    ],
)
def test_it_says_which_way_it_went_whichever_that_is(low, high, said):
    estimate = {"value": 0.0, "low": low, "high": high}
    rows = [
        {"place": place, "films": 9, "patients": 8, "findings": {"x": 1}}
        | dict.fromkeys(("before", "after", "difference"), estimate)
        for place in ("here", "elsewhere")
    ]
    assert f"wrist: {said}; all other parts: {said}." in lora.table(rows, "wrist", "test")


# ---- the command


def test_it_prints_both_rows_with_intervals_and_that_this_is_no_medicine(finished):
    _, printed = finished
    rows = ROW.findall(printed)
    assert [row[0] for row in rows] == ["wrist", "all other parts"]
    assert all(len(WITH_INTERVAL.findall(row[4])) == 3 for row in rows), "before, after, difference"
    assert "nothing about medicine" in printed
    assert re.search(r"\d\.\d minutes", printed)


def test_the_results_are_written_as_they_were_printed(finished):
    out, printed = finished
    results = json.loads((out / "results.json").read_text())
    assert results["split"] == "test" and "nothing about medicine" in results["note"]
    for row in results["rows"]:
        for key in ("before", "after", "difference"):
            assert row[key]["low"] <= row[key]["value"] <= row[key]["high"]
            assert lora.with_interval(row[key], "+" if key == "difference" else "") in printed
        assert row["findings"] and all({"before", "after"} == set(one) for one in row["findings"].values())


def test_the_merged_folder_is_complete_and_its_card_says_what_it_was_tuned_on(finished):
    out, _ = finished
    wrong = [check for check in check_folder(out / "merged") if not check.ok]
    assert not wrong
    card = (out / "merged" / "README.md").read_text()
    assert re.search(r"Tuned by LoRA on \d+ generated films of the wrist \(pedclip/phantom,\s+synthetic\)", card)
    assert "license: cc0-1.0" in card and "None: drawn at random." in card and "Old results" not in card
    assert "pedclip/phantom" in card.partition("---\n")[2].partition("---")[0], "in the list of data sets"
    assert "all other parts" in card and "nothing about medicine" in card
    labels = json.loads((out / "merged" / "training_labels.json").read_text())
    assert labels["body_part"] == ["chest", "wrist"] and "consolidation" in labels["findings"]
    assert labels["captions"] > 3


def test_the_adapter_opens_and_answers_as_the_merged_model(finished, base):
    import peft

    out, _ = finished
    card = (out / "adapter" / "README.md").read_text()
    assert "library_name: peft" in card and "nothing about medicine" in card and "More Information Needed" not in card
    opened = peft.AutoPeftModelForFeatureExtraction.from_pretrained(out / "adapter", trust_remote_code=True).eval()
    merged, processor = lora.load(str(out / "merged"))
    inputs = processor(
        images=np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8),
        text=["wrist, fracture"],
        return_tensors="pt",
    )
    with torch.no_grad():
        torch.testing.assert_close(opened(**inputs).image_embeds, merged(**inputs).image_embeds, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"part": "rist"}, "part is 'rist'; choose one that model and phantom know, with findings: chest, hand,"),
        ({"part": "knee"}, "part is 'knee'"),  # the phantom's, but none of the model's
        ({"base": "runs/no/such"}, "runs/no/such is no folder and no id on the Hub"),
        ({"out": "."}, ". exists already; name another folder"),
    ],
    ids=["no part", "not the model's part", "no model", "out is there"],
)
def test_a_mistake_is_one_line(base, tmp_path, capsys, change, message):
    given = {"base": base, "out": tmp_path / "new", "films": tmp_path / "films", **change}
    assert lora.main(words(**given)) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("lora.py: ") and message in said and "\n" not in said
    assert not (tmp_path / "new").exists() and not (tmp_path / "films").exists()


@pytest.mark.slow
def test_the_full_size_run_on_the_demo_s_model(tmp_path, capsys):
    model = checkout_file("train.py").parent / "runs/demo/hub"
    if not (model / "config.json").is_file():
        pytest.skip("runs/demo/hub is not here; `make demo` writes it")
    out, films = tmp_path / "lora", tmp_path / "films"
    assert lora.main(["--model", str(model), "--part", "wrist", "--out", str(out), "--films", str(films)]) == 0
    here, elsewhere = json.loads((out / "results.json").read_text())["rows"]
    assert len(here["findings"]) == 7 and len(elsewhere["findings"]) == 16
    assert here["patients"] > 400 and elsewhere["patients"] > 400
    assert here["before"]["value"] > 0.7, "a trained model"
    assert lora.main(["--model", str(model), "--part", "wrist", "--out", str(out), "--films", str(films)]) == 2
    assert "exists already" in capsys.readouterr().err
