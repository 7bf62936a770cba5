"""Evaluation of volumes: slices found against hand-made cases, poolings compared, the runner, and the page."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("matplotlib", reason="the extra `eval` is not installed")
pytest.importorskip("sklearn", reason="the extra `eval` is not installed")

from pedclip.configuration.data import DataConfig, VolumesConfig
from pedclip.configuration.training import load_recipe
from pedclip.eval import volume_pooling
from pedclip.eval.ablation_page import verdict
from pedclip.eval.embeddings import EmbeddedImages, ModelUnderTest
from pedclip.eval.experiment import remember
from pedclip.eval.statistics import auc_metric
from pedclip.eval.volume import CHANCE, MASS, MEAN, TOP, answers, chances, compare, metrics_of, slices_found
from pedclip.eval.volume_design import Run, load_design
from pedclip.eval.volume_page import BLOCKS, NOT_RUN, answer, filled, report, summarised, summary
from pedclip.eval.volume_picture import save, study_figure
from pedclip.eval.volume_pooling import DESIGN, changes_of, main, run_all, run_one
from pedclip.processing.data.sample import Sample
from pedclip.processing.data.samples import read_samples
from pedclip.processing.phantom.volume_folder import write_volumes

ROOT = Path(__file__).resolve().parents[2]
FINDINGS = ("consolidation", "pleural effusion")


@pytest.fixture
def design():
    return load_design(DESIGN)


def changed_design(folder: Path, volumes: dict | None = None, **changed) -> Path:
    """The shipped design with other values, beside copies of its recipes."""
    values = yaml.safe_load(DESIGN.read_text(encoding="utf-8"))
    values |= {"volumes": values["volumes"] | (volumes or {}), **changed}
    folder.mkdir(exist_ok=True)
    for name in ("volume_tower.yaml", "volume.yaml"):
        shutil.copy(DESIGN.with_name(name), folder / name)
    (folder / "design.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return folder / "design.yaml"


def sample_of(number: int, shows: dict[str, list[int]]) -> Sample:
    name = f"{number}.tif"
    row = {"finding_slices": shows}
    return Sample(Path(name), name, "chest", f"child {number}", "test", "text", tuple(shows), row)


def test_weights_are_held_against_the_slices_that_show_a_finding():
    shows = [{"consolidation": [1, 2]}, {}, {"consolidation": [0], "pleural effusion": [3]}, {"consolidation": [2]}]
    weights = [[0.1, 0.6, 0.2, 0.1], [0.7, 0.1, 0.1, 0.1], [0.2, 0.5, 0.2, 0.1], [0.25] * 4]
    samples = [sample_of(number, one) for number, one in enumerate(shows)]
    images = EmbeddedImages(samples, np.eye(4), [], [-100] * 4, [], [np.array(one) for one in weights])
    found = slices_found(images)
    assert found[TOP] == pytest.approx([1.0, None, 0.0, 0.25])
    assert found[MASS] == pytest.approx([0.8, None, 0.3, 0.25])
    assert found[CHANCE] == pytest.approx([0.5, None, 0.5, 0.25])


def made_up(volumes: int = 40, seed: int = 0, good: float = 1.0) -> dict:
    """What a model might say of so many volumes; the better, the higher `good`."""
    random = np.random.default_rng(seed)
    positive = {name: (np.arange(volumes) % 4 == place).astype(int).tolist() for place, name in enumerate(FINDINGS)}
    sick = np.array(list(positive.values())).any(0)
    scores = {name: random.normal(good * np.array(one), 1).tolist() for name, one in positive.items()}
    groups = (np.arange(volumes) // 2).tolist()
    ranks = {way: random.integers(0, 12, volumes).tolist() for way in ("image_to_text", "text_to_image")}
    shares = {TOP: random.integers(0, 2, volumes), MASS: random.random(volumes), CHANCE: np.full(volumes, 0.2)}
    slices = {name: [float(v) if s else None for v, s in zip(one, sick, strict=True)] for name, one in shares.items()}
    prompted = {"consolidation": [None, *random.normal(size=volumes - 1).tolist()]}
    return {
        "positive": positive,
        "scores": scores,
        "prompted": prompted,
        "ranks": ranks,
        "caption_group": groups,
        "slices": slices,
    }


def test_poolings_are_compared_on_the_same_patients_as_means_over_seeds():
    arms = {arm: [made_up(seed=10 * place + seed) for seed in range(3)] for place, arm in enumerate(("a", "b"))}
    patients = [f"child {number // 2}" for number in range(40)]
    told = compare(arms, patients, resamples=200)
    task = "classification: consolidation"
    slow = {
        arm: [
            auc_metric(np.array(one["positive"]["consolidation"]) == 1, one["scores"]["consolidation"])(
                np.ones((1, 40))
            )[0]
            for one in said
        ]
        for arm, said in arms.items()
    }
    assert told["values"]["a"][task]["seeds"] == pytest.approx(slow["a"])
    assert told["values"]["b"][task]["value"] == pytest.approx(np.mean(slow["b"]))
    difference = told["differences"]["b"][task]
    assert difference["value"] == pytest.approx(np.mean(slow["a"]) - np.mean(slow["b"]))
    assert difference["low"] < difference["value"] < difference["high"] and difference["patients"] == 20
    both = [told["values"]["a"][f"classification: {name}"]["value"] for name in FINDINGS]
    assert told["values"]["a"][f"classification: {MEAN}"]["value"] == pytest.approx(np.mean(both))
    mass = [np.mean([v for v in one["slices"][MASS] if v is not None]) for one in arms["a"]]
    assert told["found"]["a"][MASS]["seeds"] == pytest.approx(np.array(mass) - 0.2)
    assert told["values"]["a"][f"slices: {TOP}"]["n"] == 40  # intervals are over all test patients


def test_arms_that_say_the_same_differ_by_nothing():
    arms = {arm: [made_up(seed=5)] for arm in ("a", "b")}
    told = compare(arms, [str(number) for number in range(40)], resamples=50)
    differences = told["differences"]["b"].values()
    assert all(one["value"] == 0 and one["low"] is None for one in differences)  # no spread is no certainty


def test_differences_that_are_nothing_by_construction_are_no_gain():
    tiny = {"value": 3e-17, "low": 1e-17, "high": 5e-17, "seeds": [3e-17, 2e-17]}
    assert verdict(tiny) == "0 but for rounding"
    assert verdict(tiny | {"high": 0.01}).startswith("above 0")
    assert verdict({"value": 0.0, "low": 0.0, "high": 0.0, "seeds": [0.0, 0.0]}) == "0 but for rounding"


def score(value: float, low: float, high: float) -> dict:
    return {"value": value, "low": low, "high": high, "seeds": [value] * 3}


def test_the_page_answers_the_designs_question():
    primary, beside = f"classification: {MEAN}", "by prompts: consolidation"
    differences = {
        "mean": {primary: score(0.05, 0.02, 0.07), beside: score(0.01, -0.01, 0.02)},
        "max": {primary: score(0.004, -0.011, 0.018), beside: score(-0.05, -0.09, -0.02)},
    }
    chance = {primary: 0.5, beside: 0.5}
    results = {"3-D": {"values": {"attention": {}}, "differences": differences, "chance": chance}}
    said = answer(results)
    assert "higher with attention? Less mean +0.050 (+0.020 to +0.070): above 0" in said
    assert "Less max +0.004 (-0.011 to +0.018): holds 0" in said
    assert "attention is not shown to be better than max." in said and "or mean" not in said
    assert said.endswith("on by prompts: consolidation (-0.050 (-0.090 to -0.020) less max).")
    results["3-D"]["values"]["attention"] = {f"slices: {TOP}": {"value": 0.887}, f"slices: {CHANCE}": {"value": 0.243}}
    short = summary(results)
    assert "shows the finding in 89 % (chance 24 %)" in short
    assert "attention less max is +0.004 (-0.011 to +0.018) (its interval holds 0)." in short
    assert short.endswith("leaves 0 out: max on by prompts: consolidation, -0.050 (-0.090 to -0.020).")


def test_volumes_without_a_caption_are_left_out_of_matching():
    answer = made_up()
    answer["ranks"]["image_to_text"][0] = answer["ranks"]["text_to_image"][0] = answer["caption_group"][0] = None
    ranks = np.array(answer["ranks"]["image_to_text"][1:])
    metric = metrics_of(answer)["matching: image to text R@5"]
    assert metric(np.ones((1, 40)))[0] == pytest.approx((ranks < 5).mean())
    # 39 captions, 19 pairs alike and one alone
    assert chances(answer)["matching: text to image R@1"] == pytest.approx((38 * 2 / 39 + 1 / 39) / 39)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Settings and folder of a few tiny volumes."""
    path = changed_design(
        tmp_path_factory.mktemp("design"),
        seeds=[0],
        poolings=["attention", "mean"],
        volumes={"patients": 60, "pixels": 16, "slices": 5, "splits": {"validation_share": 0.2, "test_share": 0.4}},
    )
    folder = tmp_path_factory.mktemp("volumes") / "volumes"
    write_volumes(folder, load_design(path).volumes)
    return path, folder


@pytest.fixture(scope="module")
def reader(make_model):
    """A tiny model that reads the phantom's words, and its processor."""
    from transformers import AutoTokenizer

    from pedclip import PedCLIPImageProcessor, PedCLIPProcessor
    from pedclip.card import checkout_file

    tokenizer = AutoTokenizer.from_pretrained(checkout_file("processing/phantom/tokenizer/tokenizer.json").parent)
    model = make_model(volume_pooling="attention", text={"vocab_size": len(tokenizer)}).eval()
    return model, PedCLIPProcessor(PedCLIPImageProcessor(size={"height": 32, "width": 32}), tokenizer)


def test_a_model_answers_for_volumes_as_for_one_study_at_a_time(small, reader):
    import torch

    path, folder = small
    model, processor = reader
    data = dataclasses.replace(load_recipe(path.with_name("volume.yaml")).data, path=str(folder))
    tested = ModelUnderTest(model, processor)
    samples = read_samples(data, split="test", need_caption=False)
    images = tested.embed_images(samples, data, batch_size=4)
    spacing = samples[1].row["slice_spacing_mm"]
    with torch.inference_mode():
        inputs = processor(volumes=[str(samples[1].path)], spacing=spacing, return_tensors="pt")
        out = model.get_image_features(**inputs)
    np.testing.assert_allclose(images.slice_weights[1], out.slice_attentions[0], atol=1e-6)
    alone = torch.nn.functional.normalize(out.pooler_output, dim=-1)[0]
    np.testing.assert_allclose(images.embeds[1], alone, atol=1e-6)
    said = answers(tested, dict.fromkeys(("train", "validation", "test"), images), data, FINDINGS, min_images=1)
    assert said["positive"]["consolidation"] == [int("consolidation" in one.findings) for one in samples]
    assert [value is None for value in said["slices"][TOP]] == [
        not any(one.row["finding_slices"].values()) for one in samples
    ]
    assert set(said["prompted"]) == set(FINDINGS) and None not in said["prompted"]["consolidation"]
    assert len(said["scores"]["consolidation"]) == len(said["ranks"]["image_to_text"]) == len(samples)
    assert json.loads(json.dumps(said)) == said


def test_images_have_no_slices_to_find(collection, tested):
    data = DataConfig(path=str(collection))
    images = tested.embed_images(read_samples(data, split="test", need_caption=False), data)
    said = answers(tested, dict.fromkeys(("train", "validation", "test"), images), data, ["pneumonia"])
    assert "slices" not in said and set(said["scores"]) == {"pneumonia"}
    assert not any(task.startswith("slices") for task in metrics_of(said))


def test_the_plan_trains_each_pooling_on_the_tower_of_its_seed(design, tmp_path):
    names = [run.name for run in (*design.towers(), *design.adapters())]
    assert len(names) == len(set(names)) == len(design.seeds) * (1 + len(design.poolings))
    for run in design.adapters():
        words = [f"{key}={json.dumps(value)}" for key, value in changes_of(design, run, tmp_path).items()]
        config = load_recipe(design.adapter, words)
        assert config.model.pretrained == str(tmp_path / f"tower-{run.seed}" / "hub") and config.seed == run.seed
        assert config.model.config["volume_pooling"] == run.arm
        assert "vision_model." in config.model.freeze and config.data.volumes == VolumesConfig(
            spacing="slice_spacing_mm"
        )
    tower = load_recipe(design.tower)
    assert tower.data.volumes is None and tower.model.vision_config["image_size"] == design.volumes.pixels
    assert set(design.volumes.findings) == set(FINDINGS)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seeds": []}, "at least one"),
        ({"poolings": ["attention"]}, "two or more"),
        ({"poolings": ["attention", "median"]}, "two or more"),
        ({"epochs": 3}, "no more and no less"),
        ({"volumes": {"patient": 3}}, "unexpected keyword"),
    ],
)
def test_a_broken_design_says_what_is_wrong(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        load_design(changed_design(tmp_path / "recipe", **changed))


def test_another_design_is_refused(design, tmp_path):
    remember(design.to_dict(), tmp_path)
    other = changed_design(tmp_path / "recipe")
    recipe = other.with_name("volume.yaml")
    recipe.write_text(recipe.read_text().replace("volume_pooling: attention", "volume_pooling: max"))
    with pytest.raises(ValueError, match=r"differs in adapter\.model\.config\.volume_pooling"):
        remember(load_design(other).to_dict(), tmp_path)


@pytest.fixture
def trained(monkeypatch, reader):
    """Stands in for the training: leaves a random model where a run's would be, and tells which runs were begun."""
    begun = []

    def leave(recipe, changed, folder):
        begun.append(folder.name)
        for part in reader:
            part.save_pretrained(folder / "hub")
        (folder / "metrics.jsonl").write_text('{"seconds": 1.5}\n')

    monkeypatch.setattr(volume_pooling, "train_as_process", leave)
    monkeypatch.setattr(volume_pooling, "MIN_IMAGES", 1)
    return begun


def test_from_volumes_to_page_and_again(small, trained, tmp_path):
    path, _ = small
    page, out = tmp_path / "page", tmp_path / "runs"
    page.mkdir()
    (page / "README.md").write_text(filled((ROOT / "docs/volume/README.md").read_text(), None))
    command = [str(out), "--design", str(path), "--page", str(page)]
    assert main(command) == 0
    assert sorted(trained) == ["attention-0", "mean-0", "tower-0"] and trained[0] == "tower-0"
    results = json.loads((page / "results.json").read_text())
    assert results["volumes"]["test"]["all"] > 5 and results["slices"]["train"]["all"] > 10
    assert set(results["3-D"]["values"]) == {"attention", "mean"} and "slices: weight" not in results["2-D"]
    assert "phantom-0-" not in (out / "mean-0" / "result.json").read_text()
    first = {file.name: file.read_bytes() for file in page.iterdir()}
    assert NOT_RUN.encode() not in first["README.md"] and {"study.png", "poolings.svg"} < set(first)
    (out / "mean-0" / "result.json").unlink()  # as if it had been stopped: only this one goes on
    trained.clear()
    assert main(command) == 0 and trained == ["mean-0"]
    again = {file.name: file.read_bytes() for file in page.iterdir()}
    assert again["study.png"] == first["study.png"] and again["poolings.svg"] == first["poolings.svg"]
    assert report(results).count(", interval ") == len(results["3-D"]["chance"])


def test_a_failure_begins_no_other_run(design, tmp_path, monkeypatch):
    def fail(recipe, changed, folder):
        raise RuntimeError(f"the training of {folder.name} ended with 1")

    monkeypatch.setattr(volume_pooling, "train_as_process", fail)
    (tmp_path / "tower-0").mkdir()
    (tmp_path / "tower-0" / "result.json").write_text('{"arm": "finished before"}')
    assert run_one(design, Run("tower", 0), tmp_path) == {"arm": "finished before"}
    with pytest.raises(RuntimeError, match=r"ended with 1|had failed"):
        run_all(design, tmp_path)


def test_the_documentation_says_what_its_results_say(design):
    folder = ROOT / "docs" / "volume"
    page = (folder / "README.md").read_text(encoding="utf-8")
    results = json.loads((folder / "results.json").read_text()) if (folder / "results.json").is_file() else None
    assert filled(page, results) == page, "python -m pedclip.eval.volume_pooling brings it up to date"
    assert results is None or results["design"] == design.to_dict(), "the results are of another design"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert results is None or summarised(readme, results) == readme, "and the README's section"


def test_a_page_without_its_marks_is_refused():
    with pytest.raises(ValueError, match="lacks"):
        filled("# no marks", None)
    assert set(BLOCKS) == {"facts", "answer", "poolings", "found", "tower"}


def test_a_study_is_drawn_with_one_weight_a_slice(tmp_path):
    slices = np.random.default_rng(0).integers(0, 255, (14, 8, 8))
    figure = study_figure(slices, np.full(14, 1 / 14), {"normal": 0.7, "ill": 0.3}, shows=[3])
    assert len(figure.axes) == 16
    save(figure, tmp_path / "study.svg")
    assert (tmp_path / "study.svg").read_bytes().count(b"<image") == 14
    with pytest.raises(ValueError, match="14 slices and 3 weights"):
        study_figure(slices, [0.2, 0.3, 0.5], {})
