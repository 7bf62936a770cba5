"""The card of built shards: what they are, how they were made, and what nobody has checked."""

from collections.abc import Sequence
from typing import Any

import yaml

from ...curation.licences import CuratedWith, what_is_asked
from ..official.terms import Terms, all_terms, row_of

LIMITS = """\
- Free text (`text`) is the source's own, word for word. A report may name people: take names out before you build, or
  do not hand the shards on.
- Nobody looked at the pictures. Headers alone decided what was set aside; a name burnt into a film whose header is
  silent, or into a PNG or JPEG file, is still there.
- Hashed ids hide who is who only as long as the key stays with its owner.
- Near-duplicates are found by a 16 x 16 thumbnail: a film that was cropped or turned is not.
"""


def said_of(terms: Terms | None) -> str:
    """What the owner of the source allows, as far as it is known."""
    if terms is None:
        return "The source's licence and terms are not known here: ask its owner before you hand anything on."
    made_from = f" Made from: {', '.join(terms.lineage)}." if terms.lineage else ""
    return (
        f"Source: {terms.title}. Licence: {terms.licence}; {terms.terms}. May be sent to a remote server: "
        f"{terms.may_send_to_remote}. Weights trained on it may be published: {terms.may_publish_weights}.{made_from}"
    )


def _curated(curated: Sequence[dict[str, Any]]) -> str:
    """Who assigned the texts, and what that asks of a model that learns from them; nothing where nobody says."""
    if not curated:
        return ""
    lines = ["", "Texts were assigned to the films of a study by `pedclip curate`:", ""]
    for one in curated:
        who = "rules, no model" if one["model"] is None else f"{one['model']}, licence {one['licence']}"
        lines.append(f"- {who}: {one['images']:,} images")
    used = [CuratedWith(one["model"], one["licence"] or "unknown") for one in curated if one["model"]]
    wants = what_is_asked(used)
    return "\n".join([*lines, *(["", *wants] if wants else []), ""])


def card(summary: dict[str, Any], features: Any) -> str:
    """README.md with the metadata that `datasets` and the Hub read; terms.yaml's row where the data set has one."""
    terms = all_terms().get(row_of(summary["dataset"]) or "")
    splits = [split for split in ("train", "validation", "test") if summary["images"].get(split)]
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits]
    metadata = {
        "pretty_name": summary["dataset"],
        "license": "other",
        "task_categories": ["zero-shot-image-classification"],
        "tags": ["medical", "radiograph", "pedclip"],
        "configs": [{"config_name": "default", "data_files": files}],
        "dataset_info": {
            "features": features._to_yaml_list(),
            "splits": [{"name": split, "num_examples": summary["images"][split]} for split in splits],
        },
    }
    picture = summary["settings"]["picture"]
    lines = [f"| {split} | {summary['images'][split]:,} | {summary['patients'].get(split, 0):,} |" for split in splits]
    table = "\n".join(["| split | images | patients |", "|---|---|---|", *lines])
    parts = ", ".join(f"{name} {count:,}" for name, count in summary["counts"]["body_part"].items())
    stored = "16-bit PNG where the source has more than 8 bits, else " if picture["keep_16_bit"] else ""
    counted = {name: f"{value:,}" for name, value in summary.items() if isinstance(value, int)}
    return f"""---
{yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)}---

# {summary["dataset"]}

Radiographs with their texts and labels, built by `pedclip data build`. Load with `datasets.load_dataset(FOLDER)`, or
name the folder as `data.path` of a PedCLIP recipe.

{said_of(terms)}
{_curated(summary["curated"])}
{table}

Body parts, as the source names them: {parts}.

Images are {stored}{picture["format"].upper()}, the shorter side at most {picture["side"]} pixels, displayed as
PedCLIP's image processor displays them. {counted["skipped"]} files could not be read and are left out;
{counted["quarantined"]} were set aside because of their headers; {counted["annotation_not_stated"]} headers do not say
whether anything is burnt in. Near-duplicates of different patients: {counted["near_duplicates"]} pairs, of which
{counted["near_duplicates_across_splits"]} lie across splits (near_duplicates.jsonl).

## Limits

{LIMITS}"""
