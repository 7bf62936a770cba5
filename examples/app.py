"""A page that says how well phrases fit a child's radiograph: for a Space of the Hub, or for your own machine.

    python examples/app.py MODEL        a model folder, or an id on the Hub; else PEDCLIP_MODEL names it

MODEL's own code runs (trust_remote_code): open only what you trust. Needs gradio and what space/requirements.txt
lists; the package pedclip need not be installed. A Space is this file beside what lies in space/, with the variable
PEDCLIP_MODEL set to the model's id:

    cp -r examples/space my-space && cp examples/app.py my-space/

An uploaded file is deleted as soon as it is read. What stays, in memory and for half an hour at most, is a small
picture of it and the model's input. File names are not written anywhere. Not a medical device.
"""

import argparse
import base64
import html
import io
import json
import os
import re
import sys
import threading
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor
from transformers.utils import cached_file

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "space")]  # relevance_map.py lies beside this file in a Space, or in space/

from relevance_map import drawn_over, relevance_map  # noqa: E402

WORD = re.compile(r"[^\W\d_]+")  # letters alone
MAX_BYTES = 64 * 2**20
MAX_FINDINGS = 20
MAX_LETTERS = 200  # of a line; the tokenizer cuts at its own limit anyway
BODY_PARTS_SHOWN = 5
SHORTEST_PIECE = 3  # letters, on average over the pieces of a word
PICTURE_SIDE = 640  # pixels of the picture in the page
KEPT_SECONDS = 1800
AT_ONCE, WAITING, VISITORS = 2, 32, 500  # questions answered at a time, and waiting; films kept in memory
# on a phone the outcome is below what was touched
INTO_SIGHT = """() => {
  const outcome = document.querySelector("#outcome"), top = outcome.getBoundingClientRect().top
  if (top < 0 || top > innerHeight / 2) outcome.scrollIntoView({behavior: "smooth"})
}"""


NOT_MEDICAL = "<b>Not a medical device.</b> For research only, never for the care of a patient."
PHANTOM = (
    "This model was trained on <b>generated phantom films</b>, its card says. They show that the software works, and "
    "teach nothing about real radiographs."
)
AMONG = (
    "The lines share 100 %: a score says how much better a line fits this film than the other lines do, and not how "
    "likely a disease is."
)
AGAINST = (
    "Each line shares 100 % with “{against}”: above 50 % it fits this film better than that text does. A score does "
    "not say how likely a disease is."
)
WHERE = (
    "Orange: the patches that the similarity with “{line}”{against} rests on, by gradient and attention. It says what "
    "this model's number rests on, not where a disease is."
)
GATE = "How much each body part's expert took part when the film was read. The five most involved are shown."


class RefusedError(ValueError):
    """What was asked cannot be answered; the message says why and what to do."""


@dataclass(frozen=True)
class Film:
    """What is kept of an upload: the displayed picture, made small, and what the model reads."""

    picture: Image.Image
    pixel_values: torch.Tensor  # (1, C, H, W)


@dataclass(frozen=True)
class Answer:
    scores: dict[str, float]  # of each finding, from 0 to 1
    body_parts: dict[str, float]  # the experts' involvement, the largest first
    unknown: dict[str, list[str]]  # words that the vocabulary lacks, and how the model spells them
    meaning: str  # of the scores, in one sentence


class Reader:
    """One model, opened once, that answers questions about films; several at a time may ask."""

    def __init__(self, model: str):
        # eager, so that attention weights come back for the map
        opened = AutoModel.from_pretrained(model, trust_remote_code=True, attn_implementation="eager")
        self.model = opened.eval().requires_grad_(False)
        self.processor = AutoProcessor.from_pretrained(model, trust_remote_code=True)
        self.trained_on_phantoms = "pedclip/phantom" in training_data(file_beside(model, "README.md"))
        labels = json.loads(file_beside(model, "training_labels.json") or "{}")
        self.findings: list[str] = labels.get("findings", [])  # that the model was trained with, as far as it says
        self.taught = words_of(" ".join([*labels.get("body_part", ()), *self.findings]))
        # a fast tokenizer keeps its padding in itself, and so serves one question at a time
        self.tokenizing = threading.Lock()

    def film(self, content: bytes) -> Film:
        """A file's content as a film. Raises RefusedError where it is no radiograph that can be read."""
        if len(content) > MAX_BYTES:
            raise RefusedError(f"The file is larger than {MAX_BYTES // 2**20} MiB, and no larger one is read.")
        image_processor = self.processor.image_processor
        try:
            shown = image_processor.fetch_images(content)  # (C, H, W), 0..255
            pixel_values = image_processor(images=shown, return_tensors="pt").pixel_values
        except (ValueError, OSError, ImportError, MemoryError) as error:  # the readers' own words say what is wrong
            raise RefusedError(f"This file cannot be read as a radiograph: {' '.join(str(error).split())}") from error
        return Film(picture_of(shown), pixel_values)

    @torch.inference_mode()
    def ask(self, film: Film, findings: str, against: str = "") -> Answer:
        """Scores of the findings, one a line: shares among them, or of each with the text `against` alone."""
        lines, against = lines_of(findings), lines_of(against)[:1]
        if not lines:
            raise RefusedError("Type at least one finding.")
        if len(lines) == 1 and not against:
            raise RefusedError(
                "One line alone always gets 100 %. Type a second one on a line of its own, or a text to compare with."
            )
        texts = [*lines, *against]
        with self.tokenizing:
            inputs = self.processor(text=texts, return_tensors="pt", padding=True, truncation=True)
            unknown = unknown_words(self.processor.tokenizer, texts, self.taught)
        output = self.model(**inputs, pixel_values=film.pixel_values)
        logits = output.logits_per_image[0]
        scores = (logits[:-1] - logits[-1]).sigmoid() if against else logits.softmax(dim=-1)
        return Answer(
            scores=dict(zip(lines, scores.tolist(), strict=True)),
            body_parts=self._body_parts(output.router_logits),
            unknown=unknown,
            meaning=AGAINST.format(against=against[0]) if against else AMONG,
        )

    def where(self, film: Film, findings: str, against: str = "") -> tuple[Image.Image, str]:
        """A map over the film for the line that fits best, and what it is a map of."""
        scores = self.ask(film, findings, against).scores
        line, other = max(scores, key=lambda one: scores[one]), lines_of(against)[:1]
        with self.tokenizing:
            inputs = self.processor(text=[line, *other], return_tensors="pt", padding=True, truncation=True)
        with torch.no_grad():
            embeds = self.model.get_text_features(**inputs, return_dict=True).pooler_output
        embeds = torch.nn.functional.normalize(embeds, dim=-1)
        direction = embeds[:1] - embeds[1:] if other else embeds
        found = relevance_map(self.model, film.pixel_values, direction)
        said = WHERE.format(line=line, against=f" more than with “{other[0]}”" if other else "")
        return drawn_over(self._seen(film), found), said

    def _seen(self, film: Film) -> np.ndarray:
        """(H, W), 0 to 255: the film at the model's size, as it goes in."""
        settings = self.processor.image_processor
        mean, std = (np.array(values).reshape(-1, 1, 1) for values in (settings.image_mean, settings.image_std))
        return np.clip((film.pixel_values[0].numpy() * std + mean) * 255, 0, 255).mean(0)

    def _body_parts(self, router_logits: Sequence[torch.Tensor]) -> dict[str, float]:
        """By the last layer that has experts; a plain ViT has none."""
        if not router_logits:
            return {}
        involvement = router_logits[-1].softmax(dim=-1)[0]
        most = involvement.topk(min(BODY_PARTS_SHOWN, len(involvement)))
        names = [self.model.config.body_parts[index].replace("_", " ") for index in most.indices.tolist()]
        return dict(zip(names, most.values.tolist(), strict=True))


def lines_of(text: str) -> list[str]:
    """The lines that say something, each once. Raises RefusedError where there are too many, or one is too long."""
    lines = list(dict.fromkeys(" ".join(line.split()) for line in (text or "").splitlines() if line.strip()))
    if len(lines) > MAX_FINDINGS:
        raise RefusedError(f"{len(lines)} lines were typed; at most {MAX_FINDINGS} are compared at a time.")
    if longest := max((line for line in lines if len(line) > MAX_LETTERS), key=len, default=""):
        raise RefusedError(f"One line has {len(longest)} letters; a line has at most {MAX_LETTERS}.")
    return lines


def words_of(text: str) -> set[str]:
    return {word.lower() for word in WORD.findall(text)}


def unknown_words(tokenizer: Any, texts: Iterable[str], taught: Set[str] = frozenset()) -> dict[str, list[str]]:
    """The words that the vocabulary lacks, each with the pieces that the model reads in its place.

    A word counts as lacking where the tokenizer gives its unknown token for it, or spells it in pieces that cannot
    mean it: of fewer than 3 letters on average, or none of them half of the word. "fracture" + "s" still says what is
    meant; "q" + "w" + "z" + "x" and "card" + "iom" + "ega" + "ly" do not. Words of the labels that the model was
    trained with (`taught`) are left out: it has met them, whatever their pieces.
    """
    unknown = {}
    for word in dict.fromkeys(WORD.findall(" ".join(texts))):
        # with a space before it, as within a sentence, where some tokenizers have other pieces
        pieces = [re.sub("^(##|Ġ|▁)", "", piece) for piece in tokenizer.tokenize(f" {word}")]
        if word.lower() in taught or not pieces:
            continue
        if tokenizer.unk_token in pieces:
            unknown[word] = []
        elif len(pieces) > 1:
            longest, mean = max(map(len, pieces)), sum(map(len, pieces)) / len(pieces)
            if mean < SHORTEST_PIECE or 2 * longest < len(word):
                unknown[word] = pieces
    return unknown


def picture_of(shown: np.ndarray | torch.Tensor) -> Image.Image:
    """The film as displayed, in 8 bits and small enough for a page."""
    pixels = np.asarray(shown)
    pixels = np.clip(np.round(pixels.astype(np.float32)), 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(np.moveaxis(pixels, 0, -1)))
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    return picture


def file_beside(model: str, name: str) -> str:
    """The text of a file of the model's folder, or of its repository on the Hub; "" where there is none."""
    try:
        return Path(cached_file(model, name)).read_text(encoding="utf-8")
    except OSError:
        return ""


def training_data(card: str) -> str:
    """What a model card says about the training data, between its marks."""
    marked = re.search(r"<!-- training data -->(.*?)<!-- end of training data -->", card, flags=re.DOTALL)
    return marked[1] if marked else ""


def space_folder() -> Path:
    """Where samples/ and style.css are: beside this file in a Space, under space/ in a checkout."""
    return next(folder for folder in (HERE, HERE / "space") if (folder / "samples").is_dir())


def taken(path: str) -> bytes:
    """The content of an uploaded file, which is gone afterwards."""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:  # another visitor uploaded the same file, and that one was read first
        raise RefusedError("The upload was not complete. Please drop the file again.") from None
    finally:
        Path(path).unlink(missing_ok=True)


def figure(film: Film, size: str, said: str) -> str:
    """The picture inside the page itself: it is never a file that somebody else could ask for."""
    caption = f"{said} As the model sees it: in its display range, read at {size} pixels."
    return framed(film.picture, "film", "The radiograph", caption.strip())


def map_of(picture: Image.Image, said: str) -> str:
    return framed(picture, "map", "The radiograph with the relevance of its patches", said)


def framed(picture: Image.Image, kind: str, says: str, caption: str) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure class="{kind}"><img alt="{says}" src="{source}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def panel(kind: str, text: str) -> str:
    return f'<div class="panel {kind}" role="{"alert" if kind == "problem" else "note"}">{text}</div>'


def warning(unknown: dict[str, list[str]]) -> str:
    """Which words the vocabulary lacks, or nothing."""
    if not unknown:
        return ""
    spelt = [
        f"<b>{html.escape(word)}</b>" + (f" (read as {html.escape(' · '.join(pieces))})" if pieces else " (not read)")
        for word, pieces in unknown.items()
    ]
    return panel(
        "warning",
        f"Not in the model's vocabulary: {', '.join(spelt)}. Scores of lines with such words mean little.",
    )


def page(reader: Reader):
    """The whole page as gradio Blocks. What it shows of a film or a text is worked out above, without gradio."""
    import gradio as gr

    folder = space_folder() / "samples"
    samples = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
    films = [reader.film((folder / sample["file"]).read_bytes()) for sample in samples]
    size = " x ".join(str(side) for side in films[0].pixel_values.shape[-2:])

    def is_sample(path: str) -> bool:
        """Whether it is a picture of the gallery, which is everybody's and must not be deleted."""
        return Path(path).resolve() in {Path(one["image"]["path"]).resolve() for one in gallery.value or ()}

    def answered(film: Film, said: str, findings: str, against: str) -> list[Any]:
        """Values for `outcome`."""
        answer = reader.ask(film, findings, against)
        return [
            (film, said),
            gr.HTML(visible=False),
            gr.Column(visible=True),
            figure(film, size, said),
            gr.HTML(warning(answer.unknown), visible=bool(answer.unknown)),
            answer.scores,
            html.escape(answer.meaning),
            answer.body_parts,
            "",  # the map of an earlier question
        ]

    def refused(error: RefusedError, kept: Any) -> list[Any]:
        """No score of an earlier question stays in sight."""
        notice = gr.HTML(panel("problem", html.escape(str(error))), visible=True)
        return [kept, notice, gr.Column(visible=False), *[gr.skip()] * 5, ""]

    def upload(path: str | None, findings: str, against: str) -> list[Any]:
        kept = None
        try:
            if not path or is_sample(path):  # gradio takes any path of its cache for an upload
                raise RefusedError("The upload was not complete. Please drop the file again.")
            kept = (reader.film(taken(path)), "")
            return answered(*kept, findings, against)
        except RefusedError as error:
            return refused(error, kept)

    def ask(kept: tuple[Film, str] | None, findings: str, against: str) -> list[Any]:
        try:
            if kept is None:
                raise RefusedError("Drop a radiograph or pick a sample first.")
            return answered(*kept, findings, against)
        except RefusedError as error:
            return refused(error, kept)

    def where(kept: tuple[Film, str] | None, findings: str, against: str) -> str:
        try:
            if kept is None:
                raise RefusedError("Drop a radiograph or pick a sample first.")
            return map_of(*reader.where(kept[0], findings, against))
        except RefusedError as error:
            return panel("problem", html.escape(str(error)))

    def pick(chosen: gr.SelectData) -> list[Any]:
        sample = samples[chosen.index]
        findings, against = "\n".join(sample["findings"]), sample["against"]
        said = f"Phantom, generated: {sample['shows']}."
        return [findings, against, *answered(films[chosen.index], said, findings, against)]

    with gr.Blocks(title="PedCLIP", analytics_enabled=False, delete_cache=(600, KEPT_SECONDS)) as blocks:
        state = gr.State(time_to_live=KEPT_SECONDS)
        gr.HTML(f"<p>{NOT_MEDICAL}</p>", elem_id="banner")
        gr.HTML("<h1>PedCLIP</h1><p>Drop a child's radiograph, type findings, and see how well each of them fits.</p>")
        gr.HTML(panel("phantom", PHANTOM), visible=reader.trained_on_phantoms)
        with gr.Row(equal_height=False):
            with gr.Column(min_width=300):
                file = gr.File(label="Radiograph: DICOM, PNG, JPEG, TIFF", height=150, elem_id="file")
                gr.HTML(
                    "The file is deleted as soon as it is read. No real patient's image belongs here.",
                    elem_classes="small",
                )
                gr.HTML("Or a sample: <b>phantoms, generated</b>, no patients")
                gallery = gr.Gallery(
                    [(film.picture, sample["title"]) for film, sample in zip(films, samples, strict=True)],
                    show_label=False,
                    columns=3,
                    object_fit="cover",
                    allow_preview=False,
                    interactive=False,
                    buttons=[],
                    elem_id="samples",
                )
                findings = gr.Textbox(
                    "fracture\npneumothorax\nscoliosis", label="Findings, one a line", lines=4, elem_id="findings"
                )
                with gr.Accordion("Findings it was trained with", open=False, visible=bool(reader.findings)):
                    gr.HTML(html.escape(", ".join(reader.findings)))
                against = gr.Textbox(
                    "no finding",
                    label="Compared with",
                    info="Each line is scored against this text. Empty: the lines are scored against each other.",
                    elem_id="against",
                )
                button = gr.Button("Score", variant="primary", elem_id="score")
            with gr.Column(min_width=300, elem_id="outcome"):
                notice = gr.HTML(panel("empty", "Drop a radiograph or pick a sample: its scores appear here."))
                with gr.Column(visible=False, elem_id="results") as results:
                    picture = gr.HTML()
                    unknown = gr.HTML(visible=False)
                    scores = gr.Label(label="Scores", show_heading=False, elem_id="scores")
                    meaning = gr.HTML(elem_classes="small")
                    show = gr.Button("Show what the best line rests on", size="sm", elem_id="where")
                    relevance = gr.HTML(elem_id="relevance")
                    gate = gr.Label(label="Body part, by the gate", show_heading=False, elem_id="gate")
                    gr.HTML(GATE, elem_classes="small")

        outcome = [state, notice, results, picture, unknown, scores, meaning, gate, relevance]
        own = {"api_visibility": "private"}
        work = {**own, "concurrency_id": "film", "concurrency_limit": AT_ONCE}  # together, not for each button
        uploaded = file.upload(upload, [file, findings, against], outcome, **work)
        asked = [
            uploaded.then(lambda: None, outputs=file, **own),  # the box is empty again, for the next one
            gr.on([button.click, against.submit], ask, [state, findings, against], outcome, **work),
            gallery.select(pick, outputs=[findings, against, *outcome], **work),
        ]
        show.click(where, [state, findings, against], relevance, **work)
        for one in asked:
            one.then(None, js=INTO_SIGHT, **own)
    return blocks.queue(max_size=WAITING, api_open=False)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="How well phrases fit a child's radiograph, as a page.")
    parser.add_argument("model", nargs="?", default=os.environ.get("PEDCLIP_MODEL"), help="a folder, or a Hub id")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860 on")
    args = parser.parse_args(argv)
    if not args.model:
        parser.error("no model: name a folder or an id on the Hub, or set PEDCLIP_MODEL")
    try:
        import gradio as gr

        reader = Reader(args.model)
    except ImportError as error:
        print(f"app.py: {error}; a Space's README.md and requirements.txt say what to install", file=sys.stderr)
        return 2
    except (OSError, ValueError) as error:
        print(f"app.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    fonts = ["system-ui", "sans-serif"]  # the visitor's own
    theme = gr.themes.Default(primary_hue="teal", neutral_hue="slate", font=fonts, font_mono=fonts)
    page(reader).launch(
        server_port=args.port,
        share=False,
        theme=theme.set(block_info_text_color="*neutral_500"),  # its own is too pale to read
        css_paths=space_folder() / "style.css",
        max_file_size=MAX_BYTES,
        state_session_capacity=VISITORS,
        footer_links=[],
        run_history=False,  # it would keep films in the visitor's browser
        enable_monitoring=False,
        ssr_mode=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
