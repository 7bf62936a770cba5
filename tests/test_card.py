"""The card that goes with a model: read again as the Hub reads it, its snippets run where nothing else is known."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from pedclip import PedCLIPForImageClassification
from pedclip.card import CardFacts, facts_of
from pedclip.card_results import card_changes, model_index, refuse_other_models, rows_of
from pedclip.hub import update_card, write_hub_folder
from pedclip.samples import SAMPLES, draw, sample_files

FACTS = CardFacts(
    name="Tiny",
    license="other",
    training_data="Sixteen phantom wrists.",
    datasets=("phantom", "grazpedwri-dx", "our-wrists"),
    base_models=("google/vit-base-patch16-224", "emilyalsentzer/Bio_ClinicalBERT"),
    hardware="Trained in 0.10 hours on 2 CPU cores.",
    emissions_grams=12.5,
)
SNIPPET = re.compile(r"<!-- snippet: (\w+) -->\n```python\n(.*?)```\n```\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def folders(make_model, make_processor, tmp_path_factory) -> dict[str, Path]:
    """One folder of each kind that can be published."""
    processor, where = make_processor(), tmp_path_factory.mktemp("cards")
    model = make_model(text={"vocab_size": len(processor.tokenizer)}, num_labels=2)
    write_hub_folder(model, processor, where / "whole", FACTS)
    write_hub_folder(PedCLIPForImageClassification(model.config), processor, where / "classifier", FACTS)
    write_hub_folder(model.vision_model, processor.image_processor, where / "tower", FACTS)
    pools = make_model(text={"vocab_size": len(processor.tokenizer)}, volume_pooling="attention")
    write_hub_folder(pools, processor, where / "volumes", FACTS)
    return {path.name: path for path in where.iterdir()}


def result(**changes) -> dict:
    kept = {
        "task": "body-part",
        "kind": "prompt classification, seen classes",
        "metric": "macro AUC",
        "value": 0.98765,
    }
    return {**kept, "low": 0.98, "high": 0.99, "chance": 0.5, "n": 380, "patients": 90, "split": "test", **changes}


def test_the_metadata_are_what_the_hub_reads(folders):
    data = ModelCard.load(folders["whole"] / "README.md").data
    assert (data.language, data.library_name, data.pipeline_tag) == (
        "en",
        "transformers",
        "zero-shot-image-classification",
    )
    assert (data.license, data.license_name, data.license_link) == (
        "other",
        "terms-of-the-training-data",
        "README.md#licence",
    )
    assert data.datasets == ["pedclip/phantom", "grazpedwri-dx", "our-wrists"]
    assert data.base_model == list(FACTS.base_models)
    assert data.co2_eq_emissions["emissions"] == 12.5
    assert {ModelCard.load(folders[name] / "README.md").data.pipeline_tag for name in ("tower", "classifier")} == {
        "image-feature-extraction",
        "image-classification",
    }


def test_the_widget_shows_films_that_lie_in_the_folder_and_are_nobodys(folders):
    widget = ModelCard.load(folders["whole"] / "README.md").data.widget
    assert [one["src"] for one in widget] == [f"samples/{sample.file_name}" for sample in SAMPLES]
    assert all((folders["whole"] / one["src"]).is_file() and "Phantom" in one["example_title"] for one in widget)
    assert all(len(one["candidate_labels"].split(", ")) == 4 for one in widget)
    for name in ("tower", "classifier"):
        assert ModelCard.load(folders[name] / "README.md").data.get("widget") is None
        assert not (folders[name] / "samples").exists()


def test_the_samples_are_what_the_phantom_draws(tmp_path):
    draw(tmp_path)
    for kept in sample_files():
        one, other = (np.asarray(Image.open(path)).astype(int) for path in (kept, tmp_path / kept.name))
        assert np.abs(one - other).max() <= 1  # sums in another order, on another processor, may round the other way


def test_every_data_set_is_attributed_with_its_terms(folders):
    text = ModelCard.load(folders["whole"] / "README.md").text
    assert "- pedclip/phantom (synthetic): processing/phantom. Licence: apache-2.0" in text
    assert "- GRAZPEDWRI-DX: Nagy et al., Scientific Data 9:222 (2022)" in text
    assert "- our-wrists: stated by the model's author; its terms are not known here" in text


def test_a_card_says_all_its_facts_again(folders):
    assert facts_of(ModelCard.load(folders["whole"] / "README.md")) == FACTS


def test_results_become_a_model_index_with_intervals_and_survive(folders):
    update_card(folders["tower"], **card_changes([result(data_set="pedclip/phantom (synthetic)")]))
    card = ModelCard.load(folders["tower"] / "README.md")
    (found,) = card.data.eval_results
    assert (found.dataset_name, found.dataset_type) == ("pedclip/phantom (synthetic)", "pedclip/phantom")
    assert (found.dataset_config, found.task_name) == (
        "body-part, prompt classification, seen classes",
        "prompt classification, seen classes",
    )
    assert (found.metric_type, found.metric_name, found.metric_value) == ("roc_auc", "macro AUC", 0.9877)
    assert found.metric_args == {"n": 380, "interval_95": [0.98, 0.99], "patients": 90}
    assert card.data.model_name == "Tiny"
    assert "0.988 | 0.980 to 0.990 | 0.500 | 380 | test | pedclip/phantom (synthetic) |" in card.text
    again = facts_of(card)
    update_card(folders["tower"], name="Other")
    assert facts_of(ModelCard.load(folders["tower"] / "README.md")).eval_results == again.eval_results


def test_only_this_models_own_numbers_are_indexed():
    """Not those of trivial methods, nor of the same recipe with images made square in another way."""

    def row(fitting: str) -> dict:
        entries = [{"method": "PedCLIP", **result()}, {"method": "thumbnail", **result(value=0.5)}]
        return {"title": "body part", "fitting": fitting, "entries": entries}

    run = {
        "rows": [row("resize"), row("pad")],
        "headline_fitting": "resize",
        "gate_accuracy": result(metric="accuracy"),
    }
    assert [(one["task"], one["value"]) for one in rows_of(run)] == [("body part", 0.98765), ("gate", 0.98765)]
    assert [one.metric_type for one in model_index([run], "x")] == ["roc_auc", "accuracy"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"loss": 1}, "'loss'; give what"),
        ([], "holds a list; give what"),
        ({"rows": 3}, "'rows'; give what"),
        ({"task": "x"}, "lacks high, kind, low, metric, n, value"),
        (result(value=float("nan")), "lacks a finite value"),
    ],
)
def test_what_is_no_result_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        rows_of(wrong)


def test_two_ways_of_measuring_one_task_stay_apart(folders):
    two = [result(), result(kind="linear probe", value=0.5, low=None, high=None)]
    update_card(folders["tower"], **card_changes(two))
    found = ModelCard.load(folders["tower"] / "README.md").data.eval_results
    assert [(one.task_name, one.metric_value) for one in found] == [
        ("prompt classification, seen classes", 0.9877),
        ("linear probe", 0.5),
    ]
    assert "interval_95" not in found[1].metric_args


def test_the_demos_subgroups_stand_in_the_card(folders):
    mean = {"value": 0.8, "low": 0.7, "high": 0.9, "n": 100}
    demo = {"rows": [], "note": "Phantom.", "by_age": {"0-2": {"finding_auc": mean, "films": 12}}}
    update_card(folders["classifier"], **card_changes([demo]))
    text = ModelCard.load(folders["classifier"] / "README.md").text
    assert "| age 0-2 | 0.800 | 0.700 to 0.900 | 12 |" in text
    assert "> Phantom." in text


def snippets(folder: Path) -> dict[str, tuple[str, str]]:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.count("```python") == len(SNIPPET.findall(text))
    return {name: (code, printed) for name, code, printed in SNIPPET.findall(text)}


def printed_by(code: str, folder: Path, where: Path) -> str:
    """In a fresh process that has the folder, a radiograph and no network."""
    Image.open(sample_files()[0]).save(where / "radiograph.png")
    code = code.replace("this folder, or its id on the Hub", str(folder))
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(where / "home"), "PATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=where, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("kind", ["tower"])
def test_the_towers_snippet_runs_and_prints_what_the_card_says(folders, tmp_path, kind):
    for code, printed in snippets(folders[kind]).values():
        assert printed_by(code, folders[kind], tmp_path) == printed


def test_the_endpoints_snippet_of_the_docs_prints_what_it_says(folders, tmp_path):
    text = (Path(__file__).parents[1] / "docs" / "hub.md").read_text(encoding="utf-8")
    ((code, printed),) = re.findall(r"```python\n(.*?)```\n```\n(.*?)```", text, re.DOTALL)
    (tmp_path / "my-model").symlink_to(folders["whole"])
    assert printed_by(code, folders["whole"], tmp_path) == printed


def test_the_card_of_a_model_for_volumes_says_so(folders, tmp_path):
    texts = {name: " ".join((folder / "README.md").read_text().split()) for name, folder in folders.items()}
    assert "| volumes | slices pooled by attention |" in texts["volumes"]
    assert "Out of scope: clinical use of any kind, adult imaging, ultrasound, and" in texts["volumes"]
    for name in ("whole", "classifier", "tower"):
        assert "| volumes |" not in texts[name] and "adult imaging, CT, MRI and ultrasound, and" in texts[name]
    code, printed = snippets(folders["volumes"])["volumes"]
    assert printed_by(code, folders["volumes"], tmp_path) == printed


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole", "volumes", "classifier"])
def test_every_snippet_runs_and_prints_what_the_card_says(folders, tmp_path, kind):
    found = snippets(folders[kind])
    names = {"whole": {"load", "pipeline", "features"}, "volumes": {"load", "pipeline", "features", "volumes"}}
    assert set(found) == names.get(kind, {"load"})
    for code, printed in found.values():
        assert "revision=revision" in code
        assert printed_by(code, folders[kind], tmp_path) == printed


def test_what_a_recipe_states_stands_on_the_card(tmp_path, folders):
    from pedclip.card_training import card_facts
    from pedclip.configuration.data import DataConfig
    from pedclip.configuration.training import CardConfig, ModelConfig, TrainConfig

    def recipe(**model) -> TrainConfig:
        data = DataConfig(path="x", datasets=["our-knees"])
        return TrainConfig(model=ModelConfig(**model), data=data, output="x", card=CardConfig(training_data="Knees."))

    new = card_facts(recipe(vision="google/vit-base-patch16-224", text=str(tmp_path)))
    assert (new.base_models, new.datasets) == (("google/vit-base-patch16-224",), ("our-knees",))
    assert new.training_data == "Knees."
    tuned = card_facts(recipe(pretrained=str(folders["whole"])))
    assert tuned.datasets == (*FACTS.datasets, "our-knees")
    assert tuned.base_models == ()


def test_the_file_of_training_labels_and_the_card_agree(make_model, processor, tmp_path):
    labels = {"body_part": ["chest"], "findings": [], "captions": 1, "captions_from_text": 0}
    model = make_model(text={"vocab_size": len(processor.tokenizer)})
    folder = write_hub_folder(model, processor, tmp_path / "hub", FACTS, training_labels=labels)
    assert json.loads((folder / "training_labels.json").read_text()) == labels
    assert "| body parts seen in training | chest |" in (folder / "README.md").read_text()


def test_results_of_another_model_are_refused():
    row = {"task": "gate", "kind": "gate", "metric": "accuracy", "value": 0.5, "low": None, "high": None, "n": 3}
    assert refuse_other_models([{**row, "model_hash": "a" * 64}], "a" * 64) is True
    assert refuse_other_models([row], "a" * 64) is False  # written before results said it
    with pytest.raises(ValueError, match=r"1 of 1 results are of another model .*measure this folder"):
        refuse_other_models([{**row, "model_hash": "b" * 64}], "a" * 64)
    run = {"tasks": [{**row, "model_hash": "b" * 64}]}
    with pytest.raises(ValueError, match="of another model"):
        refuse_other_models([run], "a" * 64)


def test_a_number_with_a_leak_is_no_result_of_the_model():
    row = {"task": "gate", "kind": "gate", "metric": "accuracy", "value": 0.5, "low": None, "high": None, "n": 3}
    with pytest.raises(ValueError, match="gate was measured on what the model was trained on"):
        rows_of({**row, "leaks": {"found": True, "says": "2 of 3 test images were in training"}})
    assert rows_of({**row, "leaks": {"found": None, "says": "unknown"}})
