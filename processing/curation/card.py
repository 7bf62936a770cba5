"""The card of triplets: what they are, who said which sentence belongs where, and what nobody has checked."""

from typing import Any

from ..data.archive.card import said_of
from ..data.official.terms import all_terms, row_of
from .licences import CuratedWith, what_is_asked

LIMITS = """\
- Each text is made of the report's own sentences. Which of them belong to which film was decided by a program, and
  nobody has looked. `pedclip curate review` shows them beside the films.
- Names, dates and numbers are looked for by rules that have misses: docs/curation says which. Study and patient ids
  and file names stand here as the source has them. Do not hand this folder on; `pedclip data build` makes shards from
  it, in which they are keyed hashes.
"""


def card(summary: dict[str, Any]) -> str:
    """README.md of a folder of triplets."""
    counts = summary["counts"]

    def number(name: str) -> str:
        return f"{counts.get(name, 0):,}"

    dropped = {name.removeprefix("dropped_"): value for name, value in counts.items() if name.startswith("dropped_")}
    reasons = ", ".join(f"{name} {value:,}" for name, value in sorted(dropped.items()))
    parts = {name.removeprefix("expert_"): value for name, value in counts.items() if name.startswith("expert_")}
    by_part = ", ".join(f"{name} {value:,}" for name, value in sorted(parts.items(), key=lambda one: -one[1]))
    return f"""# {summary["dataset"]}: (X-ray, text, body part)

{number("triplets")} triplets of {summary["studies"]:,} studies, made by `pedclip curate`.
{summary["skipped"]:,} rows or studies could not be read and are left out.

{said_of(all_terms().get(row_of(summary["dataset"]) or ""))}

{who(summary)}

Of {number("sentences")} sentences dropped: {reasons or "none"}. Filmed parts of which a report says nothing:
{number("parts_without_text")}. Studies in which the rules answered because the model gave no valid answer:
{number("fallbacks")}; their rows say `fallback`. Texts with what looks like a name, a date or a number of a person:
{number("texts_with_identifiers")}; what became of it: {summary["identifiers"]}.

Triplets by expert: {by_part or "none"}.

Make shards: `pedclip data build triplets.parquet --out SHARDS`.

## Limits

{LIMITS}"""


def who(summary: dict[str, Any]) -> str:
    """Who assigned the sentences, and what that asks of a model that is trained on them."""
    if summary["model"] is None:
        return f"Sentences were assigned by rules ({summary['prompt_version']}), not by a model."
    asked = f"{summary['model']}, prompts {summary['prompt_version']}"
    wants = what_is_asked([CuratedWith(summary["model"], summary["model_licence"])])
    return " ".join([f"Sentences were assigned by {asked}. Its licence: {summary['model_licence']}.", *wants])
