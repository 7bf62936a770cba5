"""What a build left: its rows, and its files' bytes."""

from pathlib import Path

from pyarrow import parquet


def rows_of(out: Path) -> list[dict]:
    return [row for file in sorted((out / "data").glob("*.parquet")) for row in parquet.read_table(file).to_pylist()]


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
