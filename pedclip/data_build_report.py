"""The page that `pedclip data build` ends with: counts, plots, some pictures, and what was found to be wrong."""

import base64
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from pyarrow import parquet

from pedclip.eval.page import listing, page, table, text
from pedclip.eval.plots import counts_plot
from pedclip.processing.data.archive.card import LIMITS

PICTURES, SIDE = 24, 150
TITLES = {
    "body_part": "body part",
    "age": "age",
    "sex": "sex",
    "view": "view",
    "year": "year",
    "window": "display range from",
}


def write_report(out: Path, private: Path, summary: Mapping[str, Any]) -> Path:
    """OUT/report.html: needs no other file. It shows patients' films, without a name."""
    counts = summary["counts"]
    facts = [
        f"{summary['skipped']} files could not be read: {private.name}/skipped.jsonl names them",
        f"{summary['quarantined']} set aside by their headers ({private.name}/quarantine.jsonl)",
        *(f"set aside, {reason}: {count}" for reason, count in summary["quarantined_by_reason"].items()),
        f"{summary['annotation_not_stated']} headers do not say whether anything is burnt into the picture",
    ]
    leaks = [
        f"{summary['patients_in_several_splits']} patients in more than one split",
        f"{summary['near_duplicates']} pairs of different patients are nearly the same picture, "
        f"{summary['near_duplicates_across_splits']} of them across splits (near_duplicates.jsonl)",
    ]
    splits = [
        [split, f"{count:,}", f"{summary['patients'].get(split, 0):,}"] for split, count in summary["images"].items()
    ]
    parts = [
        f"<h1>{text(summary['dataset'])}: {sum(summary['images'].values()):,} radiographs</h1>",
        table(["split", "images", "patients"], splits),
        '<h2>What there is</h2><div class="wide">'
        + counts_plot({TITLES[name]: counts[name] for name in TITLES})
        + "</div>",
        f'<h2>Some of them</h2><div class="films">{_pictures(out)}</div>',
        f"<h2>Left out</h2>{listing(facts)}",
        f"<h2>Leaks</h2>{listing(leaks)}",
        "<h2>Limits</h2>" + listing([line.strip("- ") for line in LIMITS.replace("\n  ", " ").splitlines()]),
    ]
    path = out / "report.html"
    new = path.with_name(".report.html.new")
    new.write_text(page(f"{summary['dataset']}: what was built", parts), encoding="utf-8")
    os.replace(new, path)
    return path


def _pictures(out: Path) -> str:
    """Evenly from the first row group of each shard."""
    shards = sorted((out / "data").glob("*.parquet"))
    each = -(-PICTURES // max(len(shards), 1))
    figures = []
    for shard in shards[:PICTURES]:
        rows = parquet.ParquetFile(shard)
        if not rows.num_row_groups:
            continue
        for row in rows.read_row_group(0).slice(0, each).to_pylist():
            with Image.open(io.BytesIO(row["image"]["bytes"])) as stored:
                picture = stored.convert("I") if stored.mode.startswith("I") else stored.convert("RGB")
                if picture.mode == "I":
                    picture = picture.point(lambda value: value / 257).convert("L")
                picture.thumbnail((SIDE, SIDE))
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=80)
            words = ", ".join(str(row[name]) for name in ("body_part", "view") if row[name]) or "not stated"
            source = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
            figures.append(f'<figure><img src="{source}" alt=""><figcaption>{text(words)}</figcaption></figure>')
    return "".join(figures[:PICTURES])
