"""Shows why the ranges of transformers and peft begin where they do: `make floor`.

    python tests/floor/run.py

Puts the last release below each range into a throwaway environment, where a test of test_floor.py must fail for the
stated reason, and the first release inside it into another, where the same test must pass. That everything passes on
the first releases is shown by `make matrix`.
"""

import re
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
TESTS = "tests/floor/test_floor.py"


class Floor(NamedTuple):
    """Where a package's range begins: the last release below it, and how which test fails there."""

    package: str
    below: str
    test: str
    reason: str


FLOORS = (
    Floor(
        "transformers",
        "5.19.0",
        "test_a_config_builds_the_config_of_any_text_encoder_from_a_dict",
        "cannot import name 'SubConfigSpec'",
    ),
    Floor(
        "peft",
        "0.19.0",
        "test_an_adapter_of_the_experts_is_stored_as_that_of_a_linear_layer",
        "peft takes the experts' matrices for (in, out)",
    ),
)


def lowest_supported(package: str) -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (release,) = re.findall(rf"^{package}>=([\d.]+)", "\n".join(project["dependencies"]), flags=re.MULTILINE)
    return release


def make_environment(folder: Path, package: str, release: str) -> Path:
    """An environment like this one but for one package, and its interpreter."""
    venv.create(folder, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", scheme="venv", vars={"base": str(folder)}))
    # everything else comes from here; addsitedir also follows the link of the editable install
    (packages / "rest.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages)]
    subprocess.run([*pip, f"{package}=={release}"], check=True)
    return folder / "bin" / "python"


def run_test(package: str, release: str, test: str) -> tuple[int, str]:
    """pytest's exit code and output with that release of the package."""
    with tempfile.TemporaryDirectory() as folder:
        python = make_environment(Path(folder), package, release)
        command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{TESTS}::{test}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout


def fails_below(floor: Floor) -> bool:
    code, shown = run_test(floor.package, floor.below, floor.test)
    because = [line for line in shown.splitlines() if floor.reason in line and line.startswith("E ")]
    print(f"{floor.package} {floor.below}: {because[0][1:].strip() if because else shown}", flush=True)
    return code == 1 and bool(because)


def passes_inside(floor: Floor) -> bool:
    lowest = lowest_supported(floor.package)
    code, shown = run_test(floor.package, lowest, floor.test)
    print(f"{floor.package} {lowest}: {shown.strip().splitlines()[-1] if code == 0 else shown}", flush=True)
    return code == 0


def main() -> int:
    results = [check(floor) for floor in FLOORS for check in (fails_below, passes_inside)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
