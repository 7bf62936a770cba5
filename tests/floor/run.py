"""Shows why the range of transformers releases begins where it does: `make floor`.

    python tests/floor/run.py

Puts the last release below the range into a throwaway environment, where test_floor.py must fail for the stated
reason, and the first release inside it into another, where every test of the config, the model and the processor must
pass.
"""

import re
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BELOW = "5.19.0"
REASON = "cannot import name 'SubConfigSpec'"
INSIDE_TESTS = ["tests/floor", "tests/configuration", "tests/modeling", "tests/processing", "tests/test_hub.py"]


def lowest_supported() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (minor,) = re.findall(r"transformers>=([\d.]+)", " ".join(project["dependencies"]))
    return f"{minor}.0"


def make_environment(folder: Path, release: str) -> Path:
    """An environment like this one but for transformers, and its interpreter."""
    venv.create(folder, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", scheme="venv", vars={"base": str(folder)}))
    # everything else comes from here; addsitedir also follows the link of the editable install
    (packages / "rest.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages)]
    subprocess.run([*pip, f"transformers=={release}"], check=True)
    return folder / "bin" / "python"


def run_tests(release: str, tests: list[str]) -> tuple[int, str]:
    """pytest's exit code and output with that release of transformers."""
    with tempfile.TemporaryDirectory() as folder:
        python = make_environment(Path(folder), release)
        command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout


def main() -> int:
    code, shown = run_tests(BELOW, ["tests/floor"])
    because = [line for line in shown.splitlines() if REASON in line and line.startswith("E ")]
    print(f"transformers {BELOW}: {because[0][1:].strip() if because else shown}")
    fails_as_stated = code == 1 and bool(because)

    lowest = lowest_supported()
    code, shown = run_tests(lowest, INSIDE_TESTS)
    print(f"transformers {lowest}: {shown.strip().splitlines()[-1] if code == 0 else shown}")
    return 0 if fails_as_stated and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
