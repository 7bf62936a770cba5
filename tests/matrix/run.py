"""Tests the lowest and the newest releases that pyproject.toml allows, each in a fresh environment: `make matrix`.

    python tests/matrix/run.py [--fresh] [--corner lowest|newest] [--python python3.13]

At each corner the whole test suite and transformers' own common tests run, and model folders are saved. Each corner
then opens its own and the other's folders, in a process where PedCLIP cannot be imported, and must answer as the
objects did that were saved. A run of both corners is written to benchmarks/results/matrix.json. Environments are kept
in .cache/matrix until what they are made from changes; --fresh makes them anew.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from corners import CACHE, CORNERS, ROOT, SUPPORTED, Corner, corner
from differences import TOLERANCE, compare
from safetensors.numpy import load_file

FOLDERS = Path(__file__).with_name("folders.py")
RESULTS = ROOT / "benchmarks" / "results" / "matrix.json"
COMMON_COUNTS = re.compile(r"^Common tests of .+: (\d+) passed, (\d+) failed, (\d+) skipped", flags=re.MULTILINE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fresh", action="store_true", help="make the environments anew")
    parser.add_argument("--corner", choices=CORNERS, help="one corner alone; nothing is written")
    parser.add_argument("--python", default=own_python(), help="the Python that makes the environments")
    args = parser.parse_args()

    corners = [corner(name, args.python) for name in ([args.corner] if args.corner else CORNERS)]
    rows = [test(one, args.fresh) for one in corners]
    crossings = cross(corners)
    print(table(rows, crossings))
    if not args.corner:
        written = {"commit": commit(), "tolerance": TOLERANCE, "corners": rows, "folders": crossings}
        RESULTS.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return 0 if all(good(row) for row in rows) and not any(row["wrong"] for row in crossings) else 1


def own_python() -> str:
    """The Python that this environment was made with: an environment made from it sees nothing of this one."""
    return str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")


def commit() -> str:
    describe = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    return subprocess.run(describe, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def test(one: Corner, fresh: bool) -> dict[str, Any]:
    """What is installed at a corner, and how both groups of tests end there."""
    say(f"{one.name}: {'made' if one.make(fresh) else 'found'} {one.folder.relative_to(ROOT)}")
    return {"corner": one.name, "versions": one.versions(), "suite": suite(one), "common": common_tests(one)}


def suite(one: Corner) -> dict[str, Any]:
    """`make test` at a corner, counted from pytest's own report."""
    report = one.folder / "tests.xml"
    report.unlink(missing_ok=True)
    started = time.monotonic()
    command = ["-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", f"--junitxml={report}"]
    code, log = logged(one, "tests", command)
    if not report.is_file():
        return {"exit_code": code, "passed": 0, "failed": [f"pytest wrote no report, see {log}"], "skipped": {}}
    counts = count(report)
    say(f"{one.name}: {counts['passed']} passed, {len(counts['failed'])} failed ({log})")
    return {"exit_code": code, "seconds": round(time.monotonic() - started), **counts}


def count(report: Path) -> dict[str, Any]:
    """Of each test the worst that its report says: passed, the names that failed, and how often each skip's reason."""
    worst: dict[str, tuple[int, str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcome = (2, "")
        else:
            outcome = (0, "") if skipped is None else (1, skipped.get("message", ""))
        worst[name] = max(worst.get(name, outcome), outcome)
    reasons = [reason for severity, reason in worst.values() if severity == 1]
    return {
        "passed": sum(severity == 0 for severity, _ in worst.values()),
        "failed": sorted(name for name, (severity, _) in worst.items() if severity == 2),
        "skipped": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
    }


def common_tests(one: Corner) -> dict[str, Any]:
    code, log = logged(one, "common tests", [str(ROOT / "tests" / "common" / "run.py")])
    counted = COMMON_COUNTS.search((ROOT / log).read_text(encoding="utf-8"))
    if not counted:
        return {"exit_code": code or 1, "log": f"no counts, see {log}"}
    say(f"{one.name}: {counted[0]} ({log})")
    return {"exit_code": code, **dict(zip(("passed", "failed", "skipped"), map(int, counted.groups()), strict=True))}


def logged(one: Corner, what: str, arguments: list[str]) -> tuple[int, Path]:
    """Runs the corner's Python, as if its environment were activated; the exit code, and where its output lies."""
    log = one.folder / f"{what.replace(' ', '_')}.log"
    settings = {
        "PATH": f"{one.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",  # the two workers have a core each
        "HF_HUB_OFFLINE": "1",
    }
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            [one.interpreter, *arguments],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return done.returncode, log.relative_to(ROOT)


def cross(corners: list[Corner]) -> list[dict[str, Any]]:
    """A row for each folder, the corner that saved it and the corner that opened it."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="folders-", dir=CACHE) as work:
        for saving in corners:
            folders = Path(work) / saving.name
            folders.mkdir()
            saved = run_folders(saving, work, "save", folders, folders / "answers.safetensors")
            for opening in corners:
                opened = run_folders(opening, work, "open", folders, Path(work) / f"at-{opening.name}.safetensors")
                rows += [{"saved": saving.name, "opened": opening.name, **row} for row in compare(saved, opened)]
    return rows


def run_folders(one: Corner, work: str, action: str, folders: Path, answers: Path) -> dict[str, np.ndarray]:
    """The answers of folders.py at a corner, with a cache of its own, so that nothing comes from an earlier run."""
    with tempfile.TemporaryDirectory(dir=work) as empty:
        settings = {"HF_HOME": empty, "HF_MODULES_CACHE": f"{empty}/modules", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            [one.interpreter, "-I", str(FOLDERS), action, str(folders), str(answers)],
            cwd=empty,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        say(f"{one.name}: folders.py {action} failed:\n{done.stderr[-3000:]}")
        return {}  # compare() finds every answer missing
    return load_file(answers)


def good(row: dict[str, Any]) -> bool:
    return row["suite"]["exit_code"] == 0 and row["common"]["exit_code"] == 0 and not row["suite"]["failed"]


def table(rows: list[dict[str, Any]], crossings: list[dict[str, Any]]) -> str:
    lines = [f"{'corner':8}{'python':9}" + "".join(f"{name:17}" for name in SUPPORTED) + f"{'tests':38}common tests"]
    for row in rows:
        tests, common = row["suite"], row["common"]
        versions = f"{row['versions']['python']:9}" + "".join(f"{row['versions'][name]:17}" for name in SUPPORTED)
        counts = f"{tests['passed']} passed, {len(tests['failed'])} failed, {sum(tests['skipped'].values())} skipped"
        of_common = ", ".join(f"{common[word]} {word}" for word in ("passed", "failed", "skipped") if word in common)
        lines.append(f"{row['corner']:8}{versions}{counts:38}{of_common or common['log']}")
        lines += [f"  failed: {name}" for name in tests["failed"]]
    lines.append(f"\n{'saved at':10}{'opened at':11}{'folder':12}{'compared':10}outputs differ by")
    for row in crossings:
        lines.append(
            f"{row['saved']:10}{row['opened']:11}{row['folder']:12}{row['compared']:<10}{row['difference']:.1e}"
            f"{'  WRONG' if row['wrong'] else ''}"
        )
        lines += [f"  {wrong}" for wrong in row["wrong"]]
    return "\n".join(lines)


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
