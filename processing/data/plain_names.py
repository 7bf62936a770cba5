"""Names that may stand in a message: a wrong column, or a table without a header, holds a report in their place."""

import re
from collections.abc import Iterable

LONGEST, MOST_WORDS, MOST_SHOWN = 40, 5, 12
PLAIN = re.compile(r"[^\W\d_][\w /&+()-]*")  # letters first, and no sentence's punctuation
LONG_NUMBER = re.compile(r"\d{3}|\d[/-]\d")  # of a patient, or a date


def is_plain(name: object) -> bool:
    """Whether it looks like a name of a column or of a body part, and not like text about anybody."""
    from ..curation.deidentify import check

    return (
        isinstance(name, str)
        and len(name) <= LONGEST
        and len(re.split(r"[\s_]+", name.strip())) <= MOST_WORDS
        and PLAIN.fullmatch(name.strip()) is not None
        and LONG_NUMBER.search(name) is None
        and not check(name)
    )


def named(names: Iterable[object], where: str) -> str:
    """The names as a message may have them: 'GNOMON', 'L FOO' and 2 that look like text (see `where`)."""
    names = list(names)
    plain = [repr(name) for name in names if is_plain(name)]
    hidden = len(names) - len(plain)
    shown = ", ".join(plain[:MOST_SHOWN])
    more = [f"{len(plain) - MOST_SHOWN} more"] if len(plain) > MOST_SHOWN else []
    more += [f"{hidden} that may hold text of a report"] if hidden else []
    if not more:
        return shown
    return f"{shown}{' and ' if shown else ''}{' and '.join(more)} ({where})"


def columns_named(columns: Iterable[object]) -> str:
    """What a table's columns are called, or only how many there are where one looks like a cell of a row."""
    columns = list(columns)
    if all(is_plain(name) for name in columns):
        return f"its columns are {', '.join(map(str, columns))}"
    return f"its {len(columns)} columns have no such name; is the first line a header?"
