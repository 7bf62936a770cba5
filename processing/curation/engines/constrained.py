"""Keeps a local model to the schema: at each step only tokens that go on with a valid answer may be chosen.

An answer is a row of pieces: what is fixed (`{"0": `), where nothing is asked of the model, and choices between a few
strings (`"history"`, `"finding"`), where its likeliest token among theirs is taken. So every answer is valid JSON of
the schema, whatever the model; whether it is right is the model's affair.
"""

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

# Shapes: B rows of a batch, T tokens so far, V vocabulary

Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class Choice:
    """Strings to choose between, for a key of the answer. None of them begins with another."""

    options: tuple[str, ...]
    key: str | None = None


def pieces_of(schema: Mapping[str, Any]) -> "Writer":
    """The pieces of an answer to a schema of asking.py: an object whose values are one of some strings, or a list."""
    return Writer(list(schema["properties"].items()))


class Writer:
    """Yields pieces; what was chosen is sent back."""

    def __init__(self, properties: Sequence[tuple[str, Mapping[str, Any]]]):
        self.properties = properties

    def __call__(self) -> Iterator[Any]:
        for index, (key, value) in enumerate(self.properties):
            yield ("{" if index == 0 else ", ") + json.dumps(key) + ": "
            if value["type"] == "string":
                yield Choice(tuple(_quoted(value["enum"])), key)
            else:
                yield from self._list(key, _quoted(value["items"]["enum"]))
        yield "}"

    @staticmethod
    def _list(key: str, names: Sequence[str]) -> Generator[Any, str, None]:
        """[], or each name at most once and in any order."""
        left = list(names)
        chosen = yield Choice(("[]", *(f"[{name}" for name in left)), key)
        if chosen == "[]":
            return
        left.remove(chosen[1:])
        while left:
            chosen = yield Choice(("]", *(f", {name}" for name in left)), key)
            if chosen == "]":
                return
            left.remove(chosen[2:])
        yield "]"


def _quoted(names: Sequence[str]) -> list[str]:
    return [json.dumps(name, ensure_ascii=False) for name in names]


@dataclass
class Walk:
    """One answer on its way: which tokens may come next."""

    writer: Writer
    encode: Encode
    text: str = ""
    chance: dict[str, float] = field(default_factory=dict)  # by key: the product of what its choices had

    def __post_init__(self):
        self._pieces: Any = self.writer()
        self._open: dict[str, list[int]] = {}  # options that are still possible, and what is left of their tokens
        self._key: str | None = None
        self._done = False
        self._next(None)

    def allowed(self) -> list[int]:
        """The tokens that may come next; none when the answer is whole."""
        return sorted({tokens[0] for tokens in self._open.values()})

    def take(self, token: int, chance: float) -> None:
        """`token` came next; `chance` is what it had among the allowed ones."""
        if self._key is not None:
            self.chance[self._key] = self.chance.get(self._key, 1.0) * chance
        self._open = {option: tokens[1:] for option, tokens in self._open.items() if tokens[0] == token}
        whole = [option for option, tokens in self._open.items() if not tokens]
        if whole:
            self.text += whole[0]
            self._next(whole[0])

    def _next(self, chosen: str | None) -> None:
        self._open, self._key = {}, None
        try:
            piece = self._pieces.send(chosen)
        except StopIteration:
            return
        if isinstance(piece, Choice):
            self._key = piece.key if len(piece.options) > 1 else None
            self._open = {option: self.encode(option) for option in piece.options}
        else:
            self._open = {piece: self.encode(piece)}


class KeepToSchema:
    """A logits processor of transformers' `generate`, for greedy decoding: one Walk a row."""

    def __init__(self, walks: Sequence[Walk], prompt_length: int, end: int):
        self.walks, self.prompt_length, self.end = walks, prompt_length, end
        self._chances: list[dict[int, float]] = [{} for _ in walks]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """(B, T) tokens and (B, V) scores to (B, V): what may not come next is at minus infinity."""
        kept = torch.full_like(scores, float("-inf"))
        for row, walk in enumerate(self.walks):
            if input_ids.shape[1] > self.prompt_length and walk.allowed():
                token = int(input_ids[row, -1])
                walk.take(token, self._chances[row][token])
            allowed = walk.allowed() or [self.end]
            chances = scores[row, allowed].float().softmax(-1)
            self._chances[row] = dict(zip(allowed, chances.tolist(), strict=True))
            kept[row, allowed] = scores[row, allowed]
        return kept  # type: ignore[return-value]
