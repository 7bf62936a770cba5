"""The command `pedclip data VERB`: what a data set's folder holds, and training shards from an archive."""

import argparse
from pathlib import Path
from typing import Any


def add_data_parser(verbs: Any) -> None:
    """Adds `data` with its own verbs to the command's."""
    data = verbs.add_parser(
        "data",
        help="check an official data set, or build training shards from an archive",
        description="Checks a download of a data set, or builds training shards from an archive of radiographs. "
        "`pedclip data VERB --help` says more.",
    )
    kinds = data.add_subparsers(dest="data_verb", metavar="VERB", required=True)
    check = kinds.add_parser(
        "check",
        help="a download of an official data set: what is there, what is missing, what its terms are",
        description="Reads DIR as the data set NAME was published, and compares what is there with the published "
        "counts. Exit code 1 where files are missing or counts differ. Names: vindr-pcxr, chd-cxr, grazpedwri-dx, "
        "rsna-boneage, arthritis.",
        epilog="example: pedclip data check grazpedwri-dx downloads/graz",
    )
    check.add_argument("name", metavar="NAME", help="the data set")
    check.add_argument("dir", metavar="DIR", type=Path, help="its folder, as it was unpacked")
    check.add_argument("--list-missing", action="store_true", help="print every missing file")
    check.set_defaults(run=run_check)

    build = kinds.add_parser(
        "build",
        help="an archive as training shards: Parquet files with images at training resolution",
        description="SOURCE is a manifest (CSV, JSONL or Parquet with a column file_name) or a folder: of DICOM "
        "files, or with metadata.jsonl. OUT gets Parquet shards that `datasets` and train.py read, a card, and "
        "report.html. Of a DICOM header a short list of fields is kept and nothing else; ids and file names become "
        "keyed hashes. The key and the lists of skipped files, which name them, go to OUT-private: do not hand that "
        "on. Run again after a stop, it goes on. Report texts stay as they are: take names out of them first.",
        epilog="example: pedclip data build archive/ --out shards --side 256",
    )
    build.add_argument("source", metavar="SOURCE", type=Path, help="manifest, or folder")
    build.add_argument("--out", metavar="DIR", type=Path, required=True, help="the folder to make")
    build.add_argument(
        "--dataset", default="unnamed", metavar="NAME", help="for the card; a name of terms.yaml brings its terms"
    )
    build.add_argument("--side", type=int, default=256, metavar="PIXELS", help="of the shorter side (default: 256)")
    build.add_argument("--format", default="jpeg", metavar="NAME", help="jpeg, png or webp (default: jpeg)")
    build.add_argument("--quality", type=int, default=92, help="of JPEG and WebP, 1 to 100 (default: 92)")
    build.add_argument("--keep-16-bit", action="store_true", help="store what has more than 8 bits as 16-bit PNG")
    build.add_argument("--shard-images", type=int, default=512, metavar="N", help="images a shard (default: 512)")
    build.add_argument("--validation-share", type=float, default=0.1, help="of the patients, where no split is given")
    build.add_argument("--test-share", type=float, default=0.1, help="of the patients, where no split is given")
    build.add_argument("--seed", type=int, default=0, help="of the split: another seed, other patients (default: 0)")
    build.add_argument("--private", metavar="DIR", type=Path, help="instead of OUT-private")
    build.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")
    build.set_defaults(run=run_build)


def run_check(args: argparse.Namespace) -> int:
    from pedclip.processing.data.official.check import check_folder

    report = check_folder(args.name, args.dir)
    print(report.text)
    if args.list_missing:
        print("\n".join(report.missing))
    return 0 if report.complete else 1


def run_build(args: argparse.Namespace) -> int:
    from pedclip.configuration.data import SplitsConfig
    from pedclip.data_build_report import write_report
    from pedclip.processing.data.archive.build import BuildSettings, build, private_folder
    from pedclip.processing.data.archive.picture import PictureSettings

    settings = BuildSettings(
        picture=PictureSettings(args.side, args.format, args.quality, args.keep_16_bit),
        splits=SplitsConfig(validation_share=args.validation_share, test_share=args.test_share, seed=args.seed),
        images_in_a_shard=args.shard_images,
        dataset=args.dataset,
    )
    private = args.private or private_folder(args.out)
    summary = build(
        args.source,
        args.out,
        settings,
        private=private,
        workers=args.workers,
        report=lambda summary: write_report(args.out, private, summary),
    )
    counts = ", ".join(f"{split} {count:,}" for split, count in summary["images"].items())
    print(
        f"{args.out}: {counts} images in {summary['shards']} shards; {summary['skipped']} skipped, "
        f"{summary['quarantined']} set aside\n\n"
        f"Open   {args.out / 'report.html'}\n"
        f"Keep   {private}: the key and the names of files; do not hand it on\n"
        f'Next   data.path: "{args.out}" in a recipe, or datasets.load_dataset("{args.out}")'
    )
    return 0
