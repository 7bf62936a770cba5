"""A relevance map to look at, in one file: the film, the map over it, and the experts by name. As HTML or as PNG."""

import base64
import io
import os
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .page import page, table, text
from .relevance import Relevance

SUFFIXES = (".html", ".png")
PRIVATE = ".private"  # before the suffix, of a figure that shows a patient; export, check and push refuse such files
EXPERTS_SHOWN = 5
LIMITS = "What this model's number rests on, not where a disease is. For research only; not a medical device."
PRIVATE_NOTE = "Private: this file shows a patient's film. It is not for handing on."


def write_relevance(found: Relevance, out: Path | str, *, private: bool) -> None:
    """Writes the figure, whole or not at all. One that shows a patient has to be called so: name.private.html.

    Raises:
        ValueError: a suffix other than .html and .png, or a private figure under an open name.
    """
    out = Path(out)
    check_name(out, private)
    as_picture = out.suffix.lower() == ".png"
    content = figure_of(found, private) if as_picture else page_of(found, private).encode()
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{out.name}-", dir=out.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o600 if private else 0o644)
        os.replace(name, out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def check_name(out: Path, private: bool) -> None:
    """Raises where a figure must not be called so; known before anything is computed."""
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{out.name} is neither .html nor .png; a figure is written as one of the two")
    if private and not out.stem.lower().endswith(PRIVATE):
        raise ValueError(
            f"{out.name} would show a patient's film under an open name; call it {out.stem}{PRIVATE}{suffix}, which "
            "export, check and push refuse"
        )


def figure_of(found: Relevance, private: bool) -> bytes:
    """A PNG with three panels: the film, the map over it, the most involved experts."""
    figure = Figure(figsize=(10.5, 4.1), layout="constrained")
    film, overlay, experts = figure.subplots(1, 3, width_ratios=(1, 1, 0.7))
    height, width = found.pixels.shape[:2]
    for axes, title in ((film, "film, as the model sees it"), (overlay, f"relevance: {found.method}")):
        axes.imshow(found.pixels, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    most = float(np.abs(found.map).max()) or 1.0
    signed = bool((found.map < 0).any())
    drawn = overlay.imshow(
        found.map,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        cmap="coolwarm" if signed else "inferno",
        vmin=-most if signed else 0,
        vmax=most,
        alpha=np.clip(np.abs(found.map) / most, 0.15, 0.6),
        interpolation="nearest",  # a map has one number a patch; anything smoother would be made up
    )
    figure.colorbar(drawn, ax=overlay, fraction=0.046, pad=0.02).ax.tick_params(labelsize=6)
    shown = found.experts[:EXPERTS_SHOWN]
    experts.barh(range(len(shown)), [share for _, share in shown], color="#1f5fa8", height=0.6)
    experts.set_yticks(range(len(shown)), [name.replace("_", " ") for name, _ in shown], fontsize=8)
    experts.set_xlim(0, 1)
    experts.invert_yaxis()
    experts.set_title("experts by involvement" if shown else "no experts", fontsize=9)
    experts.spines[["top", "right"]].set_visible(False)
    figure.suptitle(_asked(found), fontsize=10)
    figure.supxlabel(f"{PRIVATE_NOTE} {LIMITS}" if private else LIMITS, fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()


def picture_of(found: Relevance, private: bool) -> str:
    """The figure inside a page, as HTML."""
    source = base64.b64encode(figure_of(found, private)).decode()
    return f'<div class="wide"><img alt="film, relevance and experts" src="data:image/png;base64,{source}"></div>'


def page_of(found: Relevance, private: bool) -> str:
    """The same as a page that needs no other file, with every expert in a table."""
    rows = [[name.replace("_", " "), f"{share:.4f}"] for name, share in found.experts]
    parts = [
        "<h1>What the similarity rests on</h1>",
        f'<p class="warn">{text(LIMITS)}</p>',
        *([f'<p class="warn"><strong>{text(PRIVATE_NOTE)}</strong></p>'] if private else []),
        f"<p>{text(_asked(found))}</p>",
        picture_of(found, private),
        *(["<h2>Experts</h2>", table(["body part", "involvement"], rows)] if rows else []),
    ]
    return page("Relevance", parts)


def _asked(found: Relevance) -> str:
    if found.against is None:
        return f"“{found.text}”: similarity {found.similarity:.3f}"
    return f"“{found.text}” against “{found.against}”: {found.similarity:+.3f}"
