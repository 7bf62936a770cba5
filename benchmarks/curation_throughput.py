"""How many requests `pedclip curate` keeps in flight against a server that takes 200 ms, and what it needs for that.

    python benchmarks/curation_throughput.py --out benchmarks/results/curation_throughput.json

The server (tests/support/fault_server.py) runs in a process of its own on the loopback address, once calm and once
with faults in a tenth of its answers. No row may be lost, and both tables have to be the same.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hardware import described, peak_of_this_process
from pyarrow import parquet

from pedclip.processing.curation.engines.server import ServerChat, ServerSettings
from pedclip.processing.curation.run import RunSettings, curate
from pedclip.processing.curation.studies import read_studies
from pedclip.processing.phantom.rows import study_row
from pedclip.processing.phantom.study import studies_of

SERVER = Path(__file__).resolve().parent.parent / "tests/support/fault_server.py"


def write_studies(path: Path, count: int) -> None:
    rows: list[dict[str, Any]] = []
    number = 0
    while len(rows) < count:
        for study in studies_of(0, number):
            row = study_row(study)
            parts = [f"{one['laterality'] or ''} {one['body_part']}".strip() for one in row["exams"]]
            images = [f"{row['study_id']}-{index}.png" for index in range(len(parts))]
            names = {"study_id": row["study_id"], "patient_id": row["patient_id"], "report": row["report"]}
            rows.append({**names, "body_parts": parts, "images": images})
        number += 1
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[:count]), encoding="utf-8")


def run(source: Path, out: Path, in_flight: int, delay: float, faults: float) -> dict[str, Any]:
    command = [sys.executable, str(SERVER), "--delay", str(delay), "--faults", str(faults), "--seed", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            address = server.stdout.readline().strip()
            studies = read_studies(source)
            chat = Watched(ServerSettings(address, "m", "mit", connections=in_flight))
            began = time.monotonic()
            summary = curate(studies, out, RunSettings(in_flight=in_flight), chat, engine="server")
            seconds = time.monotonic() - began
        finally:
            server.kill()
    table = out / "triplets.parquet"
    studies_in_it = len(set(parquet.read_table(table, columns=["study_id"])["study_id"].to_pylist()))
    return {
        "faults": faults,
        "studies": summary["studies"],
        "studies_with_triplets": studies_in_it,
        "fallbacks": summary["counts"].get("fallbacks", 0),
        "most_requests_in_flight": chat.most,
        "requests": chat.counts.requests,
        "retries": chat.counts.retries,
        "requests_a_second": round(chat.counts.requests / seconds, 1),
        "seconds": round(seconds, 1),
        "digest": hashlib.sha256(table.read_bytes()).hexdigest(),
    }


class Watched(ServerChat):
    """Remembers how many questions waited for an answer at the same time."""

    def __init__(self, settings: ServerSettings):
        super().__init__(settings)
        self.now = self.most = 0

    async def _once(self, question: Any, attempt: int) -> Any:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await super()._once(question, attempt)
        finally:
            self.now -= 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=3000)
    parser.add_argument("--in-flight", type=int, default=300)
    parser.add_argument("--delay", type=float, default=0.2, help="seconds that the server takes")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "studies.jsonl"
        write_studies(source, args.studies)
        runs = [
            run(source, Path(folder) / f"out-{faults}", args.in_flight, args.delay, faults) for faults in (0.0, 0.1)
        ]
    same = len({one.pop("digest") for one in runs}) == 1
    result = {
        "in_flight_allowed": args.in_flight,
        "server_seconds": args.delay,
        "runs": runs,
        "tables_equal": same,
        "peak_mib_of_the_client": peak_of_this_process(),
        **described(),
    }
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if not same or any(one["most_requests_in_flight"] < args.in_flight for one in runs):
        raise SystemExit("rows were lost, or fewer requests were in flight than allowed")


if __name__ == "__main__":
    main()
