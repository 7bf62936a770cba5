"""The Space as its visitors meet it: the app in a folder and a process of its own, and a headless Chromium.

`make test` passes this folder by: run.py makes the environment that it needs, and runs it.
"""

import base64
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60  # that a page may take, on a busy machine
SEEN = "(one => one !== null && one.getClientRects().length > 0)"
collect_ignore_glob = [] if "PEDCLIP_SPACE_MODEL" in os.environ else ["test_*.py"]


@pytest.fixture(scope="session")
def space(tmp_path_factory):
    """A running app: its address, its folders, what it printed, and its own module for expected answers."""
    work = tmp_path_factory.mktemp("space")
    folder, temporary, log = work / "app", work / "temporary", work / "log.txt"
    shutil.copytree(ROOT / "examples" / "space", folder)  # as app.py's docstring says
    shutil.copy(ROOT / "examples" / "app.py", folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PEDCLIP_MODEL": os.environ["PEDCLIP_SPACE_MODEL"], "GRADIO_TEMP_DIR": str(temporary)}
    # -P: the checkout, where pytest runs, stays off the path, as pedclip does in a Space
    command = [sys.executable, "-P", str(folder / "app.py"), "--port", str(port)]
    with open(log, "w") as printed:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=printed, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}/"
    try:
        wait_until_it_answers(process, address, log)
        spec = importlib.util.spec_from_file_location("space_app", folder / "app.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        reader = module.Reader(os.environ["PEDCLIP_SPACE_MODEL"])
        yield SimpleNamespace(address=address, folder=folder, temporary=temporary, log=log, reader=reader)
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)


def wait_until_it_answers(process: subprocess.Popen, address: str, log: Path) -> None:
    end = time.monotonic() + 2 * SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the app did not start:\n{log.read_text()[-3000:]}")


class Page:
    """The page in a browser, in the words of a visitor."""

    def __init__(self, driver, address: str):
        self.driver, self.address = driver, address

    def open(self, width: int = 1280, height: int = 900) -> "Page":
        """Anew, at a screen's size: a headless Chromium's own window is never narrower than 500 pixels."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.driver.get(self.address)
        self.wait(lambda: self.find("#file input[type=file]"), "an upload")
        return self

    def find(self, selector: str):
        return next(iter(self.driver.find_elements("css selector", selector)), None)

    def run(self, script: str, *arguments):
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        """What a person can read there; in one step, as the page may change between two."""
        found = "const found = document.querySelector(arguments[0])"
        return self.run(f"{found}; return {SEEN}(found) ? found.innerText : ''", selector)

    def wait(self, condition, what: str):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.1)
        pytest.fail(f"{what} did not come; the page says:\n{self.text('body')}")

    def type(self, selector: str, text: str) -> None:
        """Into a box, as a person does, in the place of what stood there."""
        box = self.find(f"{selector} textarea, {selector} input")
        box.send_keys("\ue009a\ue000")  # Ctrl+A
        box.send_keys(text or "\ue003")  # Backspace
        self.wait(lambda: box.get_property("value") == text, f"the text {text!r}")

    def ask(self, findings: str, against: str = "") -> None:
        self.type("#findings", findings)
        self.type("#against", against)
        self.find("#score").click()

    def upload(self, path: Path) -> None:
        self.wait(lambda: self.find("#file input[type=file]"), "an upload").send_keys(str(path))

    def pick(self, number: int) -> None:
        selector = f"#samples .gallery-item:nth-child({number + 1}) .thumbnail-item"
        button = self.wait(lambda: self.find(selector), "the sample")
        self.run("arguments[0].scrollIntoView({block: 'center'})", button)
        button.click()

    def scores(self, selector: str = "#scores") -> dict[str, float]:
        """As the bars show them, if they are in sight."""
        meters = f"[...document.querySelectorAll(arguments[0] + ' meter')].filter({SEEN})"
        return dict(self.run(f"return {meters}.map(one => [one.getAttribute('aria-label'), one.value])", selector))

    def wait_for_scores(self, expected: dict[str, float]) -> None:
        self.wait(
            lambda: self.scores() == pytest.approx(expected, abs=1e-4), f"{expected}, instead of {self.scores()},"
        )

    def wait_for_problem(self) -> str:
        return self.wait(lambda: self.text(".panel.problem"), "a refusal")

    def screenshot(self, path: Path) -> None:
        """The whole page, from its top."""
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": 1, "y": 1})
        self.run("document.activeElement.blur(); scrollTo({top: 0, behavior: 'instant'})")
        time.sleep(1)
        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        area = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        picture = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": area})
        path.write_bytes(base64.b64decode(picture["data"]))


@pytest.fixture(scope="session")
def driver():
    """A headless Chromium that finds no address but this machine's."""
    from selenium import webdriver

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    chromedriver = shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("chromium or chromedriver is not installed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in (
        "--headless=new",
        "--no-sandbox",  # a container's root cannot have it
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(switch)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    yield driver
    driver.quit()


@pytest.fixture
def page(driver, space) -> Page:
    return Page(driver, space.address).open()


@pytest.fixture(scope="session")
def card() -> str:
    """The model's card, its YAML left out."""
    text = (Path(os.environ["PEDCLIP_SPACE_MODEL"]) / "README.md").read_text(encoding="utf-8")
    return re.sub(r"\A---.*?---", "", text, flags=re.DOTALL)
