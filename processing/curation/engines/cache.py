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
        except sqlite3.OperationalError as error:
            raise OSError(f"{path}: no file of answers can be kept there ({error})") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path} is no file of answers ({error}); name another one, or delete it") from error
        if new:
            path.chmod(0o600)

    def reply(self, key: bytes) -> Reply | None:
        found = self._done("SELECT reply FROM answers WHERE key = ?", (key,))
        return Reply(*json.loads(found[0])) if found else None

    def keep(self, key: bytes, reply: Reply) -> None:
        """OSError where it cannot be kept: what is paid for and not kept would be paid for twice."""
        self._done("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, json.dumps(reply)))

    def _done(self, statement: str, values: tuple[Any, ...]) -> Any:
        try:
            return self._rows.execute(statement, values).fetchone()
        except sqlite3.Error as error:
            raise OSError(
                f"{self.path}: the answers cannot be kept or read ({error}). Is the disk full, or another run at it? "
                "What was kept is not lost: make room, and run it again"
            ) from error

    def __len__(self) -> int:
        return self._rows.execute("SELECT count(*) FROM answers").fetchone()[0]

    def close(self) -> None:
        try:
            self._rows.close()
        except sqlite3.Error as error:  # its last step writes, too
            raise OSError(f"{self.path}: the answers cannot be closed ({error}). Is the disk full?") from error


def key_of(asked: Mapping[str, Any]) -> bytes:
    """Of everything that decides an answer: the model, its settings, the words and the schema."""
    return hashlib.sha256(json.dumps([FORMAT, asked], sort_keys=True).encode()).digest()
