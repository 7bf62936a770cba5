"""Kills a build of many phantom images at random moments, goes on with it, and compares it with one left alone.

    python benchmarks/kill_build.py --images 20000 --out benchmarks/results/kill_build.json

Measures the largest memory of the whole process tree too. FOLDER, with --films, is kept and used again.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hardware import described

from pedclip.processing.phantom.folder import FolderSettings, write_folder

PAGE = os.sysconf("SC_PAGE_SIZE")
FILMS_A_PATIENT = 3.2  # of the shipped clinic


def memory_of(group: int) -> int:
    """Resident bytes of a process group, shared pages counted once for each process."""
    total = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == group:
                    total += int((folder / "statm").read_text().split()[1]) * PAGE
            except (FileNotFoundError, ProcessLookupError):
                continue
    return total


def shards_done(out: Path) -> int:
    return len(list((out.with_name(out.name + "-private") / "unfinished").glob("*-of-*.json")))


def run(
    films: Path, out: Path, shard_images: int, kill_at: int | None = None, later: float = 0.0
) -> tuple[int | None, float, float]:
    """(exit status, or None if it was killed; seconds; largest GiB). Killed `later` seconds after shard `kill_at`."""
    command = [sys.executable, "-m", "pedclip.cli", "data", "build", str(films), "--out", str(out)]
    command += ["--shard-images", str(shard_images)]
    began, largest = time.monotonic(), 0
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as running:
        while running.poll() is None:
            largest = max(largest, memory_of(running.pid))
            if kill_at is not None and shards_done(out) >= kill_at:
                time.sleep(later)
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()
                return None, time.monotonic() - began, largest / 2**30
            time.sleep(0.01)
    return running.returncode, time.monotonic() - began, largest / 2**30


def digests(out: Path) -> dict[str, str]:
    files = [path for path in sorted(out.rglob("*")) if path.is_file()]
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--films", type=Path, metavar="FOLDER", help="phantom films to use, or to make here")
    parser.add_argument("--shard-images", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        films = args.films or work / "films"
        if not films.exists():
            write_folder(films, FolderSettings(patients=round(args.images / FILMS_A_PATIENT), side=128))
        count = len((films / "metadata.jsonl").read_text().splitlines())
        whole, killed = work / "whole", work / "killed"
        status, seconds, gib = run(films, whole, args.shard_images)
        assert status == 0, f"the build failed with {status}"
        (work / "killed-private").mkdir()
        shutil.copy(work / "whole-private/key", work / "killed-private/key")
        shards = len(list((whole / "data").iterdir()))
        draw = random.Random(args.seed)
        kills = []
        for kill_at in sorted(draw.sample(range(1, shards - 3), 3)):
            ended, after, peak = run(films, killed, args.shard_images, kill_at, draw.uniform(0, 0.3))
            gib = max(gib, peak)
            kills.append({"seconds": round(after, 1), "shards_done": shards_done(killed), "killed": ended is None})
            print(kills[-1], flush=True)
        status, _, peak = run(films, killed, args.shard_images)
        gib = max(gib, peak)
        assert status == 0, f"the resumed build failed with {status}"
        one, other = digests(whole), digests(killed)
        result = {
            "images": count,
            "shards": shards,
            "kills": kills,
            "shards_equal": {k: v for k, v in one.items() if k.startswith("data/")}
            == {k: v for k, v in other.items() if k.startswith("data/")},
            # the page names the private folder, which the two cannot share
            "files_that_differ": sorted(
                name for name in one.keys() | other.keys() if one.get(name) != other.get(name)
            ),
            "seconds_unkilled": round(seconds, 1),
            "images_a_second": round(count / seconds, 1),
            "peak_gib_of_all_processes": round(gib, 2),
            **described(),
        }
    print(json.dumps(result, indent=1))
    if not result["shards_equal"] or not all(kill["killed"] for kill in kills):
        raise SystemExit("the killed build is not the same, or was through before it could be killed")
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
