"""Looks for what could single a patient out in a text: names, dates, numbers, places. Ours, by rules; it has misses.

No kept library serves: presidio needs a spaCy model, philter a tagger's data, and neither comes with pip; scrubadub
brings scikit-learn and textblob along. What is found and what is not is measured in docs/curation/deidentification.md.
It is a net under whoever has taken the names out, and takes the place of nobody.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import yaml

from .identifiers import (
    AND_FAMILY,
    CAPITALS,
    DONE_IN_CAPITALS,
    GATES,
    LAST_FIRST,
    NOT_A_PERSON,
    RULES,
    TITLE_CASE_RUN,
    Kind,
)

SEVERAL_BLANKS = re.compile(r"\s+")
END_OF_LINE = re.compile(r"\r\n?|\n")
PLAIN = re.compile(r"\S+(?: \S+)*")


@dataclass(frozen=True, order=True)
class Found:
    """`text[start:end]` looks like an identifier. It holds nothing of the text, so it may stand in a log."""

    start: int
    end: int
    kind: Kind


def check(text: str) -> list[Found]:
    """What looks like an identifier, in the text's order, without overlaps.

    Clinical numbers and names are let through: levels, grades, measurements, classifications, signs named after
    people. So are a year alone, a time of the day, and ages up to 89. Blanks of any kind and number count as one, and
    so does the end of a line, but for an empty one.
    """
    page = _page(text)
    found = _in_plain_text(page.text, page.wraps)
    return [replace(one, start=page.places[one.start], end=page.places[one.end]) for one in found]


def _in_plain_text(text: str, wraps: frozenset[int]) -> list[Found]:
    found: list[Found] = []
    open_gates = {name for name, gate in GATES.items() if gate.search(text)}
    for kind, gate, pattern in RULES:
        if gate not in open_gates:
            continue
        group = "it" if "it" in pattern.groupindex else 0
        for match in pattern.finditer(text):
            start, end = match.span(group)
            if kind == "place" and text.rfind(" ", start, end) in wraps:
                continue  # the end of one line and a heading
            if kind == "name":
                end = _end_of_name(text, start, end, wraps)
            _add(found, Found(start, end, kind))
    for one in (*_bare_names(text, wraps), *_names_in_capitals(text)):
        _add(found, one)
    return sorted(found)


def mask(text: str) -> str:
    """The text with each finding of `check` replaced by its kind: "Seen by Dr. [name] on [date]"."""
    pieces, end = [], 0
    for one in check(text):
        pieces += [text[end : one.start], f"[{one.kind}]"]
        end = one.end
    return "".join([*pieces, text[end:]])


class _Page(NamedTuple):
    """A text as it is looked through."""

    text: str  # each run of blanks is one blank, or a line feed where a line is empty
    places: Sequence[int]  # where each character of it, and its end, stands in the text that came
    wraps: frozenset[int]  # those of its blanks at which a line ends


def _page(text: str) -> _Page:
    if text.isascii() and PLAIN.fullmatch(text):
        return _Page(text, range(len(text) + 1), frozenset())
    pieces: list[str] = []
    places: list[int] = []
    wraps = set()
    after = 0
    for blanks in SEVERAL_BLANKS.finditer(text):
        _add_piece(text, after, blanks.start(), pieces, places)
        lines = len(END_OF_LINE.findall(blanks[0]))
        if lines:
            wraps.add(len(places))
        pieces.append("\n" if lines > 1 else " ")
        places.append(blanks.start())
        after = blanks.end()
    _add_piece(text, after, len(text), pieces, places)
    return _Page("".join(pieces), [*places, len(text)], frozenset(wraps))


def _add_piece(text: str, start: int, end: int, pieces: list[str], places: list[int]) -> None:
    """A character for each: \uff17 is a 7; accents that stand alone are left out."""
    if (piece := text[start:end]).isascii():
        pieces.append(piece)
        places += range(start, end)
        return
    for place in range(start, end):
        letter = text[place]
        if not letter.isascii():
            if unicodedata.category(letter) in ("Mn", "Cf"):
                continue
            plain = unicodedata.normalize("NFKC", letter)
            letter = plain if len(plain) == 1 else letter
        pieces.append(letter)
        places.append(place)


@cache
def _words() -> dict[str, frozenset[str]]:
    """given, family, eponyms, words: in lower case."""
    lists = yaml.safe_load(files(__package__).joinpath("names.yaml").read_text(encoding="utf-8"))
    return {name: frozenset(word.lower() for word in text.split()) for name, text in lists.items()}


def _add(found: list[Found], new: Found) -> None:
    """What overlaps becomes one, of the kind that was first."""
    if new.start >= new.end:
        return
    touched = [one for one in found if one.start < new.end and new.start < one.end]
    for one in touched:
        found.remove(one)
    start, end = min(one.start for one in (*touched, new)), max(one.end for one in (*touched, new))
    found.append(Found(start, end, (*touched, new)[0].kind))


def _end_of_name(text: str, start: int, end: int, wraps: frozenset[int]) -> int:
    """Before the first word that is none: the name in "Dr Smith Left Knee" is Smith. `start` where all are none.

    A name goes on behind the end of a line only where it cannot be over yet: after an initial or a given name.
    """
    words, last, before = _words(), start, ""
    for word in re.finditer(r"[\w'\u2019-]+", text[start:end]):
        plain = word[0].lower()
        if len(before) > 1 and before not in words["given"] and start + word.start() - 1 in wraps:
            break
        before = plain
        if plain in words["words"] and plain not in words["given"] | words["family"] and len(plain) > 1:
            break
        last = start + word.end()
    return last


def _bare_names(text: str, wraps: frozenset[int]) -> list[Found]:
    """Names that nothing announces: a listed given name, or two capitalised words of which none is known."""
    words = _words()
    known = words["eponyms"] | words["words"]

    def is_known(word: str) -> bool:
        return word in known or ("-" in word and known.issuperset(word.split("-")))  # Salter-Harris

    found = []
    for run in TITLE_CASE_RUN.finditer(text):
        spans = [(run.start() + one.start(), run.start() + one.end()) for one in re.finditer(r"[^\s.]{2,}", run[0])]
        plain = [text[start:end].replace("\u2019", "'").removesuffix("'s").rstrip("'").lower() for start, end in spans]
        first = 0
        while first < len(spans):
            last = first
            if not is_known(plain[first]):
                while last + 1 < len(spans) and (not is_known(plain[last + 1]) or plain[last + 1] in words["family"]):
                    if plain[last] not in words["given"] and spans[last + 1][0] - 1 in wraps:
                        break  # the next line of a list, most likely
                    last += 1
                alone = plain[first] in words["given"] and not NOT_A_PERSON.match(text, spans[last][1])
                if alone or last > first:
                    found.append(Found(spans[first][0], spans[last][1], "name"))
            first = last + 1
    for match in LAST_FIRST.finditer(text):
        family, given = match[1].lower(), match[2].lower()
        listed = (given in words["given"]) + (family in words["family"] - known)
        likely = listed and (given in words["given"] or given not in known)
        if likely if match[0].isupper() else given in words["given"] and family in words["family"]:
            found.append(Found(match.start(), match.end(), "name"))
    return found


def _names_in_capitals(text: str) -> list[Found]:
    """Listed names in a text of capitals, where any word may be a name; with the word behind, in SARAH OKONKWO."""
    words = _words()
    known = words["eponyms"] | words["words"]
    found = []
    for match in CAPITALS.finditer(text):
        given = match[0].replace("\u2019", "'").removesuffix("'S").lower()
        if given not in words["given"] or given in known:
            continue
        end, family = match.end(), AND_FAMILY.match(text, match.end())
        listed = family is not None and family[1].lower() in words["family"]
        if len(given) < 4 and not listed:  # ANA and JAN are something else
            continue
        if NOT_A_PERSON.match(text, end):
            continue
        if family is not None and (listed or family[1].lower() not in known):
            end = family.end()
        found.append(Found(match.start(), end, "name"))
    for match in DONE_IN_CAPITALS.finditer(text):
        if match[1].lower() in words["family"]:
            found.append(Found(*match.span(1), "name"))
    return found
