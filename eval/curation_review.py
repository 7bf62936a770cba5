"""The page on which a person looks at curation: report, films and assignments side by side, to accept or correct.

One file that needs no other and runs nothing but its own script, which its policy names by hash. Reports and names go
into it as JSON, and the script writes them as text: whatever a report holds, it is shown and not obeyed.
"""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..processing.curation.schema import REASONS, Assignment, Sentence, Study
from ..processing.reading_pedclip import read_radiograph
from .page import STYLE, text
from .private_file import PRIVATE_NOTE

THUMBNAIL = 200  # pixels of the longer side
KEYS = {"history": "h", "comparison": "c", "technique": "t", "irrelevant": "i", "heading": "g", "unassigned": "u"}
LIMITS = "Sentences were assigned by a program. For research only; not a medical device."
HELP = (
    "Click a sentence to give it to the next part, to all or to none; click a part's name to give or take that part. "
    "Keys: up and down choose a sentence, 1 to 9 its parts, h history, c comparison, t technique, i irrelevant, "
    "g heading, u unassigned; left and right choose a study, a accepts it, d downloads. What is accepted is in the "
    "download."
)


@dataclass(frozen=True)
class Shown:
    """A study as the page shows it."""

    study: Study
    sentences: Sequence[Sentence]
    assignment: Assignment
    engine: str  # and its model
    fallback: bool = False


def review_page(shown: Sequence[Shown], *, private: bool, export_name: str) -> str:
    """The whole page. Films are read and made small here; one that cannot be read is left out, and said so."""
    data = {
        "reasons": [{"name": name, "key": KEYS[name]} for name in REASONS],
        "export_name": export_name,
        "studies": [_study(one) for one in shown],
    }
    script, style = _own("curation_review.js"), STYLE + _own("curation_review.css")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'; "
        "base-uri 'none'; form-action 'none'"
    )
    notes = [LIMITS, *([PRIVATE_NOTE] if private else [])]
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{text(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Review of curation</title>',
            f"<style>{style}</style></head><body><h1>Review of curation</h1>",
            *(f'<p class="warn">{text(note)}</p>' for note in notes),
            f'<details><summary>How to</summary><p class="small">{text(HELP)}</p></details>',
            '<div class="bar"><button type="button" id="back" aria-label="study before">&larr;</button>'
            '<strong id="place"></strong><button type="button" id="forth" aria-label="next study">&rarr;</button>'
            '<button type="button" id="accept" aria-pressed="false">Accept</button>'
            '<span id="done" class="small push" aria-live="polite"></span>'
            '<button type="button" id="download">Download corrections</button></div>',
            '<p id="about" class="small"></p><main class="columns">',
            '<div><h2>Films</h2><div id="films"></div></div>',
            '<div><h2>Report</h2><ol id="sentences"></ol></div>',
            '<div><h2>Text of each part</h2><div id="texts"></div></div></main>',
            "<noscript><p>This page needs its own script.</p></noscript>",
            f'<script type="application/json" id="data">{_as_json(data)}</script>',
            f"<script>{script}</script></body></html>",
        )
    )


def thumbnail(path: str) -> str | None:
    """A film as a small JPEG in a data address, or None where it cannot be read."""
    try:
        pixels = read_radiograph(Path(path)).pixels
    except (OSError, ValueError, ImportError):
        return None
    picture = Image.fromarray(np.clip(np.round(pixels.astype(np.float64)), 0, 255).astype(np.uint8))
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _study(one: Shown) -> dict[str, Any]:
    study, assignment = one.study, one.assignment
    names = [part.name for part in study.parts]
    return {
        "study_id": study.study_id,
        "patient_id": study.patient_id,
        "report": study.report,
        "engine": one.engine,
        "fallback": one.fallback,
        "parts": [
            {
                "name": part.name,
                "body_part": part.expert,
                "laterality": part.laterality,
                "films": [film for image in part.images if (film := thumbnail(image)) is not None],
            }
            for part in study.parts
        ],
        "sentences": [
            {
                "text": study.report[sentence.start : sentence.end],
                "start": sentence.start,
                "end": sentence.end,
                "heading": sentence.heading,
                "parts": [at for at, name in enumerate(names) if sentence.number in assignment.of_part[name]],
                "reason": assignment.dropped.get(sentence.number),
            }
            for sentence in one.sentences
        ],
    }


def _as_json(data: Any) -> str:
    """JSON in which nothing can end the script element or begin another."""
    plain = json.dumps(data, ensure_ascii=True)
    return plain.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _own(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
