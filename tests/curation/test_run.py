"""A run of curation: what it writes, what a kill changes (nothing), and what a model's licence asks later on."""

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from calm_chat import Calm, rows, table
from fault_server import Plan, started
from pyarrow import parquet

from pedclip.cli import main
from pedclip.processing.curation.engines import cache as cache_file
from pedclip.processing.curation.engines import server as wire
from pedclip.processing.curation.engines.cache import Reply
from pedclip.processing.curation.run import RunSettings, curate
from pedclip.processing.curation.studies import read_studies

ROOT = Path(__file__).resolve().parents[2]


def triplets(out: Path) -> list[dict]:
    return parquet.read_table(out / "triplets.parquet").to_pylist()


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


@contextmanager
def server(plan: Plan):
    """The address of a server in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner, address = asyncio.run_coroutine_threadsafe(started(plan), loop).result()
    try:
        yield address
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(wire, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(wire, "LONGEST_WAIT", 0.05)


def test_the_rules_need_nothing_and_the_table_says_all(tmp_path, capsys):
    assert main(["curate", str(table(tmp_path, 3)), "--out", str(tmp_path / "out"), "--workers", "1"]) == 0
    found = triplets(tmp_path / "out")
    first = found[0]
    assert (first["study_id"], first["patient_id"], first["body_part"]) == ("s0", "p0", "L KNEE")
    assert (first["expert"], first["laterality"], first["engine"]) == ("knee", "left", "rules")
    assert first["model"] is None and first["model_licence"] is None and not first["fallback"]
    assert first["file_name"] == "../films/0-knee.png"
    report = rows(1)[0]["report"]
    assert all(sentence in report for row in found[:2] for sentence in row["text"].split(". "))
    assert all("istory" not in row["text"] for row in found)
    assert [row["study_id"] for row in found] == sorted(row["study_id"] for row in found)
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["studies"] == 3 and summary["counts"]["triplets"] == len(found)
    assert "Effusion" not in capsys.readouterr().out + (tmp_path / "out/README.md").read_text()
    assert "pedclip data build" in (tmp_path / "out/README.md").read_text()


def test_processes_and_segments_change_nothing_but_the_row_groups(tmp_path):
    studies = read_studies(table(tmp_path, 25))
    one = curate(studies, tmp_path / "a", RunSettings(workers=1))
    several = curate(studies, tmp_path / "b", RunSettings(workers=2, studies_in_a_segment=7))
    assert one == several and triplets(tmp_path / "a") == triplets(tmp_path / "b")
    curate(studies, tmp_path / "c", RunSettings(workers=1, studies_in_a_segment=7))
    assert contents(tmp_path / "b") == contents(tmp_path / "c")
    assert {path.name for path in (tmp_path / "a-private").iterdir()} == {"skipped.jsonl", "unknown_parts.yaml"}


def test_a_model_answers_and_the_rules_where_it_gives_up(tmp_path):
    studies = read_studies(table(tmp_path, 12))
    summary = curate(
        studies, tmp_path / "out", RunSettings(dataset="phantom", in_flight=5, price=(1.0, 10.0)),
        Calm(silent="Effusion of 4 mm"), engine="local",
    )  # fmt: skip
    found = triplets(tmp_path / "out")
    of_four = [row for row in found if row["study_id"] == "s4"]
    assert of_four and all(row["fallback"] and row["engine"] == "rules" and row["model"] is None for row in of_four)
    others = [row for row in found if row["study_id"] != "s4"]
    assert len(others) == 22
    for row in others:
        assert (row["engine"], row["model"], row["model_licence"], row["prompt_version"], row["fallback"]) == (
            *("local", "Calm-1B", "mit", "v1"), False
        )  # fmt: skip
    knee = next(row for row in others if row["body_part"] == "L KNEE")
    assert knee["sentences"] == [1, 2, 3]  # the third sentence speaks of both
    assert summary["counts"]["fallbacks"] == 1 and summary["failures"] == {"not to this question": 1}
    assert summary["counts"]["answers"] == 22
    cost = round((22 * 7 + 22 * 3 * 10) / 1e6, 4)
    assert summary["this run"] == dict(answers=22, reused=0, prompt_tokens=154, completion_tokens=66, cost=cost)
    assert "this run" not in json.loads((tmp_path / "out/summary.json").read_text())  # a resumed run writes the same
    card = (tmp_path / "out/README.md").read_text()
    assert "Calm-1B" in card and "Its licence: mit" in card and "pedclip/phantom" in card
    assignments = parquet.read_table(tmp_path / "out/assignments.parquet").to_pylist()
    assert assignments[0]["dropped"] == [{"sentence": 0, "reason": "history"}] and len(assignments) == 12


def test_a_failing_server_gives_the_same_table(tmp_path):
    source = table(tmp_path, 40)
    options = ["--engine", "server", "--model", "m", "--licence", "mit", "--timeout", "1", "--concurrency", "20"]
    with server(Plan()) as address:
        assert main(["curate", str(source), "--out", str(tmp_path / "calm"), *options, "--url", address]) == 0
    with server(Plan(faults=0.3, seed=5)) as address:
        assert main(["curate", str(source), "--out", str(tmp_path / "storm"), *options, "--url", address]) == 0
    assert triplets(tmp_path / "calm") == triplets(tmp_path / "storm")
    assert (tmp_path / "calm/triplets.parquet").read_bytes() == (tmp_path / "storm/triplets.parquet").read_bytes()


def test_a_server_that_is_gone_stops_the_run_and_the_next_one_goes_on(tmp_path, monkeypatch):
    studies = read_studies(table(tmp_path, 30))
    settings = RunSettings(in_flight=4, studies_in_a_segment=5)

    class Dying(Calm):
        async def complete(self, question, attempt):
            if self.asked >= 31:
                raise wire.ServerGoneError("gone; it goes on")
            return await super().complete(question, attempt)

    first = Dying()
    with pytest.raises(OSError, match="goes on"):
        curate(studies, tmp_path / "out", settings, first, engine="server")
    assert not (tmp_path / "out/triplets.parquet").exists()
    with pytest.raises(ValueError, match="unfinished run with other engine, identifiers"):
        curate(studies, tmp_path / "out", RunSettings(identifiers="keep", studies_in_a_segment=5), Calm())
    second = Calm()
    curate(studies, tmp_path / "out", settings, second, engine="server")
    assert first.asked + second.asked == 60  # two questions a study, none of them twice
    curate(studies, tmp_path / "whole", settings, Calm(), engine="server")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    with pytest.raises(ValueError, match="no unfinished run"):
        curate(studies, tmp_path / "out", settings, Calm(), engine="server")


@pytest.mark.parametrize(("kind", "count"), [("400", 30), ("400", 2), ("402", 5)])
def test_a_server_that_refuses_everything_leaves_no_table_and_is_asked_again(tmp_path, capsys, kind, count):
    source, out = table(tmp_path, count), tmp_path / "out"
    options = ["--engine", "server", "--model", "m", "--licence", "mit", "--concurrency", "4", "--price", "1", "1"]
    with server(Plan(faults=1.0, kinds=(kind,))) as address:
        assert main(["curate", str(source), "--out", str(out), *options, "--url", address]) == 2
    assert not (out / "triplets.parquet").exists()
    assert ("no credit" if kind == "402" else "as if it were set up for others") in capsys.readouterr().err
    plan = Plan()
    with server(plan) as address:
        assert main(["curate", str(source), "--out", str(out), *options, "--url", address]) == 0
    assert plan.requests == 2 * count and not any(row["fallback"] for row in triplets(out))
    paid = (2 * count * 110) / 1e6
    assert f"answered: {round(paid, 4)} paid; 0 answers that were there" in capsys.readouterr().out


def test_a_disk_that_is_full_ends_in_a_message(tmp_path, capsys, monkeypatch):
    def full(self, statement, values):
        raise sqlite3.OperationalError("database or disk is full")

    class Rows:
        execute, close = full, lambda self: None

    real = cache_file.AnswerCache.__init__
    monkeypatch.setattr(
        cache_file.AnswerCache, "__init__", lambda self, path: (real(self, path), setattr(self, "_rows", Rows()))[0]
    )
    options = ["--engine", "server", "--model", "m", "--licence", "mit"]
    with server(Plan()) as address:
        command = ["curate", str(table(tmp_path, 3)), "--out", str(tmp_path / "out"), *options, "--url", address]
        assert main(command) == 2
    assert "Is the disk full" in capsys.readouterr().err


def test_a_kill_at_any_moment_repeats_no_call_but_those_on_their_way(tmp_path):
    """SIGKILL while a server with faults answers; then on. The server counts its good answers by content."""
    source, log, hold = table(tmp_path, 60), tmp_path / "log", tmp_path / "hold"
    in_flight, kills = 8, 3
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    script = ROOT / "tests/support/fault_server.py"
    arguments = ["--faults", "0.2", "--seed", "1", "--delay", "0.02", "--log", str(log), "--hold", str(hold)]
    with subprocess.Popen(
        [sys.executable, str(script), *arguments], stdout=subprocess.PIPE, text=True, env=environment
    ) as faulty:
        try:
            address = faulty.stdout.readline().strip()
            command = [sys.executable, "-c", "import sys; from pedclip.cli import main; sys.exit(main())", "curate"]
            command += [str(source), "--out", str(tmp_path / "out"), "--engine", "server", "--url", address]
            command += ["--model", "m", "--licence", "mit", "--concurrency", str(in_flight)]
            draw = random.Random(0)
            for kill in range(kills):
                stop_at = 30 * (kill + 1) + draw.randrange(10)
                hold.with_name("next").write_text(str(stop_at))
                hold.with_name("next").replace(hold)
                with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as running:
                    while running.poll() is None and (not log.exists() or log.read_text().count("\n") < stop_at):
                        time.sleep(0.005)
                    assert running.poll() is None, "it was through before it could be killed"
                    running.send_signal(signal.SIGKILL)
            hold.unlink()
            subprocess.run(command, env=environment, check=True, capture_output=True)
        finally:
            faulty.kill()
    answers = Counter(log.read_text().split())
    assert len(answers) == 120  # two questions a study
    assert answers.total() - len(answers) <= kills * in_flight
    curate(read_studies(source), tmp_path / "whole", RunSettings(), Named(), engine="server")
    for name in ("triplets.parquet", "assignments.parquet"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


class Named(Calm):
    model = "m"


def test_many_requests_are_in_flight_and_none_is_lost(tmp_path):
    count = 120
    plan = Plan(delay=0.2)
    studies = read_studies(table(tmp_path, count))
    with server(plan) as address:
        chat = wire.ServerChat(wire.ServerSettings(address, "m", "mit", connections=100))
        curate(studies, tmp_path / "out", RunSettings(in_flight=100), chat, engine="server")
    assert len(triplets(tmp_path / "out")) == 2 * count
    assert plan.most_at_once > 50 and plan.requests == 2 * count


def test_what_looks_like_an_identifier_is_masked_left_out_or_kept(tmp_path):
    path = tmp_path / "s.jsonl"
    report = "Fracture of the knee. Dr. Anna Smith was told on 3 March 2020."
    path.write_text(json.dumps({"study_id": "s", "report": report, "body_parts": "knee", "images": "a.png"}) + "\n")
    studies = read_studies(path)
    texts = {}
    for choice in ("mask", "leave-out", "keep"):
        summary = curate(studies, tmp_path / choice, RunSettings(identifiers=choice, workers=1), Keeps())
        texts[choice] = [row["text"] for row in triplets(tmp_path / choice)]
        assert summary["counts"]["texts_with_identifiers"] == 1
    assert texts["keep"] == [report] and texts["leave-out"] == []
    assert "Smith" not in texts["mask"][0] and "2020" not in texts["mask"][0] and "Fracture" in texts["mask"][0]


class Keeps(Calm):
    """Says that every sentence is a finding of every part."""

    async def complete(self, question, attempt):
        properties = question.schema["properties"]
        said = {
            key: "finding" if value["type"] == "string" else value["items"]["enum"]
            for key, value in properties.items()
        }
        return Reply(json.dumps(said))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--engine", "server"], "needs --url, --model, --licence"),
        (["--engine", "local", "--model", "some/model"], "--licence"),
        (["--engine", "server", "--url", "http://127.0.0.1:9/v1", "--model", "some/model"], "--licence"),
        (
            ["--engine", "local", "--model", "meta-llama/llama-3.1-8B-Instruct", "--licence", "apache-2.0"],
            "has the licence llama3.1; leave --licence out",
        ),
        (
            [
                *("--engine", "server", "--url", "http://127.0.0.1:9/v1"),
                *("--model", "Qwen/Qwen2.5-7B-Instruct", "--licence", "mit"),
            ],
            "has the licence apache-2.0",
        ),
        (["--model", "x"], "the rules need neither"),
        (
            ["--engine", "server", "--url", "https://x.example/v1", "--model", "m", "--licence", "mit"],
            "--allow-remote",
        ),
        (
            [
                *("--engine", "server", "--url", "https://x.example/v1", "--model", "m", "--licence", "mit"),
                *("--allow-remote", "--dataset", "vindr-pcxr", "--permission", "me"),
            ],
            "forbid it",
        ),
        (
            [
                *("--engine", "server", "--url", "https://x.example/v1", "--model", "m", "--licence", "mit"),
                *("--allow-remote", "--dataset", "our-hospital"),
            ],
            "nobody here knows",
        ),
    ],
)
def test_what_the_command_refuses(tmp_path, capsys, options, said):
    assert main(["curate", str(table(tmp_path, 1)), "--out", str(tmp_path / "out"), *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious.txt").write_text("x")
    assert main(["curate", str(table(tmp_path, 1)), "--out", str(out)]) == 2
    assert (out / "precious.txt").read_text() == "x"
