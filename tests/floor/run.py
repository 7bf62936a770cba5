"""Shows why the range of transformers releases begins where it does: `make floor`.

    python tests/floor/run.py [--all-tests]

Puts the last release below the range, and the first one inside it, each into a throwaway environment, and runs
test_floor.py there: it must fail on the one, for the stated reason, and pass on the other. With --all-tests the first
release of the range has to pass the whole suite.
"""

import argparse
import re
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BELOW = "5.20.2"
REASON = "mean must have 1 elements if it is an iterable, got 3"


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all-tests", action="store_true", help="run the whole suite on the lowest supported release")
    args = parser.parse_args()
    this_test = str(HERE / "test_floor.py")

    code, shown = run_tests(BELOW, [this_test])
    because = [line for line in shown.splitlines() if REASON in line and line.startswith("E ")]
    print(f"transformers {BELOW}: {because[0][1:].strip() if because else shown}")
    fails_as_stated = code == 1 and bool(because)

    lowest = lowest_supported()
    code, shown = run_tests(lowest, ["tests"] if args.all_tests else [this_test])
    print(f"transformers {lowest}: {shown.strip().splitlines()[-1] if code == 0 else shown}")
    return 0 if fails_as_stated and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
