"""Shows why the range of transformers releases begins where it does: `make floor`.

    python tests/floor/run.py [--all-tests]

Puts the last release below the range, and the first one inside it, each into a throwaway folder before the installed
one, and runs test_floor.py: it must fail on the one, for the stated reason, and pass on the other. With --all-tests
the first release inside the range has to pass the whole suite.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BELOW = "5.19.0"
REASON = "cannot import name 'SubConfigSpec'"


def floor() -> str:
    """The lowest release that pyproject.toml allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (minor,) = re.findall(r"transformers>=([\d.]+)", " ".join(project["dependencies"]))
    return f"{minor}.0"


def outcome(release: str, tests: list[str]) -> tuple[int, str]:
    """pytest's exit code and output with this release of transformers in front of the installed one."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
        subprocess.run([*pip, f"transformers=={release}"], check=True)
        environment = {**os.environ, "PYTHONPATH": folder, "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all-tests", action="store_true", help="run the whole suite on the first supported release")
    args = parser.parse_args()
    this_test = str(HERE / "test_floor.py")

    code, shown = outcome(BELOW, [this_test])
    because = [line for line in shown.splitlines() if REASON in line and line.startswith("E ")]
    print(f"transformers {BELOW}: {because[0][1:].strip() if because else shown}")
    as_stated = code == 1 and bool(because)

    code, shown = outcome(floor(), ["tests"] if args.all_tests else [this_test])
    print(f"transformers {floor()}: {shown.strip().splitlines()[-1] if code == 0 else shown}")
    return 0 if as_stated and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
