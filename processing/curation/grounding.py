"""Free text held against the report: which of its sentences it repeats, and what it has of its own."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from .schema import Sentence

LEAST_WORDS = 3  # of a fragment that may stand for its sentence
ENDS = re.compile(r"(?<=[.!?;])\s+|\n+")


class Grounded(NamedTuple):
    """What of a text is the report's own."""

    numbers: tuple[int, ...]  # of the report's sentences that it repeats, ascending
    ungrounded: int  # pieces that are no sentence of the report, nor a part of one


def grounded(text: str, sentences: Sequence[Sentence]) -> Grounded:
    """The sentences that `text` repeats, whole or in part: case, blanks and punctuation do not matter, words do.

    A fragment of at least three words stands for the sentence that it is from, so what is kept is the report's own in
    full, with its "no" and its "may be". One that may be from several sentences stands for that of which it is more
    than half, or for none. A fragment of several sentences stands for all of them.
    """
    own = {one.number: _words(one.text) for one in sentences if not one.heading}
    found: set[int] = set()
    ungrounded = 0
    for piece in ENDS.split(text):
        words = _words(piece)
        if not words:
            continue
        same = {number for number, has in own.items() if has == words}
        around = {n for n, has in own.items() if len(words.split()) >= LEAST_WORDS and f" {words} " in f" {has} "}
        if len({own[number] for number in around}) > 1:  # "there is no": of which it is a part, nobody can say
            around = {number for number in around if 2 * len(words.split()) > len(own[number].split())}
        if len({own[number] for number in around}) > 1:
            around = set()
        # a model that leaves out full stops writes several sentences as one
        inside = {n for n, has in own.items() if len(has.split()) >= LEAST_WORDS and f" {has} " in f" {words} "}
        rest = len(words.split()) - sum(len(own[number].split()) for number in inside)
        if same or around:
            found |= same or around
        elif inside and rest <= 0:
            found |= inside
        else:
            found |= inside
            ungrounded += 1
    return Grounded(tuple(sorted(found)), ungrounded)


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+(?:[.,/-]\w+)*", text.casefold()))
