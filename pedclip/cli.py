"""The command `pedclip VERB`: everything but training, which is train.py."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pedclip.bench_command import add_bench_parsers
from pedclip.curate_command import add_curate_parser
from pedclip.curate_eval_command import add_curate_eval_parser
from pedclip.curate_review_command import add_curate_review_parser
from pedclip.data_command import add_data_parser
from pedclip.embed_command import add_embed_parser
from pedclip.explain_command import add_explain_parser
from pedclip.onnx_command import add_onnx_parser
from pedclip.push_command import add_push_parser

# torch and transformers take seconds to import, so each verb imports what it needs when it runs.

DESCRIPTION = """\
PedCLIP: a vision-language model for pediatric X-rays. For research, not a medical device.

Train with `python train.py RECIPE.yaml`, or `python -m pedclip.train`; this command does the rest."""

# verbs of two words: `curate` alone has an argument where these have their second word
TWO_WORDS = ("curate eval", "curate review")

EPILOG = """\
examples:
  pedclip export runs/xr/checkpoints/last my-model   make a folder that loads anywhere
  pedclip check runs/xr/hub                          would it load for someone else?
  pedclip push runs/xr/hub org/pedclip --dry-run     what would go to the Hub?
  pedclip eval --model runs/xr/hub --task body-part --data configuration/recipes/xr.yaml
  pedclip bench runs/xr/hub --data-root data --out runs/bench      the eleven tasks
  pedclip report runs/bench --out report.html        their page
  pedclip embed runs/xr/hub films/ --out embeds      embeddings as Parquet files
  pedclip onnx runs/xr/hub onnx-model                both towers for ONNX Runtime
  pedclip explain runs/demo/hub runs/demo/hub/samples/phantom_wrist.png fracture --out map.html

`pedclip VERB --help` says more about one of them."""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="pedclip", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)

    export = verbs.add_parser(
        "export",
        help="rewrite a model folder or checkpoint as a complete Hub folder",
        description="Writes weights, processor, the code that loads them, licence and model card into OUT, whole or "
        "not at all. OUT then loads with transformers alone: AutoModel.from_pretrained(OUT, trust_remote_code=True). "
        "The card that DIR has is kept as it is; with an option that changes it, it is written anew from what it "
        "states, and sentences of your own are lost.",
        epilog="example: pedclip export runs/xr/checkpoints/last my-model --name my-model --training-data data.md",
    )
    export.add_argument("dir", metavar="DIR", type=Path, help="a folder that train.py or save_pretrained wrote")
    export.add_argument("out", metavar="OUT", type=Path, help="the folder to make")
    export.add_argument("--name", help="the model's name on the card")
    export.add_argument("--license", help="licence of the weights, as the Hub spells it: cc-by-4.0")
    export.add_argument(
        "--training-data", metavar="FILE", type=Path, help="Markdown about the training data, for the card"
    )
    export.add_argument(
        "--results",
        metavar="FILE",
        type=Path,
        nargs="+",
        help="for the card: what `pedclip eval`, `make demo` or `make xr` wrote",
    )
    export.add_argument(
        "--datasets", metavar="NAME", nargs="+", help="data sets it learned from, as the table of terms names them"
    )
    export.add_argument("--base-models", metavar="ID", nargs="+", help="models that it started from, ids on the Hub")
    export.add_argument("--overwrite", action="store_true", help="replace OUT if it is a model folder already")
    export.set_defaults(run=run_export)

    check = verbs.add_parser(
        "check",
        help="open a Hub folder as a stranger would, and look for what should not be in it",
        description="Opens DIR in a fresh process that has no PedCLIP and no network, through every Auto class, saves "
        "it again and compares. Looks for pickles, paths of this machine, data of patients and gaps in the card. Exit "
        "code 1 where something fails. The code in DIR runs: check only what you trust.",
        epilog="example: pedclip check runs/xr/hub",
    )
    check.add_argument("dir", metavar="DIR", type=Path, help="the Hub folder")
    check.set_defaults(run=run_check)

    evaluate = verbs.add_parser(
        "eval",
        help="measure a model on a task",
        description="Measures a model on one task over one split of a folder of images with metadata, and says what "
        "was asked, how many images and patients answered, the interval, and what guessing would reach.",
        epilog="example: pedclip eval --model runs/xr/hub --task body-part --data radiographs/ --out results.json",
    )
    evaluate.add_argument("--model", metavar="DIR", type=Path, required=True, help="a PedCLIP folder")
    evaluate.add_argument("--task", metavar="NAME", required=True, help="the task; an unknown name lists them all")
    evaluate.add_argument(
        "--data",
        metavar="RECIPE|DIR",
        type=Path,
        required=True,
        help="the recipe of the training, whose data: part says where the images are and what their columns mean; or "
        "a folder of images with metadata under the default names",
    )
    evaluate.add_argument("--split", default="test", help="value of the metadata's split column (default: test)")
    evaluate.add_argument("--out", metavar="FILE", type=Path, help="write the results as JSON too")
    evaluate.add_argument(
        "--allow-leaks",
        action="store_true",
        help="go on where the model was trained on patients or images of the test set, and say so in the results",
    )
    evaluate.set_defaults(run=run_eval)

    phantom = verbs.add_parser(
        "phantom",
        help="generate phantom radiographs with reports: no patients, no downloads",
        description="Writes generated studies of children who never lived: films of 23 body parts, findings with "
        "their masks, reports whose every sentence is known. It proves software, never medicine. The same settings "
        "give the same bytes. Forms: imagefolder (PNG files and metadata.jsonl), dicom, or the exact layout of an "
        "official data set: vindr-pcxr, chd-cxr, grazpedwri-dx, rsna-boneage, arthritis.",
        epilog="example: pedclip phantom films --patients 500 --masks",
    )
    phantom.add_argument("out", metavar="OUT", type=Path, help="the folder to make")
    phantom.add_argument("--form", default="imagefolder", metavar="NAME", help="see above (default: imagefolder)")
    phantom.add_argument("--patients", type=int, default=100, metavar="N", help="children (default: 100)")
    phantom.add_argument("--seed", type=int, default=0, help="another seed, other children (default: 0)")
    phantom.add_argument("--side", type=int, default=128, metavar="PIXELS", help="of a film (default: 128)")
    phantom.add_argument("--bits", type=int, default=8, help="imagefolder: 8, or 16 for all twelve bits (default: 8)")
    phantom.add_argument("--masks", action="store_true", help="imagefolder: also each bone's and finding's outline")
    phantom.add_argument(
        "--twins", action="store_true", help="imagefolder: also each sick training film's normal twin"
    )
    phantom.add_argument("--dose", type=float, metavar="SHARE", help="imagefolder: of the usual exposure, 0.25 say")
    phantom.set_defaults(run=run_phantom)

    add_bench_parsers(verbs)
    add_embed_parser(verbs)
    add_onnx_parser(verbs)
    add_explain_parser(verbs)
    add_push_parser(verbs)
    add_curate_parser(verbs)
    add_curate_eval_parser(verbs)
    add_curate_review_parser(verbs)
    add_data_parser(verbs)
    return top


def run_export(args: argparse.Namespace) -> int:
    from pedclip.hub import export_folder

    changes: dict[str, Any] = {"name": args.name, "license": args.license}
    if args.training_data:
        changes["training_data"] = args.training_data.read_text(encoding="utf-8").strip()
    if args.results:
        from pedclip.card_results import card_changes, refuse_other_models
        from pedclip.eval.embeddings import model_hash

        results = [json.loads(file.read_text(encoding="utf-8")) for file in args.results]
        changes |= card_changes(results)
        if (args.dir / "config.json").is_file() and not refuse_other_models(results, model_hash(args.dir)):
            print("some results have no model_hash; the card takes your word that they are of this model")
    if args.datasets:
        changes["datasets"] = tuple(args.datasets)
    if args.base_models:
        changes["base_models"] = tuple(args.base_models)
    changes = {field: value for field, value in changes.items() if value is not None}
    out = export_folder(args.dir, args.out, overwrite=args.overwrite, **changes)
    sizes = [file.stat().st_size for file in out.rglob("*") if file.is_file()]
    print(f"wrote {args.out}: {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB")
    print(f'load it with AutoModel.from_pretrained("{args.out}", trust_remote_code=True)')
    return 0


def run_check(args: argparse.Namespace) -> int:
    from pedclip.check import check_folder, table

    checks = check_folder(args.dir)
    print(table(checks))
    failed = sum(not check.ok for check in checks)
    print(f"{failed} of {len(checks)} checks failed" if failed else f"all {len(checks)} checks passed")
    return 1 if failed else 0


def run_eval(args: argparse.Namespace) -> int:
    from pedclip.eval.tasks import run_task, table

    result = run_task(args.task, args.model, args.data, args.split, allow_leaks=args.allow_leaks)
    print(table(result))
    if args.out:
        args.out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"wrote {args.out}")
    return 0


def run_phantom(args: argparse.Namespace) -> int:
    from pedclip.processing.phantom.folder import FolderSettings, write_folder
    from pedclip.processing.phantom.official import OFFICIAL, write_official

    if args.form == "imagefolder":
        own = {"bits": args.bits, "masks": args.masks, "twins": args.twins, "dose": args.dose}
        films = write_folder(args.out, FolderSettings(patients=args.patients, seed=args.seed, side=args.side, **own))
    elif args.bits != 8 or args.masks or args.twins or args.dose is not None:
        raise ValueError(f"--bits, --masks, --twins and --dose belong to the form imagefolder, not to {args.form}")
    elif args.form == "dicom":
        from pedclip.processing.phantom.dicom import write_dicom
        from pedclip.processing.phantom.study import studies_of

        studies = (study for number in range(args.patients) for study in studies_of(args.seed, number))
        films = write_dicom(args.out, studies, side=args.side)
    elif args.form in OFFICIAL:
        films = write_official(args.form, args.out, patients=args.patients, seed=args.seed, side=args.side)
    else:
        raise ValueError(f"there is no form {args.form!r}; choose imagefolder, dicom, {', '.join(OFFICIAL)}")
    print(f"{films} films in {args.out}: generated, no patients")
    return 0


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    words = list(argv)
    if " ".join(words[:2]) in TWO_WORDS:
        words[:2] = [" ".join(words[:2])]
    return parser().parse_args(words)


def main(argv: Sequence[str] | None = None) -> int:
    args = parsed(sys.argv[1:] if argv is None else argv)
    try:
        return args.run(args)
    except (OSError, ValueError, ImportError) as error:  # what the user can mend; anything else is our bug
        print(f"pedclip {args.verb}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
