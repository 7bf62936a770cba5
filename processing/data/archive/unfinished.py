"""Work that a kill leaves half done: whole files, one process at a time, and the same settings when it goes on."""

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_whole(path: Path, text: str) -> None:
    """The file with this text, whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, path)


@contextmanager
def alone(work: Path) -> Iterator[None]:
    """Two processes in one folder would write each other's files; the lock goes with the process, however it ends."""
    with (work / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(f"{work} belongs to another process, which is at it; wait for it, or stop it") from error
        yield


def same_as_before(work: Path, now: dict[str, Any], what: str) -> None:
    """Refuses to go on with unfinished work on something else; `what` it is called in the message."""
    path = work / "settings.json"
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        other = sorted(name for name in now if json.loads(json.dumps(now[name])) != before.get(name))
        if other:
            raise ValueError(
                f"{work} is an unfinished {what} with other {', '.join(other)}; go on with those, name another "
                "folder, or delete it"
            )
    write_whole(path, json.dumps(now) + "\n")


def end_with(parent: int) -> None:
    """A worker whose parent was killed would wait for work for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
