"""Which of a study's filmed parts a mention of anatomy means."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from .lexicon import Entry, lexicon, mentions, tokens
from .parts import UNSIDED
from .schema import FilmedPart
from .titles import FILLERS

# A heading of these alone names a film by how it was taken.
VIEW_WORDS = frozenset("lateral oblique frontal supine erect upright decubitus prone axial mortise frog".split())
SIDE_WORDS = frozenset("left right side down up view film projection the".split())
FULL = {
    "lat": "lateral", "obl": "oblique", "dec": "decubitus", "lt": "left", "rt": "right",
    "ap": "frontal", "pa": "frontal",
}  # fmt: skip

# How sure a way of finding the part is; the engine's own numbers, never calibrated.
SURE = {"name": 0.97, "place": 0.93, "second": 0.8, "neighbour": 0.6}


@dataclass(frozen=True)
class Hit:
    """The filmed parts that a mention means, by their numbers, and how they were found: a key of SURE."""

    parts: frozenset[int]
    how: str


class Filmed:
    """The parts of one study, to be asked."""

    def __init__(self, parts: Sequence[FilmedPart]):
        self.parts = tuple(parts)
        self.experts = [part.expert for part in parts]
        self.all = frozenset(range(len(self.parts)))
        self.own_words = [frozenset(token.word for token in tokens(part.name.replace("_", " "))) for part in parts]
        self.by_expert: dict[str, list[int]] = {}
        self.covered: dict[str, list[int]] = {}  # by parts without an expert, such as "both legs" or "babygram"
        for number, expert in enumerate(self.experts):
            if expert is not None:
                self.by_expert.setdefault(expert, []).append(number)
            else:
                for one in self._experts_in_name(number):
                    self.covered.setdefault(one, []).append(number)

    def _experts_in_name(self, number: int) -> frozenset[str]:
        """A part without an expert shows the limb or the anatomy that its name holds, else anything."""
        limbs, text = lexicon().limbs, self.parts[number].name.replace("_", " ")
        of_limb = [limbs[word] for word in self.own_words[number] if word in limbs]
        named = [tier for mention in mentions(text, tokens(text)) for tier in mention.entry.tiers]
        return frozenset(one for tier in of_limb or named for one in tier) or frozenset(lexicon().neighbours)

    @cached_property
    def sided(self) -> frozenset[int]:
        return frozenset(number for number in self.all if self.parts[number].laterality in ("left", "right"))

    @cached_property
    def one_sided(self) -> frozenset[int]:
        """Parts of the trunk of which either side was filmed: "Ribs left" and "Ribs right"."""
        sides = {(self.experts[n], self.parts[n].laterality) for n in self.sided}
        return frozenset(n for n in self.sided if {(self.experts[n], "left"), (self.experts[n], "right")} <= sides)

    def of_side(self, numbers: frozenset[int], side: str | None) -> frozenset[int]:
        """Those of the parts that can be meant by a side; parts of the trunk, and those of unknown side, by any."""
        if side not in ("left", "right"):
            return numbers
        other = "right" if side == "left" else "left"
        of_any = frozenset(n for n in numbers if self.experts[n] in UNSIDED) - self.one_sided
        return of_any | frozenset(n for n in numbers if self.parts[n].laterality != other)

    def tier(self, experts: Sequence[str], side: str | None) -> frozenset[int]:
        numbers = frozenset(number for expert in experts for number in self.by_expert.get(expert, ()))
        return self.of_side(numbers, side)

    def called(self, words: frozenset[str]) -> frozenset[int]:
        """The films without an expert that are called so: "leg length" where such a film was taken."""
        of = (n for n in self.all if self.experts[n] is None and self.own_words[n])
        return frozenset(n for n in of if self.own_words[n] - FILLERS <= words)

    def _covering(self, entry: Entry, side: str | None) -> frozenset[int]:
        numbers = frozenset(n for tier in entry.tiers for expert in tier for n in self.covered.get(expert, ()))
        return self.of_side(numbers, side)

    def find(self, entry: Entry, side: str | None, spoken_of: frozenset[int]) -> Hit | None:
        """The best tier with a filmed part of that side, else what shows it too; None where no film does.

        A film of a limb or of the whole body goes behind a neighbour that is sure to show the place: a hip's pelvis.
        """
        for rank, experts in enumerate(entry.tiers):
            numbers = self.tier(experts, side)
            if numbers:
                if len(experts) > 1 and not entry.together and len({self.experts[n] for n in numbers}) > 1:
                    spoken_experts = {self.experts[n] for n in spoken_of & numbers}
                    if spoken_experts:
                        numbers = frozenset(n for n in numbers if self.experts[n] in spoken_experts)
                how = ("name" if entry.name else "place") if rank == 0 else "second"
                return Hit(numbers, how)
        covering = self._covering(entry, side)
        neighbours = lexicon().neighbours
        for experts in entry.tiers:
            for rank in range(max(len(neighbours[expert]) for expert in experts)):
                if covering and (rank or not any(len(neighbours[expert]) > 1 for expert in experts)):
                    return Hit(covering, "second")
                near = [one for expert in experts for group in neighbours[expert][rank : rank + 1] for one in group]
                spoken = frozenset(n for n in self.tier(near, side) if n in spoken_of)
                if spoken:
                    return Hit(spoken, "neighbour")
                for expert in near:
                    numbers = self.tier([expert], side)
                    if numbers:
                        return Hit(numbers, "neighbour")
        return None

    def of_view(self, text: str, spoken_of: frozenset[int] = frozenset()) -> frozenset[int] | None:
        """The films below "Left lateral decubitus:", where several of one part differ by how they were taken.

        `spoken_of`: whose part goes first; None where films of several parts would fit alike.
        """
        several = {expert for expert, numbers in self.by_expert.items() if len(numbers) > 1}
        meant = {self.experts[n] for n in spoken_of} & several or several
        if len(meant) != 1:
            return None
        said = frozenset(FULL.get(token.word, token.word) for token in tokens(text))
        if not said & VIEW_WORDS or not said <= VIEW_WORDS | SIDE_WORDS:
            return None
        numbers = self.by_expert[str(meant.pop())]
        own = {n: {FULL.get(word, word) for word in self.own_words[n]} for n in numbers}
        best = max(len(said & words) for words in own.values())
        found = frozenset(n for n, words in own.items() if len(said & words) == best)
        return found if best and len(found) < len(numbers) else None

    def named_best(self, numbers: frozenset[int], words: frozenset[str]) -> frozenset[int]:
        """Of parts that share expert and side ("index finger" and "thumb") those whose names say most of the words."""
        if len(numbers) < 2:
            return numbers
        toes = lexicon().toes
        of_a_toe = bool(words & toes)
        best: dict[tuple[str | None, str | None], int] = {}
        said: dict[int, int] = {}
        for n in numbers:
            key = self.experts[n], self.parts[n].laterality
            said[n] = len(self.own_words[n] & words)
            if self.experts[n] == "foot":  # one expert for foot and toes
                said[n] += bool(self.own_words[n] & toes) == of_a_toe
            best[key] = max(best.get(key, 0), said[n])
        return frozenset(n for n in numbers if said[n] == best[self.experts[n], self.parts[n].laterality])

    def shows(self, number: int, entry: Entry) -> bool:
        """Whether the film of a part shows the place at all."""
        neighbours = lexicon().neighbours
        experts = {expert for tier in entry.tiers for expert in tier}
        own = self.experts[number]
        if own is None:
            return any(number in self.covered.get(expert, ()) for expert in experts)
        return own in experts or any(own in group for expert in experts for group in neighbours[expert])
