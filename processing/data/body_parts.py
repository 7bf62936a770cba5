"""Which expert a body part's name belongs to, by the table in body_parts.yaml. Unknown names are never guessed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import yaml

TABLE = Path(__file__).with_name("body_parts.yaml")
TAKEN = re.compile(  # "chest 2 views", "pelvis post-op"
    r"(?:(?<=[\W_])|^)(?:(?:\d|one|two|three|four|five|six)[-_\s]*(?:views?|vws?|v)|(?:pre|post)[-_\s]*op(?:erative)?)"
    r"(?=[\W_]|$)",
    re.IGNORECASE,
)
NO_EXPERT = -100  # the label that cross-entropy ignores


class UnknownBodyPartError(ValueError):
    """Names that neither the table nor the recipe knows."""

    def __init__(self, names: Iterable[str]):
        self.names = sorted(set(names))
        super().__init__(
            f"{len(self.names)} unknown body part name(s): {', '.join(map(repr, self.names))}; say which part each "
            f"one is (or null for none) under data.body_part_experts in the recipe, or add it to {TABLE.name}"
        )


def body_part_of(name: str) -> str | None:
    """The one of the 23 that a name means, None if it means none of them; raises for a name that is not known."""
    names, anyhow, always, last = _table()
    words = _words(name)
    plain = [word for word in _words(TAKEN.sub(" ", name)) if word not in always]
    after_side = plain[1:] if plain and plain[0] in last else plain  # "R L-spine": only the first letter is a side
    sideless = [word for word in plain if word not in last]
    for candidate in (words, plain, after_side, sideless):
        if candidate and " ".join(candidate) in names:
            return names[" ".join(candidate)]
    for candidate in (plain, sideless):
        if (bag := _bag(candidate)) in anyhow:
            return anyhow[bag]
    raise UnknownBodyPartError([name])


def expert_index(
    name: str | None, body_parts: Sequence[str], body_part_experts: Mapping[str, str | None] | None = None
) -> int:
    """Where a name's expert stands in the model's list of body parts; -100 where it has none or the name is missing.

    A recipe's own table goes first, then the model's list itself (it may differ from the 23), then body_parts.yaml.
    A part that the table knows and the model's list lacks has no expert, so -100.
    """
    if name is None or not name.strip():
        return NO_EXPERT
    if body_part_experts is not None and name in body_part_experts:
        part = body_part_experts[name]
        if part is not None and part not in body_parts:
            raise ValueError(
                f"data.body_part_experts sends {name!r} to {part!r}, which is not one of the model's body parts: "
                f"{', '.join(body_parts)}"
            )
    else:
        own_names = {" ".join(_words(part)): part for part in body_parts}
        part = own_names.get(" ".join(_words(name))) or body_part_of(name)
    return NO_EXPERT if part is None or part not in body_parts else list(body_parts).index(part)


def expert_indices(
    names: Iterable[str | None], body_parts: Sequence[str], body_part_experts: Mapping[str, str | None] | None = None
) -> list[int]:
    """`expert_index` of every name; all unknown ones are listed in one error."""
    names = list(names)
    found: dict[str | None, int] = {}
    unknown = []
    for name in dict.fromkeys(names):
        try:
            found[name] = expert_index(name, body_parts, body_part_experts)
        except UnknownBodyPartError as error:
            unknown += error.names
    if unknown:
        raise UnknownBodyPartError(unknown)
    return [found[name] for name in names]


def _words(name: str) -> list[str]:
    """Lower case, punctuation as blanks, no plural s; the table's own names go through here too."""
    words = re.sub(r"[-_/.,;:+&()\[\]\s]+", " ", name.lower()).split()
    return [word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in words]


def _bag(words: Iterable[str]) -> str:
    """Words in any order, as one key."""
    return " ".join(sorted(words))


@cache
def _table() -> tuple[dict[str, str | None], dict[str, str | None], set[str], set[str]]:
    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    always, last = ({_words(word)[0] for word in table["ignored_words"][key]} for key in ("always", "last"))
    meanings: list[tuple[str, str | None]] = []
    for part, kinds in table["parts"].items():
        meanings += [(name, part) for name in (part, *kinds["datasets"], *kinds["dicom"], *kinds["words"])]
    meanings += [(name, row["part"]) for row in table["covering_several"] for name in row["names"]]
    meanings += [(name, None) for row in table["no_part"] for name in row["names"]]

    names: dict[str, str | None] = {}
    for name, part in meanings:
        words = _words(name)
        # "foot and ankle" is also looked up as "foot ankle", the way a name without its ignored words arrives
        for key in {" ".join(words), " ".join(word for word in words if word not in always)} - {""}:
            if names.setdefault(key, part) != part:
                raise ValueError(f"{TABLE.name} gives {name!r} two meanings: {names[key]} and {part}; keep one")
    meant: dict[str, set[str | None]] = {}
    for key, part in names.items():
        meant.setdefault(_bag(key.split()), set()).add(part)
    anyhow = {bag: next(iter(parts)) for bag, parts in meant.items() if bag and len(parts) == 1}
    return names, anyhow, always, last
