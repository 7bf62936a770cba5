"""The command `pedclip embed`: images or texts as embeddings in Parquet files."""

import argparse
from pathlib import Path


def add_embed_parser(verbs: argparse._SubParsersAction) -> None:
    embed = verbs.add_parser(
        "embed",
        help="images, or a file of texts, as embeddings in Parquet files",
        description="Puts every image of DATA through MODEL once and writes embeddings of length 1, and how much each "
        "expert is involved, into Parquet parts in OUT. A row is known by file_name, the name that the data have for "
        "it. With --texts the lines of a file are embedded, too or instead. Run again after a stop, it goes on; with "
        "other settings or another model it refuses. Images that cannot be read are listed in skipped_rows.jsonl.",
        epilog="example: pedclip embed runs/xr/hub configuration/recipes/xr.yaml --out embeds --split test",
    )
    embed.add_argument("model", metavar="MODEL", type=Path, help="a PedCLIP folder")
    embed.add_argument(
        "data", metavar="DATA", type=Path, nargs="?", help="a recipe, or a folder of images or shards, as for eval"
    )
    embed.add_argument("--out", metavar="DIR", type=Path, required=True, help="the folder to make, or to go on with")
    embed.add_argument(
        "--split", metavar="NAME", nargs="+", help="train, validation, test; several may be given (default: all)"
    )
    embed.add_argument("--texts", metavar="FILE", type=Path, help="one text a line")
    embed.add_argument("--batch-size", type=int, default=64, metavar="N", help="at once (default: 64)")
    embed.add_argument("--part-rows", type=int, default=1024, metavar="N", help="rows a file (default: 1024)")
    embed.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
    embed.set_defaults(run=run_embed)


def run_embed(args: argparse.Namespace) -> int:
    if args.split and args.data is None:
        raise ValueError(f"--split {' '.join(args.split)} chooses among images; give DATA too")
    if args.data is None and args.texts is None:
        raise ValueError("there is nothing to embed; give DATA, or --texts FILE, or both")

    from pedclip.embed import embed_images, embed_texts

    sizes = {"batch_size": args.batch_size, "part_rows": args.part_rows, "device": args.device}
    runs = []
    if args.data is not None:
        runs.append(("images", embed_images(args.model, args.data, args.out, splits=args.split, **sizes)))
    if args.texts is not None:
        runs.append(("texts", embed_texts(args.model, args.texts, args.out, **sizes)))
    for kind, done in runs:
        before = f", {done.before:,} of them by an earlier run" if done.before else ""
        print(f"{done.rows:,} {kind} in {len(done.files)} files: {args.out / kind}-*.parquet{before}")
        if done.skipped:
            print(f"{done.skipped:,} {kind} skipped, with their reasons: {args.out / 'skipped_rows.jsonl'}")
    return 0
