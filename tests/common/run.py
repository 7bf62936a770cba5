"""Runs transformers' own common tests, of the installed version, on PedCLIP's classes.

    python tests/common/run.py [arguments for pytest]

The tests are not installed with transformers; its source distribution carries them. It is downloaded once for each
version, into .cache/. Nothing may fail, and whatever is skipped has to say why.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "transformers-tests"


def unpacked_tests(release: str) -> Path:
    """The folder that holds the common tests of this release of transformers, as the package `transformers_tests`."""
    folder = CACHE / release
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as partial:
        # without isolation pip asks the installed setuptools for the metadata, and fetches no other
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--dest", partial]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, f"transformers=={release}"], check=True)
        (archive,) = Path(partial).glob("transformers-*.tar.gz")
        with tarfile.open(archive) as tar:
            root = f"transformers-{release}/tests/"
            tar.extractall(partial, [member for member in tar if member.name.startswith(root)], filter="data")
        complete = Path(partial) / "complete"
        complete.mkdir()
        (Path(partial) / root).rename(complete / "transformers_tests")
        (complete / "transformers_tests" / "__init__.py").touch()
        complete.rename(folder)
    return folder


class Tally:
    """Keeps each test's worst outcome and counts the reasons of skips; a pytest plugin.

    A test with a skipped subtest counts as skipped: most subtests are one model class, and there is one in each test.
    """

    SEVERITY = ("passed", "skipped", "failed")

    def __init__(self):
        self.outcomes = {}
        self.reasons = Counter()
        self.without_reason = []

    def pytest_runtest_logreport(self, report: pytest.TestReport):
        if report.when == "call" or not report.passed:
            so_far = self.outcomes.get(report.nodeid, report.outcome)
            self.outcomes[report.nodeid] = max(so_far, report.outcome, key=self.SEVERITY.index)
        if report.skipped:
            _, _, reason = report.longrepr
            reason = reason.removeprefix("Skipped: ").strip()
            self.reasons[reason] += 1
            if reason in ("", "Skipped", "unconditional skip"):
                self.without_reason.append(report.nodeid)


def main(arguments: list[str]) -> int:
    release = version("transformers")
    os.environ |= {
        "TRANSFORMERS_TESTS": str(unpacked_tests(release)),  # read by conftest.py
        "HF_HUB_OFFLINE": "1",
        "RUN_SLOW": "1",  # what they call slow takes seconds on models this small
        "OMP_NUM_THREADS": "1",  # the two workers have a core each
    }
    tally = Tally()
    options = ["-q", "-n", "2", "--disable-warnings", "--no-header", "-p", "no:cacheprovider"]
    # without the project's own strictness about marks: transformers' tests bring theirs along
    options += ["-o", "addopts=--import-mode=importlib", "-o", "filterwarnings="]
    status = pytest.main([*options, *arguments, str(HERE)], plugins=[tally])

    count = Counter(tally.outcomes.values())
    print(f"\nCommon tests of transformers {release}: ", end="")
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped, because:")
    for reason, times in sorted(tally.reasons.items(), key=lambda item: (-item[1], item[0])):
        print(f"{times:5}  {reason}")
    for test in tally.without_reason:
        print(f"skipped without a reason: {test}")
    return status or bool(tally.without_reason)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
