"""The first sheet of an Excel workbook (.xlsx) as rows of text, for the one table that comes in that form."""

import re
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from .cvat import parse_xml

MOST_BYTES = 32 * 2**20  # of a part, unpacked
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def read_sheet(path: Path) -> list[list[str]]:
    """Cells as they are stored, empty ones as empty text. Raises ValueError for what is no workbook."""
    try:
        with ZipFile(path) as book:
            shared = [
                "".join(text.text or "" for text in item.iter(f"{MAIN}t"))
                for item in _part(book, "xl/sharedStrings.xml", path)
            ]
            sheets = sorted(name for name in book.namelist() if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", name))
            if not sheets:
                raise ValueError(f"{path} holds no sheet")
            rows = [_cells(row, shared) for row in next(iter(_sheet_data(book, sheets[0], path)))]
    except BadZipFile as error:
        raise ValueError(f"{path} is no Excel workbook: {error}") from error
    return [row for row in rows if any(row)]


def _sheet_data(book: ZipFile, name: str, path: Path):
    return [part for part in _part(book, name, path) if part.tag == f"{MAIN}sheetData"]


def _part(book: ZipFile, name: str, path: Path):
    if name not in book.namelist():
        return []
    size = book.getinfo(name).file_size
    if size > MOST_BYTES:
        raise ValueError(f"{path}: {name} unpacks to {size} bytes; at most {MOST_BYTES} are read")
    with book.open(name) as part:
        return parse_xml(part.read(MOST_BYTES + 1), f"{path.name}: {name}")


def _cells(row, shared: list[str]) -> list[str]:
    found: dict[int, str] = {}
    for place, cell in enumerate(row):
        letters = re.match(r"[A-Z]+", cell.get("r", ""))
        column = _number(letters.group()) if letters else place
        value = cell.find(f"{MAIN}v")
        text = "" if value is None else value.text or ""
        if cell.get("t") == "s":
            text = shared[int(text)]
        elif cell.get("t") == "inlineStr":
            text = "".join(part.text or "" for part in cell.iter(f"{MAIN}t"))
        found[column] = text
    return [found.get(column, "") for column in range(max(found, default=-1) + 1)]


def _number(letters: str) -> int:
    """A is 0, Z 25, AA 26."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1
