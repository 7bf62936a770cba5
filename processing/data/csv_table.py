"""CSV read strictly: a quotation mark too few moves texts into other rows, and nobody would see it in the result."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

LONGEST_CELL = 16 * 2**20
WAY_OUT = "write the table again with each text in quotation marks, those inside doubled, or as .jsonl or .parquet"
OF_THE_TABLE = re.compile(r",(?! )")  # in a sentence a blank stands behind a comma


def rows_of_csv(path: Path) -> Iterator[dict[str, str]]:
    """The rows by the header's names; empty lines are none.

    Raises ValueError, which names the line and nothing that stands in it, for a row that is longer or shorter than the
    header, for quotation marks that do not close or close within a cell, and for a cell that holds the end of its row
    and the beginning of another.
    """
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, strict=True)
        header: list[str] = []
        last = 0
        try:
            for cells in lines:
                first, last = last + 1, lines.line_num
                if not cells:
                    continue
                if not header:
                    header = cells
                    twice = len(header) - len(set(header))
                    if twice:
                        raise ValueError(f"{path} names {twice} column(s) twice; give each a name of its own")
                    continue
                if len(cells) != len(header):
                    raise ValueError(
                        f"{path} line {first}: the row has {len(cells)} cells and the header {len(header)}, so texts "
                        f"may stand in wrong rows, and nothing is read; {WAY_OUT}"
                    )
                if any(_swallows_a_row(cell, place, len(header)) for place, cell in enumerate(cells)):
                    raise ValueError(
                        f"{path} line {first}: a cell runs on into the next row, as if a quotation mark were missing, "
                        f"and nothing is read; {WAY_OUT}"
                    )
                yield dict(zip(header, cells, strict=True))
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is no CSV table in UTF-8: {error.reason} at byte {error.start}") from None
        except csv.Error as error:
            raise ValueError(
                f"{path} line {last + 1}: the quotation marks do not fit ({error}), so that rows run into each other, "
                f"and nothing is read; {WAY_OUT}"
            ) from None


def _swallows_a_row(cell: str, place: int, columns: int) -> bool:
    """Whether a cell of several lines ends one row and begins another: as many commas as both have there.

    It is asked of tables of three columns and more only: of fewer a comma or none says nothing.
    """
    lines = cell.splitlines()
    if len(lines) < 2 or columns < 3:
        return False
    ends, begins = len(OF_THE_TABLE.findall(lines[0])), len(OF_THE_TABLE.findall(lines[-1]))
    return ends == columns - 1 - place and begins == place
