"""What a run of the benchmark has in its folder already, and when that may be used again."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..json_files import read_json, write_json

TASKS_FOLDER = "tasks"  # an answer a file
RESULTS = "results.json"


def remember(out: Path, settings: Mapping[str, Any]) -> None:
    """Writes OUT/settings.json; where a run began already, makes sure that it began with these."""
    file, now = out / "settings.json", json.loads(json.dumps(settings))
    if not file.is_file():
        write_json(file, now)
        return
    begun = read_json(file)
    changed = sorted(key for key in now.keys() | begun.keys() if now.get(key) != begun.get(key))
    if changed:
        raise ValueError(
            f"{out} holds results of another run ({', '.join(changed)} differ); take its settings, or another --out"
        )


def stored_answers(out: Path) -> dict[str, dict[str, Any]]:
    """{task: its answer} of every file in OUT/tasks; what was not answered is none."""
    found = {file.stem: read_json(file) for file in sorted((out / TASKS_FOLDER).glob("*.json"))}
    return {name: entry for name, entry in found.items() if "value" in entry}


def still_holds(
    entry: Mapping[str, Any],
    settings: Mapping[str, Any],
    model_hash: str,
    data_hashes: Mapping[str, str] | None,
    allow_leaks: bool,
) -> bool:
    """Whether an answer is of this model, these settings and these images; None: images that are not looked at now.

    One with a leak holds only where leaks are allowed: without, the same command has to refuse as the first would.
    """
    made_by = entry.get("settings", {})
    return (
        all(made_by.get(key) == value for key, value in settings.items())
        and entry.get("model_hash") == model_hash
        and data_hashes in (None, entry.get("data_hashes"))
        and (allow_leaks or not entry.get("leaks", {}).get("found"))
    )


def earlier_statuses(out: Path, known: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The rows of OUT/results.json that say why a task has no number, without those of `known` tasks."""
    if not (out / RESULTS).is_file():
        return {}
    rows = read_json(out / RESULTS)["tasks"]
    return {row["task"]: row for row in rows if "status" in row and row["task"] not in known}
