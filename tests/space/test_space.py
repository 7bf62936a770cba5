"""What a visitor of the Space does and sees, in a real browser."""

import io
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FINDINGS, AGAINST = "chest, cardiomegaly\nchest, consolidation\nscoliosis", "no finding"


@pytest.fixture(scope="module")
def samples(space):
    """The sample films: what samples.json says, with the content of each file."""
    folder = space.folder / "samples"
    rows = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
    return [{**row, "content": (folder / row["file"]).read_bytes()} for row in rows]


@pytest.fixture
def deep_png(tmp_path) -> Path:
    """A film of 16 bits, which a stock reader would turn white."""
    random = np.random.default_rng(0)
    pixels = np.add.outer(np.arange(150) * 20, np.arange(120) * 9) + random.integers(0, 99, (150, 120))
    path = tmp_path / "anna-of-springfield.png"
    Image.fromarray(pixels.astype(np.uint16)).save(path)
    return path


def expected(space, content: bytes, findings: str, against: str = "") -> dict[str, float]:
    return space.reader.ask(space.reader.film(content), findings, against).scores


def test_the_page_says_what_it_is_not_and_fetches_nothing_from_elsewhere(page, card):
    assert "Not a medical device" in page.text("#banner")
    assert ("generated phantom films" in page.text("body")) == ("pedclip/phantom" in card)
    assert page.text(".panel.empty") and not page.scores()
    fetched = page.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert len(fetched) > 5
    assert [name for name in fetched if not name.startswith((page.address, "data:"))] == []
    fonts = page.run("return getComputedStyle(document.querySelector('#findings textarea')).fontFamily")
    assert "system-ui" in fonts


def test_an_upload_is_scored_shown_and_deleted(page, space, deep_png):
    content = deep_png.read_bytes()
    page.type("#findings", FINDINGS)
    page.type("#against", AGAINST)
    page.upload(deep_png)
    page.wait_for_scores(expected(space, content, FINDINGS, AGAINST))
    assert f"“{AGAINST}”" in page.text("#results")
    answer = space.reader.ask(space.reader.film(content), FINDINGS, AGAINST)
    assert page.scores("#gate") == pytest.approx(answer.body_parts, abs=1e-4)
    assert page.run("return document.querySelector('.film img').naturalWidth") == 120
    assert "16" not in page.text(".film figcaption") and "As the model sees it" in page.text(".film figcaption")

    left = [path for path in space.temporary.rglob("*") if path.is_file()]
    assert left  # the samples' small pictures
    assert not [path for path in left if deep_png.stem in str(path) or path.read_bytes() == content]
    assert deep_png.stem not in space.log.read_text()

    page.ask("fracture\nno finding\nqwzx")  # the film stays, the file is gone
    page.wait_for_scores(expected(space, content, "fracture\nno finding\nqwzx"))
    assert sum(page.scores().values()) == pytest.approx(1, abs=1e-3)


def test_a_dicom_file_is_scored_whatever_it_is_called(page, space, samples, tmp_path):
    content = next(row["content"] for row in samples if row["file"].endswith(".dcm"))
    for name in ("film.dcm", "IM000001"):
        (tmp_path / name).write_bytes(content)
        page.open().upload(tmp_path / name)
        page.wait(page.scores, "scores")
        page.ask(FINDINGS, AGAINST)
        page.wait_for_scores(expected(space, content, FINDINGS, AGAINST))


def test_a_sample_brings_its_own_question(page, space, samples):
    for number in (0, len(samples) - 1):
        row = samples[number]
        findings = "\n".join(row["findings"])
        page.pick(number)
        page.wait_for_scores(expected(space, row["content"], findings, row["against"]))
        assert page.find("#findings textarea").get_property("value") == findings
        assert f"Phantom, generated: {row['shows']}" in page.text("#results")


def test_the_map_is_drawn_for_the_best_line_and_goes_with_the_next_question(page, space, samples):
    page.pick(0)
    page.wait(page.scores, "scores")
    assert not page.find(".map img")
    row = samples[0]
    scores = expected(space, row["content"], "\n".join(row["findings"]), row["against"])
    page.find("#where").click()
    page.wait(lambda: page.find(".map img"), "a map")
    assert f"“{max(scores, key=scores.get)}”" in page.text(".map figcaption")
    assert page.run("return document.querySelector('.map img').naturalWidth") == 448
    page.ask(FINDINGS, AGAINST)
    page.wait_for_scores(expected(space, row["content"], FINDINGS, AGAINST))
    assert not page.find(".map img")


def test_words_that_the_vocabulary_lacks_are_named(page):
    page.pick(0)
    page.wait(page.scores, "scores")
    assert not page.text(".panel.warning")
    page.ask("chest, chondromatosis\nchest, cardiomegaly", AGAINST)
    said = page.wait(lambda: page.text(".panel.warning"), "a warning")
    assert "chondromatosis" in said and "cardiomegaly" not in said
    page.ask("chest, consolidation\nchest, cardiomegaly", AGAINST)
    page.wait(lambda: "chest, consolidation" in page.scores(), "new scores")
    assert not page.text(".panel.warning")


BROKEN = {
    "a picture cut short": lambda png: png[: len(png) // 3],
    "text": lambda png: b"name,age\nanna,7\n",
    "an empty file": lambda png: b"",
    "a DICOM header alone": lambda png: b"\0" * 128 + b"DICM",
    "a huge picture": lambda png: huge(),
}


def huge() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (20000, 20000)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_in_words_and_the_next_one_is_answered(page, space, samples, tmp_path, name):
    page.pick(0)
    page.wait(page.scores, "scores")
    path = tmp_path / "broken.png"
    path.write_bytes(BROKEN[name](samples[0]["content"]))
    page.upload(path)
    said = page.wait_for_problem()
    assert said.startswith("This file cannot be read as a radiograph") and "Traceback" not in said
    assert "broken.png" not in said and len(said) < 400
    assert not page.scores()  # those of the film before would be taken for this one's
    page.find("#score").click()
    page.wait(lambda: "Drop a radiograph or pick a sample first." in page.text(".panel.problem"), "a refusal")

    path.write_bytes(samples[0]["content"])
    page.upload(path)
    page.wait(page.scores, "scores")
    page.ask(FINDINGS, AGAINST)
    page.wait_for_scores(expected(space, samples[0]["content"], FINDINGS, AGAINST))
    assert not page.text(".panel.problem")
    assert "Traceback" not in space.log.read_text()


def test_a_file_over_the_limit_is_refused_and_the_app_answers_on(page, tmp_path):
    with open(tmp_path / "large.png", "wb") as file:
        file.truncate(65 * 2**20)
    page.upload(tmp_path / "large.png")
    page.wait(lambda: "size" in page.text("[data-testid=toast-body]").lower(), "a refusal")
    page.pick(0)
    page.wait(page.scores, "scores")


def test_questions_without_an_answer_are_refused(page):
    page.pick(0)
    page.wait(page.scores, "scores")
    for findings, against, why in (
        ("fracture", "", "One line alone"),
        ("", AGAINST, "Type at least one finding"),
        ("\n".join(f"finding {number}" for number in range(21)), AGAINST, "at most 20"),
        ("a" * 201, AGAINST, "at most 200"),
    ):
        page.ask(findings, against)
        page.wait(lambda why=why: why in page.text(".panel.problem"), why)
        assert not page.scores()
    page.ask(FINDINGS, AGAINST)
    page.wait(page.scores, "scores")


def test_what_is_typed_is_shown_as_text(page):
    page.pick(0)
    page.wait(page.scores, "scores")
    page.ask("<b id=evil>fracture</b>\nscoliosis", "<img id=evil src=x>")
    page.wait(lambda: "<img id=evil src=x>" in page.text("#results"), "the text as it was typed")
    assert page.find("#evil") is None


def test_two_visitors_do_not_see_each_others_film(page, driver):
    page.pick(0)
    page.wait(page.scores, "scores")
    first = driver.current_window_handle
    driver.switch_to.new_window("tab")
    try:
        page.open().find("#score").click()
        assert "Drop a radiograph" in page.wait_for_problem()
    finally:
        driver.close()
        driver.switch_to.window(first)
    assert page.scores()


def test_on_a_desk_question_and_answer_stand_side_by_side(page):
    page.pick(1)
    page.wait(page.scores, "scores")
    left, right = (page.find(one).rect for one in ("#file", "#outcome"))
    assert left["x"] + left["width"] <= right["x"] and abs(left["y"] - right["y"]) < 5
    assert page.run("return document.documentElement.scrollWidth") <= 1280


def test_on_a_phone_all_fits_the_width_and_the_answer_comes_into_sight(page, tmp_path):
    page.open(width=390, height=844)

    def fits():
        return page.run("return [innerWidth, document.documentElement.scrollWidth]") == [390, 390]

    def in_sight(selector, height):
        """Whether so many pixels of it can be seen, its top among them."""
        top = page.run("return document.querySelector(arguments[0]).getBoundingClientRect().top", selector)
        return -1 <= top <= 844 - height

    assert fits()
    page.pick(0)
    page.wait(page.scores, "scores")
    page.wait(lambda: in_sight("#results", 500), "the answer in sight")
    assert fits() and in_sight("#banner", 800)
    page.ask("an unusually-long-word-" + "chondromatosis" * 10 + "\nfracture", AGAINST)
    page.wait(lambda: page.text(".panel.warning"), "a warning")
    assert fits()
    (tmp_path / "broken").write_bytes(b"nothing")
    page.upload(tmp_path / "broken")
    page.wait_for_problem()
    whole = page.find(".panel.problem").rect["height"]
    page.wait(lambda: in_sight(".panel.problem", whole), "the refusal in sight")
    assert fits()


@pytest.mark.skipif("PEDCLIP_SPACE_SCREENSHOTS" not in os.environ, reason="run.py was not asked for --screenshots")
def test_screenshots(page, space, samples):
    folder = Path(os.environ["PEDCLIP_SPACE_SCREENSHOTS"])
    findings, against = "chest, cardiomegaly\nchest, pneumothorax\nchest, chondromatosis", "chest, no finding"
    for name, width in (("desktop", 1280), ("phone", 390)):
        page.open(width=width)
        page.pick(0)
        page.wait(page.scores, "scores")
        page.ask(findings, against)
        page.wait_for_scores(expected(space, samples[0]["content"], findings, against))
        time.sleep(1)  # a scroll may still be under way
        page.screenshot(folder / f"{name}.png")
        size = Image.open(folder / f"{name}.png").size
        assert size[0] == width and size[1] > 900
