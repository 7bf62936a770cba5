"""Looks for what could single a patient out in a text: names, dates, numbers, places. Ours, by rules; it has misses.

No kept library serves: presidio needs a spaCy model, philter a tagger's data, and neither comes with pip; scrubadub
brings scikit-learn and textblob along. What is found and what is not is measured in docs/curation/deidentification.md.
It is a net under whoever has taken the names out, and takes the place of nobody.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from .identifiers import GATES, LAST_FIRST, NOT_A_PERSON, RULES, TITLE_CASE_RUN, Kind


@dataclass(frozen=True, order=True)
class Found:
    """`text[start:end]` looks like an identifier. It holds nothing of the text, so it may stand in a log."""

    start: int
    end: int
    kind: Kind


def check(text: str) -> list[Found]:
    """What looks like an identifier, in the text's order, without overlaps.

    Clinical numbers and names are let through: levels, grades, measurements, classifications, signs named after
    people. So are a year alone, a time of the day, and ages up to 89.
    """
    found: list[Found] = []
    open_gates = {name for name, gate in GATES.items() if gate.search(text)}
    for kind, gate, pattern in RULES:
        if gate not in open_gates:
            continue
        group = "it" if "it" in pattern.groupindex else 0
        for match in pattern.finditer(text):
            start, end = match.span(group)
            if kind == "name":
                end = _end_of_name(text, start, end)
            _add(found, Found(start, end, kind))
    for one in _bare_names(text):
        _add(found, one)
    return sorted(found)


def mask(text: str) -> str:
    """The text with each finding of `check` replaced by its kind: "Seen by Dr. [name] on [date]"."""
    pieces, end = [], 0
    for one in check(text):
        pieces += [text[end : one.start], f"[{one.kind}]"]
        end = one.end
    return "".join([*pieces, text[end:]])


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


def _end_of_name(text: str, start: int, end: int) -> int:
    """Before the first word that is none: the name in "Dr Smith Left Knee" is Smith. `start` where all are none."""
    words, last = _words(), start
    for word in re.finditer(r"[\w'\u2019-]+", text[start:end]):
        plain = word[0].lower()
        if plain in words["words"] and plain not in words["given"] | words["family"] and len(plain) > 1:
            break
        last = start + word.end()
    return last


def _bare_names(text: str) -> list[Found]:
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
                    last += 1
                alone = plain[first] in words["given"] and not NOT_A_PERSON.match(text, spans[last][1])
                if alone or last > first:
                    found.append(Found(spans[first][0], spans[last][1], "name"))
            first = last + 1
    for match in LAST_FIRST.finditer(text):
        family, given = match[1].lower(), match[2].lower()
        if given in words["given"] or (family in words["family"] - known and given not in known):
            found.append(Found(match.start(), match.end(), "name"))
    return found
