"""The demo's questions: every finding once, in sentences that no training report holds."""

import re

import yaml

from pedclip.eval.prompts import question_file, questions
from pedclip.processing.phantom.applicable import APPLICABLE
from pedclip.processing.phantom.records import FINDINGS
from pedclip.processing.phantom.study import studies_of

ASKED = questions(question_file("phantom_prompts"))


def plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", text.lower()))


def test_every_finding_is_asked_of_the_parts_that_can_have_it():
    assert set(ASKED) == {"body-part"} | {name.replace(" ", "-") for name in FINDINGS}
    for name in FINDINGS:
        question = ASKED[name.replace(" ", "-")]
        assert set(question.rows["body_part"]) == {part for part in APPLICABLE if name in APPLICABLE[part]}
        assert question.names_in_data(name) == [name]
        assert question.names_in_data(f"no {name}") == [name]


def test_no_prompt_is_a_sentence_of_a_report():
    said = {
        plain(sentence.text)
        for number in range(400)
        for study in studies_of(9, number)
        for sentence in study.report.sentences
    }
    prompts = {
        plain(one)
        for asked in ASKED.values()
        for name in asked.classes or ()
        for part in asked.rows["body_part"]
        for one in asked.prompts_of(name, body_part=part)
    }
    assert prompts and not prompts & said


def test_no_prompt_is_made_of_a_phrasing_of_either_set():
    """The frame round the finding's name is new too: no template of the sets holds its words in a row."""
    from pathlib import Path

    import pedclip.processing.phantom.report as report

    folder = Path(report.__file__).parent
    templates = [plain((folder / f"phrases_{name}.yaml").read_text()) for name in "ab"]
    for frame in ASKED["fracture"].prompts:
        words = plain(re.sub(r"\{\w+\}", "", frame))
        assert all(words not in text for text in templates), frame


def test_the_recipe_asks_them():
    recipe = yaml.safe_load((question_file("prompts").parents[1] / "configuration/recipes/phantom.yaml").read_text())
    assert recipe["questions"] == "phantom_prompts"
