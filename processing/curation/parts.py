"""The parts of a study by their source's names: "L KNEE", "Xray Hip", DICOM's FOREARM. Nothing is guessed."""

import re
from collections.abc import Iterable, Mapping, Sequence

from ..data.body_parts import UnknownBodyPartError, body_part_of
from .schema import FilmedPart

# Parts whose films are of no one side: "right" in a report on them is a place within the film.
UNSIDED = frozenset("abdomen cervical_spine chest face lumbar_spine pelvis skull thoracic_spine whole_spine".split())
LEFT = frozenset("left lt l".split())
RIGHT = frozenset("right rt r".split())
BOTH = frozenset("both bilateral bilat b".split())
LETTERS = frozenset("l r b".split())
SIDES = {
    "L": "left",
    "R": "right",
    "B": "bilateral",
}  # DICOM's Laterality (0020,0060) and Image Laterality (0020,0062)


def filmed_parts(
    names: Sequence[str] | Mapping[str, Sequence[str]],
    *,
    lateralities: Mapping[str, str] | None = None,
    body_part_experts: Mapping[str, str | None] | None = None,
) -> tuple[FilmedPart, ...]:
    """The parts of one study in the order of their names; a name that comes twice is one part.

    names: the source's names, or each with the films that show it. lateralities: a name's side where the source tells
    it apart from the name (L, R and B as DICOM has them, or left, right, bilateral); it goes before the name.
    body_part_experts: the reader's own table, name to one of the 23 or to None; it goes before body_parts.yaml.
    Raises UnknownBodyPartError with all the names that neither table knows, ValueError for an unknown side.
    """
    if isinstance(names, str):
        raise TypeError(f"names is the text {names!r}; give a list of names, or a mapping of name to its films")
    images = names if isinstance(names, Mapping) else dict.fromkeys(names, ())
    unknown = unknown_names(images, body_part_experts)
    if unknown:
        raise UnknownBodyPartError(unknown)
    found = []
    for name, films in images.items():
        expert = _expert(name, body_part_experts)
        told = (lateralities or {}).get(name)
        found.append(FilmedPart(name, expert, _side(told) if told else laterality_of(name, expert), tuple(films)))
    return tuple(found)


def unknown_names(names: Iterable[str], body_part_experts: Mapping[str, str | None] | None = None) -> list[str]:
    """The names that neither table knows, sorted; for a whole source, before the first report is read."""
    unknown = set()
    for name in dict.fromkeys(names):
        try:
            _expert(name, body_part_experts)
        except UnknownBodyPartError:
            unknown.add(name)
    return sorted(unknown)


def laterality_of(name: str, expert: str | None) -> str | None:
    """The side that a name tells: left, right, bilateral, or None. The L of "L SPINE" is none."""
    words = re.findall(r"[^\W\d_]+", name.lower())
    if expert in UNSIDED:
        words = [word for word in words if word not in LETTERS]
    left, right = any(word in LEFT for word in words), any(word in RIGHT for word in words)
    if (left and right) or any(word in BOTH for word in words):
        return "bilateral"
    return "left" if left else "right" if right else None


def _expert(name: str, body_part_experts: Mapping[str, str | None] | None) -> str | None:
    if body_part_experts is not None and name in body_part_experts:
        return body_part_experts[name]
    if not name.strip():
        raise UnknownBodyPartError([name])
    return body_part_of(name)


def _side(told: str) -> str:
    side = SIDES.get(told.strip().upper(), told.strip().lower())
    if side not in SIDES.values():
        raise ValueError(f"laterality is {told!r}; it is one of {', '.join((*SIDES, *SIDES.values()))}, or left out")
    return side
