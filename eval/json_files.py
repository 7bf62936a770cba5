"""JSON files of results: written whole or not at all, and named where they were cut off."""

import json
import os
from pathlib import Path
from typing import Any


def write_json(file: Path, value: Any) -> None:
    """Whole or not at all; NaN, which JSON has not, is an error."""
    new = file.with_name(f".{file.name}.new")
    new.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(new, file)


def read_json(file: Path) -> Any:
    """ValueError with the file's name where it was cut off."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is no whole JSON ({error}); remove it and run the same command again") from None
