"""What the rest of the phantom knows about a body part."""

from collections.abc import Callable
from dataclasses import dataclass

from .solids import Anatomy, Shape


@dataclass(frozen=True)
class View:
    """A standard projection: `turn` about the part's long axis and `rotation` in the picture, degrees."""

    name: str
    turn: float = 0.0
    rotation: float = 0.0


@dataclass(frozen=True)
class BodyPart:
    """A row of the table of 23."""

    name: str
    build: Callable[[Shape], Anatomy]
    views: tuple[View, ...]
    sided: bool = True
    # places that findings may name; the anatomy has each of them, at any age
    joints: tuple[str, ...] = ()
    fractures: tuple[str, ...] = ()
