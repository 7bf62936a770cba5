"""The review page: what it holds, and in a headless Chromium how a person corrects with it."""

import json
import os
import time
from pathlib import Path

import pytest
from browser import Browser, installed

from pedclip.eval.curation_review import Shown, review_page, thumbnail
from pedclip.processing.curation.labelled import read_labelled
from pedclip.processing.curation.schema import Assignment, FilmedPart, Sentence, Study
from pedclip.samples import sample_files

EVIL = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=2><!--<script>"
REPORT = f"Fell from a tree. The knee is broken. {EVIL} The wrist is normal. Nothing else."


def shown(study_id: str = "s1", name: str = "left knee") -> Shown:
    """0 history, 1 the knee, 2 (hostile) and 3 the wrist by mistake for 3 alone, 4 left over."""
    pieces = ["Fell from a tree.", "The knee is broken.", EVIL, "The wrist is normal.", "Nothing else."]
    sentences, after = [], 0
    for number, piece in enumerate(pieces):
        start = REPORT.index(piece, after)
        after = start + len(piece)
        sentences.append(Sentence(number, start, after, piece))
    wrist, knee, _ = sample_images()
    parts = (FilmedPart(name, "knee", "left", (knee,)), FilmedPart("wrist", "wrist", None, (wrist, "gone.png")))
    said = Assignment({name: (1,), "wrist": (2, 3)}, {0: "history", 4: "unassigned"})
    return Shown(Study(study_id, "p1", REPORT, parts), sentences, said, "rules")


def sample_images() -> list[str]:
    by_name = {path.stem.removeprefix("phantom_"): str(path) for path in sample_files()}
    return [by_name["wrist"], by_name["knee"], by_name["chest"]]


def test_no_report_or_name_stands_in_the_page_as_markup_and_nothing_is_fetched():
    page = review_page([shown(name=f"knee {EVIL}")], private=False, export_name="review.jsonl")
    assert page.count("<script") == 2 and page.count("</script") == 2 and "<!--" not in page and "onerror" in page
    assert '="http' not in page and "default-src &#x27;none&#x27;" in page and "Private" not in page
    assert page.count("data:image/jpeg;base64,") == 2  # gone.png is left out
    data = page.partition('id="data">')[2].partition("</script>")[0]
    assert "<" not in data and json.loads(data)["studies"][0]["report"] == REPORT
    assert "is not for handing on" in review_page([shown()], private=True, export_name="x")


def test_the_policy_names_the_very_script():
    import base64
    import hashlib

    page = review_page([shown()], private=False, export_name="review.jsonl")
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in page


def test_a_deep_film_is_shown_in_its_own_range(tmp_path):
    import base64
    import io

    import numpy as np
    from PIL import Image

    deep = np.linspace(1000, 3000, 500 * 300).reshape(500, 300).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "film.png")
    small = Image.open(io.BytesIO(base64.b64decode(thumbnail(str(tmp_path / "film.png")).partition(",")[2])))
    assert small.size == (120, 200)
    assert np.asarray(small).min() < 20 and np.asarray(small).max() > 235
    assert thumbnail(str(tmp_path / "none.png")) is None


# ---- in a browser: `make test-all`


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not installed():
        pytest.skip("chromium or chromedriver is not installed: apt-get install chromium chromium-driver")
    downloads = tmp_path_factory.mktemp("downloads")
    with Browser(downloads) as browser:
        browser.downloads = downloads
        yield browser


@pytest.fixture
def page(browser, tmp_path) -> Browser:
    path = tmp_path / "review.html"
    path.write_text(review_page([shown(), shown("s2")], private=False, export_name="review.jsonl"), encoding="utf-8")
    browser.address = path.as_uri()
    browser.open(browser.address)
    return browser


def texts(page: Browser) -> list[str]:
    return page.run("return [...document.querySelectorAll('#texts section p')].map((one) => one.innerText)")


def downloaded(page: Browser, name: str = "review.jsonl") -> Path:
    path, end = page.downloads / name, time.monotonic() + 30
    while not path.is_file() and time.monotonic() < end:
        time.sleep(0.1)
    return path


@pytest.mark.slow
def test_a_hostile_report_is_shown_as_text(page):
    assert page.run("return window.hacked === undefined")
    assert EVIL in page.run("return document.querySelector('[data-sentence=\"2\"] .text').innerText")
    assert page.run("return document.querySelectorAll('script').length") == 2
    assert page.run("return [...document.images].every((one) => one.naturalWidth > 50)")
    assert [line for line in page.console() if "favicon" not in line] == []


@pytest.mark.slow
def test_corrections_by_mouse_and_keyboard_are_exported_as_labels(page):
    assert texts(page) == ["The knee is broken.", f"{EVIL} The wrist is normal."]
    pressed = (
        "return [...document.querySelectorAll('.chip')].map((one) => one.getAttribute('aria-pressed') === 'true')"
    )
    assert page.run(pressed) == [False, False, True, False, False, True, False, True, False, False]
    colours = "return [...document.querySelectorAll('.chip')].map((one) => getComputedStyle(one).backgroundColor)"
    assert page.run(colours)[2] == "rgb(11, 98, 168)" and page.run(colours)[3] == "rgb(255, 255, 255)"
    page.click("[data-sentence='2'] .chip.p1")  # the hostile one out of the wrist, which leaves it unassigned
    focused = page.run("return document.activeElement.innerText")
    assert focused == "2 wrist"  # though all was drawn anew
    page.press("i")  # and why
    page.click("[data-sentence='4'] .text")  # from none to the first part
    page.click("[data-sentence='4'] .text")  # to the second
    page.click("[data-sentence='4'] .text")  # to both
    assert texts(page) == ["The knee is broken. Nothing else.", "The wrist is normal. Nothing else."]
    page.press("\ue013", "2")  # up to the wrist's sentence, out of the wrist
    page.press("2")  # and in again
    page.click("#accept")
    assert page.run("return document.getElementById('place').innerText") == "Study 2 of 2"
    assert page.run("return document.getElementById('done').innerText") == "1 accepted, 1 corrected"
    page.click("#download")
    (labelled,) = read_labelled(downloaded(page))
    assert labelled.study.study_id == "s1" and labelled.study.report == REPORT
    assert [(part.name, part.expert, part.laterality) for part in labelled.study.parts] == [
        ("left knee", "knee", "left"),
        ("wrist", "wrist", None),
    ]
    assert [(one.kind, set(one.parts)) for one in labelled.sentences] == [
        ("history", set()),
        ("kept", {"left knee"}),
        ("irrelevant", set()),
        ("kept", {"wrist"}),
        ("kept", {"left knee", "wrist"}),
    ]
    assert json.loads(downloaded(page).read_text())["reviewed"] == {"corrected": True, "engine": "rules"}
    downloaded(page).unlink()


@pytest.mark.slow
def test_a_choice_among_reasons_takes_the_sentence_out_of_its_parts(page):
    page.run(
        "const choose = document.querySelector('[data-sentence=\"1\"] select');"
        "choose.value = 'comparison'; choose.dispatchEvent(new Event('change', { bubbles: true }))"
    )
    assert texts(page)[0] == "nothing: no triplet"
    page.press("a")
    page.press(
        "\ue012", "a", "a", "a"
    )  # back to the first: taken back, and accepted again, which goes on to the second
    assert page.run("return document.getElementById('place').innerText") == "Study 2 of 2"
    page.press("d")
    found = list(read_labelled(downloaded(page)))
    assert [one.study.study_id for one in found] == ["s1", "s2"]
    assert found[0].sentences[1].kind == "comparison"
    downloaded(page).unlink()


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_a_desk_and_a_phone(page, width):
    page.open(page.address, width=width)
    assert page.run("return [innerWidth, document.documentElement.scrollWidth]") == [width, width]
    films, report, kept = page.run(
        "return ['films', 'sentences', 'texts'].map((id) => document.getElementById(id).getBoundingClientRect())"
        ".map((one) => [one.left, one.right, one.top])"
    )
    if width == 1280:
        assert films[1] <= report[0] and report[1] <= kept[0] and abs(films[2] - report[2]) < 5
    else:
        assert films[2] < report[2] < kept[2]
    small = page.run(
        "return [...document.querySelectorAll('button, select')].map((one) => one.getBoundingClientRect())"
        ".filter((one) => one.height < 24).length"
    )
    assert width == 1280 or small == 0  # a finger needs room
    if folder := os.environ.get("PEDCLIP_REVIEW_SCREENSHOTS"):
        page.screenshot(Path(folder) / f"review-{width}.png")
