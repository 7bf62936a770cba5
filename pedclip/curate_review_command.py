"""The command `pedclip curate review`: a page on which a person accepts or corrects what curation said."""

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pedclip.explain_command import is_generated

if TYPE_CHECKING:
    from pedclip.eval.curation_review import Shown
    from pedclip.processing.curation.schema import Study

DESCRIPTION = """\
Writes one HTML page that shows report, films and assignments side by side. A person accepts or corrects them, and the
page's download is a file of labels that `pedclip curate eval` reads. A study counts as a patient's unless a phantom
folder holds its films and its very report; a patient's is shown only with --include-private, in a file
NAME.private.html, which export, check and push refuse."""


def add_curate_review_parser(verbs: Any) -> None:
    parser = verbs.add_parser(
        "curate review",
        help="a page on which a person accepts or corrects what curation said",
        description=DESCRIPTION,
        epilog="example: pedclip curate review triplets/ films/ --out review.html --n 50",
    )
    parser.add_argument("triplets", metavar="TRIPLETS", type=Path, help="the folder that `pedclip curate` wrote")
    parser.add_argument("studies", metavar="STUDIES", type=Path, help="the studies that it was made from")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the page: .html")
    parser.add_argument("--n", type=int, default=50, metavar="N", help="studies, drawn at random (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other studies (default: 0)")
    parser.add_argument("--include-private", action="store_true", help="show patients' films and reports")
    parser.set_defaults(run=run_review)


def run_review(args: argparse.Namespace) -> int:
    from pedclip.eval.curation_review import review_page
    from pedclip.eval.private_file import check_name, write_whole

    check_name(args.out, False, (".html",))  # before anything is read
    shown = shown_studies(args.triplets, args.studies, args.n, args.seed)
    private = not all(is_phantom(one.study) for one in shown)
    if private and not args.include_private:
        raise ValueError(
            "the studies count as patients': no phantom folder holds all their films and reports. Look at them by "
            "yourself with --include-private and --out NAME.private.html"
        )
    check_name(args.out, private, (".html",))
    page = review_page(shown, private=private, export_name=f"{args.out.stem}.jsonl")
    write_whole(args.out, page.encode(), private)
    kept = ": private, it shows patients' films and reports" if private else ""
    print(f"wrote {args.out} with {len(shown)} studies{kept}")
    return 0


def shown_studies(triplets: Path, source: Path, count: int, seed: int) -> list["Shown"]:
    """Some studies, drawn at random, with what curation said, in the order of its table."""
    from pedclip.eval.curation_review import Shown
    from pedclip.processing.curation.schema import AssignmentError, checked
    from pedclip.processing.curation.splitting import split
    from pedclip.processing.curation.studies import read_studies

    if count < 1:
        raise ValueError(f"--n is {count}; at least one study is needed")
    rows = read_assignments(triplets)
    studies = {study.study_id: study for study in read_studies(source).usable}
    known = [row for row in rows if row["study_id"] in studies]
    if not known:
        raise ValueError(
            f"none of the {len(rows)} studies of {triplets} stands in {source}; name what it was made from"
        )
    drawn = sorted(random.Random(seed).sample(range(len(known)), min(count, len(known))))
    shown = []
    for row in (known[number] for number in drawn):
        study = studies[row["study_id"]]
        sentences = split(study.report)
        try:
            assignment = checked(_assignment(row), study, sentences)
        except AssignmentError as error:
            raise ValueError(
                f"study {study.study_id} of {triplets} does not fit {source}: {error}; curate it again"
            ) from error
        engine = " ".join(filter(None, (row["engine"], row["model"])))
        shown.append(Shown(study, sentences, assignment, engine, row["fallback"]))
    return shown


def read_assignments(triplets: Path) -> list[dict[str, Any]]:
    from pyarrow import parquet

    folder = triplets if triplets.is_dir() else triplets.parent
    file = folder / "assignments.parquet"
    if not file.is_file():
        raise FileNotFoundError(f"{folder} holds no assignments.parquet; name the folder that `pedclip curate` wrote")
    return parquet.read_table(file).to_pylist()


def _assignment(row: Mapping[str, Any]) -> Any:
    from pedclip.processing.curation.schema import Assignment

    return Assignment(
        {part["name"]: tuple(part["sentences"]) for part in row["parts"]},
        {one["sentence"]: one["reason"] for one in row["dropped"]},
    )


def is_phantom(study: "Study") -> bool:
    """Whether nobody is in it: each film lies in a phantom folder, and one of these has this very report."""
    images = [Path(image).resolve() for part in study.parts for image in part.images]
    if not images or not all(image.is_file() and is_generated(image) for image in images):
        return False
    folders = {folder for image in images for folder in (image.parent, image.parent.parent)}
    return any(_phantom_reports(folder).get(study.study_id) == study.report for folder in folders)


@cache
def _phantom_reports(folder: Path) -> Mapping[str, str]:
    file = folder / "studies.jsonl"
    if not file.is_file() or not (folder / "phantom.json").is_file():
        return {}
    with file.open(encoding="utf-8") as lines:
        rows: Sequence[Mapping[str, str]] = [json.loads(line) for line in lines]
    return {row["study_id"]: row["report"] for row in rows}
