"""The command `pedclip explain`: which parts of a film a sentence's similarity rests on."""

import argparse
import hashlib
import json
from pathlib import Path

from pedclip.samples import sample_hashes

METHODS = ("attention", "input-x-gradient", "integrated-gradients")  # eval.relevance's; importing it takes seconds


def add_explain_parser(verbs: argparse._SubParsersAction) -> None:
    explain = verbs.add_parser(
        "explain",
        help="show which parts of a film a sentence's similarity rests on",
        description="Draws the film, a relevance map over it, and how much each body part's expert was involved, as "
        "one HTML or PNG file. A map shows what the model's number rests on, not where a disease is. A film counts as "
        "a patient's unless it is one of the samples that come with PedCLIP or lies in a phantom folder; a patient's "
        "is drawn only with --include-private, into a file NAME.private.html or NAME.private.png, which export, check "
        "and push refuse.",
        epilog="example: pedclip explain runs/demo/hub runs/demo/hub/samples/phantom_wrist.png fracture "
        "--out map.html",
    )
    explain.add_argument("model", metavar="MODEL", type=Path, help="a PedCLIP folder")
    explain.add_argument("image", metavar="IMAGE", type=Path, help="a film: PNG, JPEG, TIFF or DICOM")
    explain.add_argument("text", metavar="TEXT", help="what the film is compared with")
    explain.add_argument("--out", metavar="FILE", type=Path, required=True, help="the figure: .html or .png")
    explain.add_argument("--against", metavar="TEXT", help="explain how much better TEXT fits than this")
    explain.add_argument("--method", choices=METHODS, default=METHODS[0], help="default: %(default)s")
    explain.add_argument("--include-private", action="store_true", help="draw a patient's film")
    explain.set_defaults(run=run_explain)


def run_explain(args: argparse.Namespace) -> int:
    from pedclip.eval.embeddings import load_model
    from pedclip.eval.private_file import check_name
    from pedclip.eval.relevance import relevance
    from pedclip.eval.relevance_page import SUFFIXES, write_relevance

    if not args.image.is_file():
        raise FileNotFoundError(f"there is no film {args.image}")
    private = not is_generated(args.image)
    if private and not args.include_private:
        raise ValueError(
            "the film counts as a patient's: it is no sample that comes with PedCLIP, and no phantom folder holds it. "
            "Draw it for yourself with --include-private and --out NAME.private.html"
        )
    check_name(args.out, private, SUFFIXES)
    tested = load_model(args.model)
    found = relevance(
        tested.model, tested.processor, str(args.image), args.text, method=args.method, against=args.against
    )
    write_relevance(found, args.out, private=private)
    print(f"similarity {found.similarity:.3f}" + (" (difference of two)" if args.against is not None else ""))
    for name, share in found.experts[:3]:
        print(f"  expert {name.replace('_', ' ')}: {share:.3f}")
    print(f"wrote {args.out}" + (": private, it shows a patient's film" if private else ""))
    return 0


def is_generated(image: Path) -> bool:
    """Whether nobody is on it: a film that comes with PedCLIP, or one that a phantom folder's table names."""
    if hashlib.sha256(image.read_bytes()).hexdigest() in sample_hashes():
        return True
    image = image.resolve()
    for folder in (image.parent, image.parent.parent):
        settings, rows = folder / "phantom.json", folder / "metadata.jsonl"
        if settings.is_file() and rows.is_file():
            made = json.loads(settings.read_text(encoding="utf-8"))
            name = image.relative_to(folder).as_posix()
            with rows.open(encoding="utf-8") as lines:
                return {"patients", "seed", "clinic"} <= set(made) and any(
                    json.loads(line).get("file_name") == name for line in lines
                )
    return False
