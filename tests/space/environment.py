"""The environment that the Space has: its own requirements, and gradio at the version that its README.md pins.

    python tests/space/environment.py        makes it in .cache/space on first use, and prints its interpreter

gradio asks for an older pillow than this project's tests run with, so it cannot go into their environment.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPACE = ROOT / "examples" / "space"
CACHE = ROOT / ".cache" / "space"
TOOLS = ["pytest==9.2.0", "selenium==4.51.0"]


def asked() -> list[list[str]]:
    """What is installed, in order: torch goes first and alone, or pip may choose another build of it."""
    lines = (SPACE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    requirements = [line for line in lines if line and not line.startswith("#")]
    (gradio,) = re.findall(r"^sdk_version: (\S+)$", (SPACE / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    torch = [one for one in requirements if one.startswith("torch==")]
    return [torch, [f"gradio=={gradio}", *(one for one in requirements if one not in torch), *TOOLS]]


def interpreter() -> Path:
    """The Python of the environment, which is made where it is missing or what it is made from has changed."""
    name = hashlib.sha256(repr((sys.version_info[:2], asked())).encode()).hexdigest()[:16]
    folder = CACHE / name
    python = folder / "bin" / "python"
    if (folder / "complete").is_file():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    print(f"making the Space's environment in {folder.relative_to(ROOT)}", file=sys.stderr)
    venv.create(folder, with_pip=True)
    for packages in asked():
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True, stdout=sys.stderr)
    (folder / "complete").touch()
    return python


if __name__ == "__main__":
    print(interpreter())
