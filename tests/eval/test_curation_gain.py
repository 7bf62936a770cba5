"""Triplets against whole reports: what the arms are trained on, what is refused, and the differences."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from pedclip.eval.curation_gain import (
    ARMS,
    BODY_PART,
    DESIGN,
    FILMS,
    REPORTS,
    TRIPLETS,
    compare_arms,
    filled,
    load_design,
    summary,
    table,
    write_arms,
)
from pedclip.eval.experiment import remember
from pedclip.processing.phantom.folder import write_folder


def changed_design(folder: Path, recipe: dict | None = None, **changed) -> Path:
    """The shipped design with other values, beside its recipe with other values."""
    values = yaml.safe_load(DESIGN.read_text()) | changed
    training = yaml.safe_load(DESIGN.with_name("triplets.yaml").read_text()) | (recipe or {})
    folder.mkdir(exist_ok=True)
    (folder / "triplets.yaml").write_text(yaml.safe_dump(training))
    (folder / "design.yaml").write_text(yaml.safe_dump(values))
    return folder / "design.yaml"


def few_films(**changed) -> dict:
    return yaml.safe_load(DESIGN.read_text())["films"] | {"patients": 12, "side": 32} | changed


def rows(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_shipped_design_has_both_arms_with_every_seed_and_one_recipe():
    design = load_design(DESIGN)
    assert [run.name for run in design.runs()] == [f"{arm}-{seed}" for seed in (0, 1, 2) for arm in ARMS]
    training = design.training()
    assert training.data.captions.source == "text" and training.data.path.endswith("films-triplets")
    assert training.max_text_tokens <= training.model.text_config["max_position_embeddings"]
    assert design.films.clinic.exams[0] == 0


def test_the_arms_are_the_same_films_with_the_rules_text_and_with_the_whole_report(tmp_path):
    design = load_design(changed_design(tmp_path / "design", films=few_films()))
    out = tmp_path / "runs"
    write_folder(out / FILMS, design.films, workers=1)
    facts = write_arms(out)
    films = {row["file_name"]: row for row in rows(out / FILMS / "metadata.jsonl")}
    reports = {row["study_id"]: row["report"] for row in rows(out / FILMS / "studies.jsonl")}
    arms = {arm: rows(out / f"{FILMS}-{arm}" / "metadata.jsonl") for arm in ARMS}
    names = [row["file_name"] for row in arms[TRIPLETS]]
    assert names == [row["file_name"] for row in arms[REPORTS]] and len(names) > 20
    assert "test" not in {row["split"] for row in arms[TRIPLETS]}
    for short, whole in zip(arms[TRIPLETS], arms[REPORTS], strict=True):
        film = films[short["file_name"]]
        assert whole["text"] == reports[film["study_id"]]
        assert all(piece in whole["text"] for piece in short["text"].split(". ")[0:1])
        assert len(short["text"]) < len(whole["text"])
        assert {**short, "text": None} == {**whole, "text": None} == {**film, "text": None}
        assert (out / f"{FILMS}-{TRIPLETS}" / short["file_name"]).is_file()
    assert facts["left_out"] + len(names) == sum(row["split"] != "test" for row in films.values())
    assert facts["words_a_text"][TRIPLETS] < facts["words_a_text"][REPORTS]
    assert facts["same_as_the_truth"] > 0.8
    assert write_arms(out) == facts


def made_up(design, films: int, leads: dict[str, float]):
    """Results of every run; an arm's scores follow the truth by its lead."""
    random = np.random.default_rng(0)
    truth = [design.parts[film % 3] for film in range(films)]
    results = []
    for run in design.runs():
        predictions = {}
        for place, part in enumerate(design.parts):
            mine = list(range(place, films, 3))
            positive = [int(film // 3 % 2) for film in mine]
            scores = random.normal(np.array(positive) * leads[run.arm], 1)
            predictions[part] = {"fracture": {"films": mine, "positive": positive, "scores": scores.tolist()}}
        shown = {
            part: random.normal([leads[run.arm] * (one == part) for one in truth]).tolist() for part in design.parts
        }
        results.append({"arm": run.arm, "seed": run.seed, "predictions": predictions, BODY_PART: shown})
    return results, [f"child {film // 6}" for film in range(films)], truth


def test_the_difference_is_the_triplets_lead_with_each_seed_shown():
    design = load_design(DESIGN)
    results, patients, truth = made_up(design, 600, {TRIPLETS: 2.0, REPORTS: 0.5})
    found = summary(design, results, patients, truth, resamples=200)["auc"]
    assert list(found) == ["finding mean", *(f"finding {part}" for part in design.parts), BODY_PART]
    for one in found.values():
        lead = one["difference"]
        assert lead["value"] == pytest.approx(one[TRIPLETS]["value"] - one[REPORTS]["value"])
        assert lead["value"] == pytest.approx(np.mean(lead["seeds"])) and len(lead["seeds"]) == 3
        assert 0 < lead["low"] < lead["value"] < lead["high"]
    by_hand = []
    for result in results:
        if result["arm"] == REPORTS:
            one = result["predictions"]["wrist"]["fracture"]
            sick, well = (
                np.array([s for s, p in zip(one["scores"], one["positive"], strict=True) if p == k]) for k in (1, 0)
            )
            by_hand.append((sick[:, None] > well[None]).mean())
    assert found["finding wrist"][REPORTS]["value"] == pytest.approx(np.mean(by_hand))
    assert "difference" in table({"auc": found}) and BODY_PART in table({"auc": found})


def test_the_page_gets_the_table_between_its_marks():
    design = load_design(DESIGN)
    results, patients, truth = made_up(design, 120, {TRIPLETS: 1.0, REPORTS: 0.5})
    whole = {
        **summary(design, results, patients, truth, resamples=50),
        "texts": {
            "films": {"train": 1234},
            "left_out": 5,
            "words_a_text": {TRIPLETS: 20.1, REPORTS: 70.5},
            "same_as_the_truth": 0.987,
        },
        "films": {"test": {"wrist": 60, "chest": 60}, "test_patients": 20},
        "runs": [{"arm": arm, "steps": 900, "seconds": 120.0} for arm in ARMS],
    }
    shipped = (Path(__file__).resolve().parents[2] / "docs" / "curation" / "triplets.md").read_text()
    page = filled(shipped, whole)
    for piece in (
        "| finding mean |",
        "| body part |",
        "1,234 training films, 5 left out",
        "98.7%",
        "2.0 and 2.0 minutes",
    ):
        assert piece in page
    assert filled(page, whole) == page
    assert page.partition("<!-- results")[0] == shipped.partition("<!-- results")[0]
    with pytest.raises(ValueError, match="lacks"):
        filled("nothing", whole)


def test_whichever_arm_wins_is_said():
    design = load_design(DESIGN)
    results, patients, truth = made_up(design, 600, {TRIPLETS: 0.2, REPORTS: 2.0})
    lead = summary(design, results, patients, truth, resamples=100)["auc"]["finding mean"]["difference"]
    assert lead["high"] < 0


def test_the_page_says_what_the_kept_results_say():
    page = Path(__file__).resolve().parents[2] / "docs" / "curation" / "triplets.md"
    kept = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert filled(page.read_text(encoding="utf-8"), kept) == page.read_text(encoding="utf-8"), "make triplets mends it"
    assert kept["design"] == load_design(DESIGN).to_dict()
    assert max(one["seconds"] for one in kept["runs"]) < 600
    triplets, reports, lead = (kept["auc"]["finding mean"][name] for name in (*ARMS, "difference"))
    interval = f"(+{lead['low']:.3f} to +{lead['high']:.3f})"
    said = f"{triplets['value']:.3f} against {reports['value']:.3f}, +{lead['value']:.3f} {interval}"
    readme = (page.parents[2] / "README.md").read_text(encoding="utf-8")
    assert said.replace("0.", ".") in readme


def test_another_design_in_a_folder_that_was_begun_is_refused(tmp_path):
    remember(load_design(DESIGN).to_dict(), tmp_path)
    other = load_design(changed_design(tmp_path / "design", recipe={"epochs": 3}))
    with pytest.raises(ValueError, match=r"training\.epochs"):
        compare_arms(other, tmp_path)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"arms": ["reports", "triplets"]}, "arms is"),
        ({"seeds": [0, 0]}, "seeds is"),
        ({"parts": ["wrist"]}, "parts is"),
        ({"more": 1}, "no more and no less"),
    ],
)
def test_a_design_that_is_none_is_refused(tmp_path, changed, why):
    with pytest.raises(ValueError, match=why):
        load_design(changed_design(tmp_path / "design", **changed))


@pytest.mark.slow
def test_a_small_experiment_runs_through_and_is_not_repeated(tmp_path):
    films = few_films(patients=120, splits={"validation_share": 0.2, "test_share": 0.5})
    recipe = yaml.safe_load(DESIGN.with_name("triplets.yaml").read_text())
    recipe["model"]["vision_config"] |= {"image_size": 32, "stem_channels": [8, 8, 8, 8]}
    design = load_design(
        changed_design(tmp_path / "design", {**recipe, "epochs": 1, "batch_size": 24}, films=films, seeds=[0])
    )
    found = compare_arms(design, tmp_path / "runs")
    assert {one["name"] for one in found["runs"]} == {"triplets-0", "reports-0"}
    assert found["runs"][0]["steps"] == found["runs"][1]["steps"] > 0
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").glob("*/result.json")}
    again = compare_arms(design, tmp_path / "runs")
    assert again["auc"] == found["auc"] and len(before) == 2
    assert before == {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").glob("*/result.json")}
