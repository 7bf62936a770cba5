"""The table of the official data sets: how each is read, what it should hold, and how it is split."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from . import arthritis, chd_cxr, grazpedwri_dx, rsna_boneage, vindr_pcxr
from .reading import Reading


@dataclass(frozen=True)
class OfficialReader:
    """One data set."""

    name: str
    title: str
    tree: str  # how its folder looks
    counts: Mapping[str, int]  # as published
    split_rule: str
    read: Callable[[Path], Reading]


def _row(name: str, reader: ModuleType) -> OfficialReader:
    return OfficialReader(name, reader.TITLE, reader.TREE, reader.COUNTS, reader.SPLIT_RULE, reader.read)


OFFICIAL_READERS = {
    row.name: row
    for row in (
        _row("vindr-pcxr", vindr_pcxr),
        _row("chd-cxr", chd_cxr),
        _row("grazpedwri-dx", grazpedwri_dx),
        _row("rsna-boneage", rsna_boneage),
        _row("arthritis", arthritis),
    )
}


def official_reader(name: str) -> OfficialReader:
    if name not in OFFICIAL_READERS:
        close = difflib.get_close_matches(name, OFFICIAL_READERS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(OFFICIAL_READERS)}"
        raise ValueError(f"{name!r} is no official data set that is read here; {hint}")
    return OFFICIAL_READERS[name]
