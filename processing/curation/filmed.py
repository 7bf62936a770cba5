"""Which of a study's filmed parts a mention of anatomy means."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from .lexicon import Entry, lexicon, mentions, tokens
from .parts import UNSIDED
from .schema import FilmedPart

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
        for number, expert in enumerate(self.experts):
            for one in [expert] if expert else self._experts_in_name(number):
                self.by_expert.setdefault(one, []).append(number)

    def _experts_in_name(self, number: int) -> list[str]:
        """A part without an expert ("both legs standing") is found by the anatomy its name holds."""
        text = self.parts[number].name.replace("_", " ")
        return sorted(
            {one for mention in mentions(text, tokens(text)) for tier in mention.entry.tiers for one in tier}
        )

    @cached_property
    def sided(self) -> frozenset[int]:
        return frozenset(number for number in self.all if self.parts[number].laterality in ("left", "right"))

    def of_side(self, numbers: frozenset[int], side: str | None) -> frozenset[int]:
        """Those of the parts that can be meant by a side; parts of the trunk, and those of unknown side, by any."""
        if side not in ("left", "right"):
            return numbers
        other = "right" if side == "left" else "left"
        return frozenset(n for n in numbers if self.experts[n] in UNSIDED or self.parts[n].laterality != other)

    def tier(self, experts: Sequence[str], side: str | None) -> frozenset[int]:
        numbers = frozenset(number for expert in experts for number in self.by_expert.get(expert, ()))
        return self.of_side(numbers, side)

    def find(self, entry: Entry, side: str | None, spoken_of: frozenset[int]) -> Hit | None:
        """The best tier with a filmed part of that side, else the nearest neighbour; None where no film shows it."""
        for rank, experts in enumerate(entry.tiers):
            numbers = self.tier(experts, side)
            if numbers:
                if len(experts) > 1 and not entry.together and len({self.experts[n] for n in numbers}) > 1:
                    spoken_experts = {self.experts[n] for n in spoken_of & numbers}
                    if spoken_experts:
                        numbers = frozenset(n for n in numbers if self.experts[n] in spoken_experts)
                how = ("name" if entry.name else "place") if rank == 0 else "second"
                return Hit(numbers, how)
        neighbours = lexicon().neighbours
        for experts in entry.tiers:
            for rank in range(max(len(neighbours[expert]) for expert in experts)):
                near = [one for expert in experts for group in neighbours[expert][rank : rank + 1] for one in group]
                spoken = frozenset(n for n in self.tier(near, side) if n in spoken_of)
                if spoken:
                    return Hit(spoken, "neighbour")
                for expert in near:
                    numbers = self.tier([expert], side)
                    if numbers:
                        return Hit(numbers, "neighbour")
        return None

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
            return any(number in self.by_expert.get(expert, ()) for expert in experts)
        return own in experts or any(own in group for expert in experts for group in neighbours[expert])
