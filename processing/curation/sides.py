"""Left, right and both in a sentence: which side a mention of anatomy has, and which sides are told of no anatomy."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .lexicon import Mention, Token

SIDES = {"left": "left", "lt": "left", "leftsided": "left", "right": "right", "rt": "right", "rightsided": "right"}
LETTERS = {"L": "left", "R": "right"}
BOTH = frozenset(
    "both either neither bilateral bilaterally bilat symmetric symmetrical symmetrically symmetry".split()
)
LINKS = frozenset("and or & the than".split())
CLOSE = 4  # words between a side and the anatomy it belongs to
# "reduced compared with the right": the other side is only the measure
MEASURE = re.compile(
    r"\b(?:compared (?:to|with)|in comparison (?:to|with)|relative to|as opposed to|(?:more|less|larger|smaller|wider|"
    r"narrower|shorter|longer|higher|lower|greater|denser|worse|better)\b[\w\s-]{0,25}? than|than|versus|vs\.?|"
    r"similar to|identical to|unlike)"
    r" (?:that of |those of |on )?(?:the )?(?:right|left|contralateral|opposite|other)(?:[ -]sided?)?\b",
    re.IGNORECASE,
)
OTHER_SIDE = re.compile(r"\b(?:contralateral|opposite side|other side|opposite (?:\w+ )?joint)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Side:
    """left, right, both or None; `close` where the word stands with the anatomy, so that it cannot be another's."""

    side: str | None
    close: bool


class Sided:
    """The side words of one sentence."""

    def __init__(self, text: str, words: Sequence[Token], found: Sequence[Mention]):
        self.words = words
        self.mentions = found
        self.masked = [(match.start(), match.end()) for match in MEASURE.finditer(text)] if "t" in text else []
        taken = {number for mention in found for number in range(mention.first, mention.last + 1)}
        self.at: list[tuple[int, str]] = []
        for number, word in enumerate(words):
            side = SIDES.get(word.word)
            if side is None and number not in taken:
                after = [one.word for one in words[number + 1 : number + 3]]
                each = word.word == "each" and after[:1] == ["side"] and after[1:] != ["of"]
                side = "both" if word.word in BOTH or each else self._letter(text, number)
            if side is not None and not self.is_masked(word):
                self.at.append((number, side))
        self.used: set[int] = set()

    def is_masked(self, word: Token) -> bool:
        return any(start <= word.start < end for start, end in self.masked)

    def _letter(self, text: str, number: int) -> str | None:
        word = self.words[number]
        if len(word.word) != 1 or word.end - word.start != 1:
            return None
        side = LETTERS.get(text[word.start])
        if side is None or text[word.end : word.end + 1].isdigit():
            return None
        before = text[word.start - 1 : word.start]
        return side if before in ("", " ", "(", "/", "\n") else None

    def of(self, mention: Mention) -> Side:
        """The side of a mention: the word before it, else the one after it."""
        before = [(number, side) for number, side in self.at if number < mention.first]
        if before:
            number, side = before[-1]
            self.used.add(number)
            close = mention.first - number <= CLOSE
            if len(before) > 1 and side != before[-2][1] and self._linked(before[-2][0], number):
                self.used.add(before[-2][0])
                return Side("both", close)
            return Side(side, close)
        after = [(number, side) for number, side in self.at if number > mention.last]
        following = [m for m in self.mentions if m.first > mention.last]
        if following:  # a side that stands with the next mention is that one's
            after = [(n, s) for n, s in after if n < following[0].first and following[0].first - n > 2]
        if not after:
            return Side(None, False)
        self.used.update(number for number, _ in after)
        sides = {side for _, side in after}
        return Side(after[0][1] if len(sides) == 1 else "both", True)

    def _linked(self, one: int, other: int) -> bool:
        between = self.words[one + 1 : other]
        return len(between) <= 2 and all(word.word in LINKS for word in between)

    def left_over(self) -> set[str]:
        """Sides told of no anatomy: "the left hip is flat, the right is round"."""
        return {side for number, side in self.at if number not in self.used and side != "both"}

    def told(self) -> set[str]:
        return {side for _, side in self.at}
