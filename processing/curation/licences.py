"""What a curation model's licence asks of whatever is trained on the texts that it chose."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

TABLE = Path(__file__).with_name("licences.yaml")
# columns of shards, and those of triplets that they come from
COLUMNS = {
    "curation_engine": "engine",
    "curation_model": "model",
    "curation_licence": "model_licence",
    "curation_prompts": "prompt_version",
}


class CuratedWith(NamedTuple):
    """A model that assigned texts, and its licence as the Hub spells it."""

    model: str
    licence: str

    def __str__(self) -> str:
        return f"{self.model} ({self.licence})"


@dataclass(frozen=True)
class Asks:
    """A row of licences.yaml."""

    name_begins: str | None = None
    notice: str | None = None
    source: str | None = None


@cache
def all_licences() -> dict[str, Asks]:
    return {name: Asks(**row) for name, row in yaml.safe_load(TABLE.read_text(encoding="utf-8")).items()}


def models_in(rows: Iterable[Mapping[str, Any]]) -> tuple[CuratedWith, ...]:
    """The models that rows of shards or of triplets name, each once, in order. The rules are no model."""
    found = set()
    for row in rows:
        told = {name: row.get(name) for name in COLUMNS} if "curation_model" in row else curation_of(row)
        if told["curation_model"]:
            found.add(CuratedWith(str(told["curation_model"]), str(told["curation_licence"] or "unknown")))
    return tuple(sorted(found))


def curation_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a row of triplets says of its curation, by the shards' columns; all None for any other row."""
    return {name: row[its] if is_triplet(row) else None for name, its in COLUMNS.items()}


def is_triplet(row: Mapping[str, Any]) -> bool:
    return all(name in row for name in COLUMNS.values())


def what_is_asked(used: Iterable[CuratedWith]) -> list[str]:
    """A sentence for each model whose licence asks something of what is trained with its answers, or is not known."""
    found = []
    for one in used:
        asks = all_licences().get(one.licence)
        if asks is None:
            found.append(f"What {one} asks of a model that is trained on them is not known here: read its licence.")
            continue
        wants = [f"a name that begins with {asks.name_begins!r}"] if asks.name_begins else []
        wants += [f'"{asks.notice}" on its card'] if asks.notice else []
        if wants:
            found.append(f"A model that is trained on texts assigned by {one} needs {' and '.join(wants)}.")
    return found


def notices(used: Iterable[CuratedWith]) -> tuple[str, ...]:
    """What has to stand on a card, each once."""
    asked = [all_licences().get(one.licence, Asks()).notice for one in used]
    return tuple(dict.fromkeys(notice for notice in asked if notice))


def conflicts(name: str, card_text: str, used: Iterable[CuratedWith]) -> list[str]:
    """What stands in the way of handing on a model of this name with this card, each with its way out."""
    found = []
    for one in used:
        asks = all_licences().get(one.licence)
        if asks is None:
            found.append(
                f"texts were assigned by {one.model}, and nobody here knows what its licence {one.licence!r} asks of "
                f"this model; add a row to {TABLE.name}, or curate with another model"
            )
            continue
        if asks.name_begins and not name.startswith(asks.name_begins):
            found.append(
                f"texts were assigned by {one.model}, whose licence {one.licence} wants this model's name to begin "
                f'with {asks.name_begins!r}, and it is {name!r} ({asks.source}); --name "{asks.name_begins}-{name}"'
            )
        if asks.notice and asks.notice not in card_text:
            found.append(
                f"texts were assigned by {one.model}, whose licence {one.licence} wants {asks.notice!r} on the card "
                f"({asks.source}); `pedclip export` writes it there"
            )
    return found
