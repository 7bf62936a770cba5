"""Answers that were given, by what was asked: an answer that was paid for is never asked for again.

One SQLite file. An answer is in it before it is used, so a kill loses those alone that were on their way. It holds
what the model wrote: numbers and names of parts, in the free-text mode text of reports. Keep it as private as those.
"""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

FORMAT = "1"


class Reply(NamedTuple):
    """What a model wrote, and what it cost."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    certainty: Mapping[str, float] = {}  # by key of the JSON: the model's own chance of what it chose, where known


class AnswerCache:
    """`reply(key)` and `keep(key, reply)`; for one process at a time."""

    def __init__(self, path: Path):
        self.path = path
        new = not path.exists()
        try:
            self._rows = sqlite3.connect(path, isolation_level=None)  # each statement is its own transaction
            self._rows.execute("PRAGMA journal_mode = WAL")
            self._rows.execute(
                "PRAGMA synchronous = NORMAL"
            )  # a kill loses nothing; a power cut may lose the last ones
            self._rows.execute(
                "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, reply TEXT NOT NULL) WITHOUT ROWID"
            )
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path} is no file of answers ({error}); name another one, or delete it") from error
        if new:
            path.chmod(0o600)

    def reply(self, key: bytes) -> Reply | None:
        found = self._rows.execute("SELECT reply FROM answers WHERE key = ?", (key,)).fetchone()
        return Reply(*json.loads(found[0])) if found else None

    def keep(self, key: bytes, reply: Reply) -> None:
        self._rows.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, json.dumps(reply)))

    def __len__(self) -> int:
        return self._rows.execute("SELECT count(*) FROM answers").fetchone()[0]

    def close(self) -> None:
        self._rows.close()


def key_of(asked: Mapping[str, Any]) -> bytes:
    """Of everything that decides an answer: the model, its settings, the words and the schema."""
    return hashlib.sha256(json.dumps([FORMAT, asked], sort_keys=True).encode()).digest()
