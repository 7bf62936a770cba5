"""Files that may show a patient: under a name that export, check and push refuse, and for their owner's eyes alone."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

PRIVATE = ".private"  # before the suffix
PRIVATE_NOTE = "Private: this file shows a patient's film. It is not for handing on."


def check_name(out: Path, private: bool, suffixes: Sequence[str]) -> None:
    """Raises where a file must not be called so; known before anything is computed."""
    suffix = out.suffix.lower()
    if suffix not in suffixes:
        neither = "neither" if len(suffixes) > 1 else "no"
        raise ValueError(f"{out.name} is {neither} {' nor '.join(suffixes)}; give the file such an ending")
    if private and not out.stem.lower().endswith(PRIVATE):
        raise ValueError(
            f"{out.name} would show a patient's film under an open name; call it {out.stem}{PRIVATE}{suffix}, which "
            "export, check and push refuse"
        )


def write_whole(out: Path, content: bytes, private: bool) -> None:
    """Writes the file whole or not at all; a private one can be read by its owner alone."""
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{out.name}-", dir=out.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o600 if private else 0o644)
        os.replace(name, out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
