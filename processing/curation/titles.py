"""Lines that are headings by the anatomy they name, and texts without anatomy that some parts cannot be meant by."""

import re
from functools import cache

from .lexicon import lexicon, table_of_words, tokens


def is_title(text: str) -> bool:
    """Whether a line says nothing but which part comes next: "LEFT KNEE", "Xray Hip", "Hands and wrists"."""
    words = [token.word for token in tokens(text)]
    if not 1 <= len(words) <= 16:
        return False
    table = lexicon()
    rest = [word for word in words if word not in FILLERS and not word.isdigit()]
    return bool(rest) and all(word in table.titles for word in rest)


def is_subtitle(text: str) -> bool:
    """Whether a line is a heading though it names no part: "Bones", "Lines and tubes"."""
    if len(text) > 40:
        return False
    words = [token.word for token in tokens(text)]
    subtitles = lexicon().subtitles
    return " ".join(words) in subtitles or (
        bool(words) and all(word in subtitles or word in ("and", "other") for word in words)
    )


# Words that a title may hold beside the part's name.
FILLERS = frozenset(
    "left right lt rt l r bilateral bilat both ap pa lateral lat oblique obl frontal view standing supine "
    "erect portable xr xray x ray cr dx radiograph radiography film plain series study of the and with joint "
    "digit one two three four single bone region area frog flexion extension ".split()
)


def unfit(text: str) -> frozenset[str]:
    """The parts that a text without anatomy cannot speak of: no chest has a diaphysis."""
    found: set[str] = set()
    for pattern, parts in _unfit():
        if pattern.search(text):
            found |= parts
    return frozenset(found)


@cache
def _unfit() -> list[tuple[re.Pattern[str], frozenset[str]]]:
    return [
        (re.compile(rf"\b(?:{'|'.join(row['words'])})", re.IGNORECASE), frozenset(row["parts"]))
        for row in table_of_words()["unfit"]
    ]
