"""The experts that curation found for names of body parts, by a table of one's own: they travel in the shards."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

COLUMN = "curation_expert"  # of shards: one of the 23, "none" for none of them, null where no curation said it
NONE = "none"


def expert_told(row: Mapping[str, Any]) -> str:
    """What a row of triplets says, as the column has it."""
    return row.get("expert") or NONE


def experts_told(
    rows: Iterable[tuple[str | None, Mapping[str, Any]]], body_parts: Sequence[str]
) -> dict[str, str | None]:
    """{name of a body part: expert, or None} that (name, row of shards) tell; a part that the model lacks is None.

    Raises ValueError for a name with two experts, which two curations with other tables give.
    """
    told: dict[str, str] = {}
    for name, row in rows:
        expert = row.get(COLUMN)
        if name is not None and expert is not None and told.setdefault(name, expert) != expert:
            raise ValueError(
                f"rows of body part {name!r} were curated for {told[name]} and for {expert}; say which it is under "
                "data.body_part_experts in the recipe, or curate with one table"
            )
    return {name: expert if expert in body_parts else None for name, expert in told.items()}
