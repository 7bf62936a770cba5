"""Would this folder work for someone who has nothing but it? The checks behind `pedclip check`."""

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pedclip.card import TRAINING_DATA_NOT_STATED, read_card
from pedclip.processing.curation.licences import conflicts
from pedclip.publishing import curated_with, patient_data_in

PICKLE_SUFFIXES = {".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}
PICKLE_START = re.compile(rb"\x80[\x02-\x05]")  # the first two bytes of every pickle since protocol 2
NEEDED_FILES = ("config.json", "model.safetensors", "README.md", "LICENSE")
ENDPOINT_FILES = ("handler.py", "requirements.txt")
CARD_FIELDS = ("license", "library_name", "pipeline_tag", "language", "tags")
CARD_PHRASES = (
    *("not a medical device", "## Intended use", "## Training data", "## Results", "### Subgroups"),
    *("## Limits", "## Hardware", "## Licence", "## Citation"),
)
# Where people's files lie on Linux, macOS and Windows, unless it is the end of a web address
MACHINE_PATH = re.compile(
    r"(?:(?<![\w./~-])|(?<=file://))/(?:home|homes|root|tmp|Users|Volumes|mnt|media|nfs|gpfs|scratch|srv|workspace|"
    r"(?:private/)?var/folders|(?:export|net)/home)/[\w.-]+|\b[A-Za-z]:\\{1,4}(?:Users|[a-z])"
)


@dataclass(frozen=True)
class Check:
    """One row of the table."""

    name: str
    ok: bool
    detail: str = ""


def check_folder(folder: str | os.PathLike) -> list[Check]:
    """Every check of a Hub folder: first its files, then opening it in a process that has never heard of PedCLIP."""
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} is not a model folder: it has no config.json")
    return [
        check_files(folder),
        check_no_pickle(folder),
        check_no_machine_paths(folder),
        check_no_patient_data(folder),
        check_card(folder),
        check_curation(folder),
        *check_fresh_process(folder),
    ]


def table(checks: list[Check]) -> str:
    width = max(len(check.name) for check in checks)
    return "\n".join(
        f"{'ok  ' if check.ok else 'FAIL'}  {check.name:{width}}  {check.detail}".rstrip() for check in checks
    )


def check_files(folder: Path) -> Check:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    pipelines = [pipeline["impl"] for pipeline in config.get("custom_pipelines", {}).values()]
    code = [reference.split(".")[0] + ".py" for reference in (*config.get("auto_map", {}).values(), *pipelines)]
    weights_in_parts = (folder / "model.safetensors.index.json").is_file()
    endpoint = ENDPOINT_FILES if "PedCLIPModel" in (config.get("architectures") or ()) else ()
    needed = {*NEEDED_FILES, *code, *endpoint} - ({"model.safetensors"} if weights_in_parts else set())
    missing = sorted({name for name in needed if not (folder / name).is_file()})
    if "auto_map" not in config:
        return Check("files", False, "config.json has no auto_map: AutoModel cannot find the code")
    detail = f"missing: {', '.join(missing)}" if missing else f"{len(list(folder.iterdir()))} files"
    return Check("files", not missing, detail)


def check_no_pickle(folder: Path) -> Check:
    """A pickle runs code when it is opened; safetensors cannot."""
    found = []
    for path in _files(folder):
        if path.suffix == ".safetensors":  # begins with a length, which may look like anything
            continue
        with path.open("rb") as file:
            if path.suffix in PICKLE_SUFFIXES or PICKLE_START.match(file.read(2)):
                found.append(path.name)
    return Check("no pickle", not found, ", ".join(found))


def check_no_machine_paths(folder: Path) -> Check:
    """A path of the machine that wrote the folder says who that was, and means nothing elsewhere."""
    own_places = {str(Path.home()), str(folder.resolve().parent), os.getcwd(), sys.prefix} - {"/"}
    found = []
    for path in _files(folder):
        if path.suffix == ".safetensors":
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        hits = [match.group() for match in MACHINE_PATH.finditer(text)]
        hits += [place for place in own_places if place + "/" in text]
        if hits:
            found.append(f"{path.name}: {hits[0]}")
    return Check("no machine paths", not found, "; ".join(found))


def check_no_patient_data(folder: Path) -> Check:
    """No pictures but the phantom samples, no identifiers, no files that a model does not need."""
    found = patient_data_in(folder)
    return Check("no patient data", not found, "; ".join(found))


def check_card(folder: Path) -> Check:
    card_file = folder / "README.md"
    if not card_file.is_file():
        return Check("card", False, "no README.md")
    try:
        card = read_card(card_file)
    except ValueError as error:
        return Check("card", False, str(error))
    missing = [name for name in CARD_FIELDS if not card.data.get(name)]
    missing += [phrase for phrase in CARD_PHRASES if phrase.lower() not in card.text.lower()]
    if re.search(r"\{\{ ?(card_data|name|here|training_data|results) ?\}\}|\{% ", card.content):
        missing.append("a filled-in template")
    if TRAINING_DATA_NOT_STATED in card.text:
        missing.append("what the model was trained on (`pedclip export --training-data FILE`, or the recipe's card:)")
    if card.data.get("model-index") and not card.data.get("eval_results"):
        missing.append("a model-index that can be read")
    return Check("card", not missing, f"missing: {', '.join(missing)}" if missing else "")


def check_curation(folder: Path) -> Check:
    """Whether the licences of the language models that assigned the training's texts agree with the name and card."""
    try:
        used = curated_with(folder)
        card = read_card(folder / "README.md") if used else None
    except ValueError as error:
        return Check("curation", False, str(error))
    if card is None:
        return Check("curation", True)
    found = conflicts(str(card.data.get("model_name") or ""), card.text, used)
    return Check("curation", not found, "; ".join(found) or ", ".join(map(str, used)))


def check_fresh_process(folder: Path) -> list[Check]:
    """The checks of fresh_process.py, run in an interpreter that sees neither this checkout nor any cache."""
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as empty:
        report = Path(empty) / "report.json"
        done = subprocess.run(
            [
                *(sys.executable, "-IB", str(here / "fresh_process.py")),
                *(str(folder.resolve()), str(report), str(here / "fingerprint.py")),
            ],
            cwd=empty,
            env={**os.environ, "HF_HOME": empty, "HF_MODULES_CACHE": f"{empty}/modules", "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
        )
        checks = [Check(**row) for row in json.loads(report.read_text())] if report.is_file() else []
    if done.returncode or not checks:
        last_line = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        checks.append(Check("fresh process", False, f"exit code {done.returncode}: {last_line}"))
    return checks


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
