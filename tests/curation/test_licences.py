"""The curation model and its licence travel: triplets, shards, the training, the model's card, the check."""

import json
from dataclasses import replace

import pytest
from built import rows_of
from calm_chat import Calm, table
from PIL import Image

from pedclip.card import CardFacts
from pedclip.card_training import seen_in_training
from pedclip.check import check_curation
from pedclip.configuration.data import CaptionsConfig, DataConfig, SplitsConfig
from pedclip.configuration.training import ModelConfig, TrainConfig
from pedclip.hub import export_folder, write_hub_folder
from pedclip.processing.curation.engines.cache import Reply
from pedclip.processing.curation.licences import CuratedWith, conflicts, models_in
from pedclip.processing.curation.run import RunSettings, curate
from pedclip.processing.curation.studies import read_studies
from pedclip.processing.data.archive.build import BuildSettings, build
from pedclip.processing.data.curated_experts import COLUMN, experts_told
from pedclip.processing.data.dataset import PairDataset
from pedclip.processing.data.samples import read_samples
from pedclip.publishing import NotForPublicationError, check_repo_name

LLAMA = ["meta-llama/Llama-3.1-8B-Instruct", "llama3.1"]


class Llama(Calm):
    model, licence = LLAMA


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Shards built from triplets that a model with the licence of Llama 3.1 made; the rules answered for one study."""
    folder = tmp_path_factory.mktemp("curated")
    source = table(folder, 12)
    (folder / "films").mkdir()
    for number in range(12):
        for seed, part in enumerate(("knee", "hip")):
            Image.new("L", (40, 40), 20 * seed + 8 * number).save(folder / f"films/{number}-{part}.png")
    chat = Llama(silent="Effusion of 4 mm")
    curate(read_studies(source), folder / "out", RunSettings(in_flight=3), chat, engine="server")
    settings = BuildSettings(splits=SplitsConfig(validation_share=0.2, test_share=0.2), dataset="phantom")
    build(folder / "out/triplets.parquet", folder / "shards", settings, workers=1)
    return folder / "shards"


def test_shards_and_their_card_carry_the_model_and_its_licence(shards):
    rows = rows_of(shards)
    assert len(rows) == 24
    by_model = [row for row in rows if row["curation_model"]]
    assert len(by_model) == 22
    assert {
        (row["curation_engine"], row["curation_model"], row["curation_licence"], row["curation_prompts"])
        for row in by_model
    } == {("server", *LLAMA, "v1")}
    assert {row["curation_engine"] for row in rows if not row["curation_model"]} == {"rules"}
    assert all(row["text"] and row["body_part"] in ("L KNEE", "R HIP") for row in rows)
    card = (shards / "README.md").read_text()
    assert "meta-llama/Llama-3.1-8B-Instruct, licence llama3.1: 22 images" in card
    assert "rules, no model: 2 images" in card and '"Built with Llama" on its card' in card
    counted = json.loads((shards / "build.json").read_text())["curated"]
    assert [(one["licence"], one["images"]) for one in counted] == [("llama3.1", 22), (None, 2)]


def test_training_writes_down_who_assigned_its_texts(shards, tmp_path):
    data = DataConfig(path=str(shards))
    samples = read_samples(data, split="train")
    config = TrainConfig(model=ModelConfig(text="some/bert"), data=data, output="x")
    assert seen_in_training(config, samples)["curated_with"] == [LLAMA]
    unread = replace(data, captions=CaptionsConfig(source="labels"))
    assert seen_in_training(replace(config, data=unread), samples)["curated_with"] == []
    (tmp_path / "training_labels.json").write_text(json.dumps({"curated_with": [["other", "mit"]]}))
    tuned = replace(config, model=ModelConfig(pretrained=str(tmp_path)))
    assert seen_in_training(tuned, samples)["curated_with"] == [LLAMA, ["other", "mit"]]


def test_a_table_with_a_model_of_its_own_is_no_table_of_triplets():
    assert models_in([{"model": "DX-3000", "text": "x"}, {"curation_model": None}]) == ()


def labelled(make_model, processor, folder, name, curated):
    labels = {"body_part": ["knee"], "findings": [], "captions": 1, "captions_from_text": 1, "curated_with": curated}
    model = make_model(text={"vocab_size": len(processor.tokenizer)})
    facts = CardFacts(name=name, training_data="Generated films.")
    return write_hub_folder(model, processor, folder, facts, training_labels=labels)


def test_the_check_fails_on_a_name_that_the_licence_does_not_allow(make_model, processor, tmp_path):
    wrong = labelled(make_model, processor, tmp_path / "wrong", "PedCLIP", [LLAMA])
    found = check_curation(wrong)
    assert not found.ok and "begin with 'Llama'" in found.detail and "1.b.i" in found.detail
    assert "**Built with Llama**" in (wrong / "README.md").read_text()  # export writes it by itself
    right = export_folder(wrong, tmp_path / "right", name="Llama-PedCLIP")
    assert check_curation(right).ok and "llama3.1" in check_curation(right).detail
    card = (right / "README.md").read_text()
    assert "meta-llama/Llama-3.1-8B-Instruct (llama3.1)" in card
    check_repo_name("my-hospital/Llama-pedclip", right)
    with pytest.raises(NotForPublicationError, match="no name for this model"):
        check_repo_name("my-hospital/pedclip", right)
    (right / "README.md").write_text(card.replace("Built with Llama", ""))
    assert "'Built with Llama' on the card" in check_curation(right).detail


def test_the_check_knows_nothing_of_a_licence_that_is_not_in_the_table(make_model, processor, tmp_path):
    odd = labelled(make_model, processor, tmp_path / "odd", "PedCLIP", [["some/model", "house-rules-2"]])
    assert "nobody here knows what its licence 'house-rules-2' asks" in check_curation(odd).detail
    plain = labelled(
        make_model, processor, tmp_path / "plain", "PedCLIP", [["Qwen/Qwen2.5-1.5B-Instruct", "apache-2.0"]]
    )
    assert check_curation(plain).ok
    (plain / "training_labels.json").write_text('{"curated_with": 7}')
    assert not check_curation(plain).ok


def test_no_licence_asks_nothing():
    assert conflicts("PedCLIP", "", [CuratedWith("m", "apache-2.0"), CuratedWith("n", "mit")]) == []


def test_the_experts_of_a_table_of_ones_own_reach_the_training(tmp_path, processor):
    films = []
    for number, part in enumerate(("KN-ODD", "SCOUT", "KN-ODD", "hip")):
        Image.new("L", (40, 40), 20 * number + 9).save(tmp_path / f"{number}.png")
        report = f"Normal {part} no. {number}."
        row = dict(study_id=f"s{number}", report=report, body_part=part, file_name=f"{number}.png")
        films.append(json.dumps(row) + "\n")
    (tmp_path / "s.jsonl").write_text("".join(films))
    studies = read_studies(tmp_path / "s.jsonl", {"KN-ODD": "knee", "SCOUT": None})
    curate(studies, tmp_path / "out", RunSettings(workers=1), Says(), engine="server")
    alone = SplitsConfig(validation_share=0.0, test_share=0.0)
    build(tmp_path / "out/triplets.parquet", tmp_path / "shards", BuildSettings(splits=alone), workers=1)
    data = DataConfig(path=str(tmp_path / "shards"))
    samples = read_samples(data, split="train")
    parts = ["hip", "knee"]
    found = PairDataset(samples, processor, data, parts).body_part
    wanted = {"KN-ODD": 1, "SCOUT": -100, "hip": 0}
    assert found == [wanted[sample.body_part] for sample in samples] and len(found) == 4
    own = replace(data, body_part_experts={"KN-ODD": "hip"})  # a recipe's word goes first
    assert PairDataset(samples, processor, own, parts).body_part.count(0) == 3
    told = [("ODD", {COLUMN: "knee"}), ("ODD", {COLUMN: "hip"})]
    with pytest.raises(ValueError, match="curated for knee and for hip"):
        experts_told(told, parts)


class Says(Llama):
    """Says that every sentence is a finding of every part."""

    async def complete(self, question, attempt):
        properties = question.schema["properties"]
        said = {key: "finding" if one["type"] == "string" else one["items"]["enum"] for key, one in properties.items()}
        return Reply(json.dumps(said))
