"""What the findings said, so that an impression without anatomy finds the part it sums up."""

from .lexicon import tokens
from .walk_words import PLAIN


class Memory:
    """The telling words of each finding and the parts that it speaks of."""

    def __init__(self) -> None:
        self.said: list[tuple[frozenset[str], frozenset[int]]] = []

    def add(self, text: str, parts: frozenset[int]) -> None:
        self.said.append((_telling(text), parts))

    def parts_like(self, text: str, least: int = 1) -> frozenset[int]:
        """The parts whose findings share most words with a sentence that sums up, and no fewer than `least`."""
        told = _telling(text)
        scores: dict[int, int] = {}
        for words, parts in self.said:
            for part in parts:
                scores[part] = max(scores.get(part, 0), len(words & told))
        best = max(scores.values(), default=0)
        return frozenset(part for part, score in scores.items() if score == best) if best >= least else frozenset()


def _telling(text: str) -> frozenset[str]:
    return frozenset(token.word for token in tokens(text) if len(token.word) > 4 and token.word not in PLAIN)
