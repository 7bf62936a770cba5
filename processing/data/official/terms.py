"""The table of terms: what the owner of a data set allows, read before anything leaves the house."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

TABLE = Path(__file__).with_name("terms.yaml")
UNKNOWN = "unknown, ask"


@dataclass(frozen=True)
class Terms:
    """A row of terms.yaml."""

    name: str
    title: str
    licence: str
    terms: str
    may_send_to_remote: str  # yes, no, or "unknown, ask"
    may_publish_weights: str
    lineage: tuple[str, ...]  # data sets that it was made from
    source: str
    aliases: tuple[str, ...] = ()  # other names that the same data go by


@cache
def all_terms() -> dict[str, Terms]:
    """Every row by its name; a mistake in the file names the row."""
    found = {}
    for name, row in yaml.safe_load(TABLE.read_text(encoding="utf-8")).items():
        answers = {key: _answer(name, key, row[key]) for key in ("may_send_to_remote", "may_publish_weights")}
        lists = {key: tuple(row.get(key, ())) for key in ("lineage", "aliases")}
        found[name] = Terms(name=name, **{**row, **answers, **lists})
    for terms in found.values():
        strangers = [name for name in terms.lineage if name not in found]
        if strangers:
            raise ValueError(f"{TABLE.name}: {terms.name} comes from {strangers[0]!r}, which has no row")
    return found


def row_of(name: str) -> str | None:
    """The row's own name of a data set, however it is written: VinDr_PCXR and PediCXR are vindr-pcxr. None: no row."""
    return _spellings().get(_plain(name))


def resembles(name: str, question: str) -> str | None:
    """The row with a no that a name without a row looks like, or contains; None where there is none."""
    if row_of(name) is not None:
        return None
    plain = _plain(name)
    forbidding = {one: row for one, row in _spellings().items() if getattr(all_terms()[row], question) == "no"}
    inside = next((row for one, row in forbidding.items() if one in plain), None)
    close = difflib.get_close_matches(plain, forbidding, n=1, cutoff=0.75)
    return inside or (forbidding[close[0]] if close else None)


def terms_of(name: str) -> Terms:
    """The terms of a data set. An unknown name is an error that lists close ones: nothing is allowed by default."""
    table, row = all_terms(), row_of(name)
    if row is None:
        close = difflib.get_close_matches(name, table, n=3)
        hint = f"did you mean {', '.join(close)}?" if close else f"there are {', '.join(table)}"
        raise ValueError(f"{name!r} has no row in {TABLE.name}, so nobody knows what it allows; {hint}")
    return table[row]


def ancestors(name: str) -> tuple[str, ...]:
    """The data sets that this one was made from, theirs too, and itself first."""
    found = [terms_of(name).name]
    for each in found:
        found += [parent for parent in terms_of(each).lineage if parent not in found]
    return tuple(found)


def not_allowed(name: str, question: str) -> tuple[str | None, list[str]]:
    """Who says no, and who has not answered, of a data set and all that it was made from.

    `question` is `may_send_to_remote` or `may_publish_weights`. A name without a row has not answered.
    """
    table = all_terms()
    if row_of(name) is None:
        return None, [name]
    answers = {one: getattr(table[one], question) for one in ancestors(name)}
    no = next((one for one, answer in answers.items() if answer == "no"), None)
    return no, [one for one, answer in answers.items() if answer not in ("yes", "no")]


def shared_lineage(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    """Data sets that both sides were made from: a model trained on `one` has seen part of `other`."""
    seen = {ancestor for name in one for ancestor in ancestors(name)}
    return tuple(dict.fromkeys(ancestor for name in other for ancestor in ancestors(name) if ancestor in seen))


def _plain(name: str) -> str:
    """Letters and digits alone, in one case."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _spellings() -> dict[str, str]:
    """{a name or another of its names, plain: the row's name}"""
    found: dict[str, str] = {}
    for name, terms in all_terms().items():
        for spelling in (name, *terms.aliases):
            if found.setdefault(_plain(spelling), name) != name:
                raise ValueError(f"{TABLE.name}: {spelling!r} is {name} and {found[_plain(spelling)]}; keep one")
    return found


def _answer(name: str, key: str, value: object) -> str:
    if isinstance(value, bool):  # YAML's own yes and no
        return "yes" if value else "no"
    if value != UNKNOWN:
        raise ValueError(f"{TABLE.name}: {name} has {key} {value!r}; it is yes, no, or {UNKNOWN!r}")
    return UNKNOWN
