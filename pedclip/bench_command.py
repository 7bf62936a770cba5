"""The commands `pedclip bench` and `pedclip report`: the eleven tasks on one model, and a page about the runs."""

import argparse
import os
from pathlib import Path


def add_bench_parsers(verbs: argparse._SubParsersAction) -> None:
    bench = verbs.add_parser(
        "bench",
        help="the eleven tasks on one model, from the official data sets as they are downloaded",
        description="Runs the tasks of the paper on MODEL: zero-shot and probes on four data sets, segmentation, bone "
        "age, concepts. ROOT holds the data sets in folders of these names, each as it is downloaded: vindr-pcxr, "
        "chd-cxr, grazpedwri-dx, rsna-boneage, arthritis. What is not there stays a row that says so. Every answer is "
        "written with its interval and its predictions, without names; run again after a stop, it goes on. The exit "
        "code is 1 where data are there and a task was not answered.",
        epilog="example: pedclip bench runs/demo/hub --data-root data --out runs/bench",
    )
    bench.add_argument("model", metavar="MODEL", type=Path, help="a PedCLIP folder")
    bench.add_argument("--data-root", metavar="ROOT", type=Path, required=True, help="the folder of the data sets")
    bench.add_argument("--out", metavar="DIR", type=Path, required=True, help="the run's folder, new or to go on with")
    bench.add_argument(
        "--tasks",
        metavar="NAME",
        nargs="+",
        default=(),
        help="some rows, also of those beside the eleven; an unknown name lists them (default: the eleven)",
    )
    bench.add_argument("--prompts", metavar="FILE", type=Path, help="a YAML file like eval/bench/prompts.yaml")
    bench.add_argument("--resamples", type=int, default=1000, metavar="N", help="of the bootstrap (default: 1000)")
    bench.add_argument("--seed", type=int, default=0)
    bench.add_argument(
        "--shuffled-labels", action="store_true", help="the control: every image gets another one's labels"
    )
    bench.add_argument(
        "--allow-leaks",
        action="store_true",
        help="go on where the model was trained on patients or images of a test set, and say so in the results",
    )
    bench.set_defaults(run=run_bench_command)

    report = verbs.add_parser(
        "report",
        help="one page about runs of `pedclip bench`, beside the paper's numbers",
        description="Writes an HTML page, or Markdown where OUT ends in .md: every task with its interval and chance, "
        "differences between the runs on the same patients, labels one by one, subgroups, reliability, relevance maps "
        "of generated films, and what the paper prints. No patient's film is shown.",
        epilog="example: pedclip report runs/bench runs/other --out report.html",
    )
    report.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="folders that `pedclip bench` wrote")
    report.add_argument("--out", metavar="FILE", type=Path, default=Path("report.html"), help="(default: report.html)")
    report.set_defaults(run=run_report)


def run_bench_command(args: argparse.Namespace) -> int:
    from pedclip.eval.bench.running import Bench, failed, line_of, run_bench
    from pedclip.eval.bench.zero_shot import PROMPTS

    if not args.data_root.is_dir():
        raise FileNotFoundError(f"--data-root {args.data_root} is no folder; give the one that holds the data sets")
    if args.resamples < 100:
        raise ValueError(f"--resamples is {args.resamples}; fewer than 100 make no interval of 95 %")
    if args.prompts is not None and not args.prompts.is_file():
        raise FileNotFoundError(f"--prompts {args.prompts} is no file; copy eval/bench/prompts.yaml and change it")
    bench = Bench(
        args.model,
        args.data_root,
        args.prompts or PROMPTS,
        args.resamples,
        args.seed,
        args.shuffled_labels,
        args.allow_leaks,
    )
    entries = run_bench(bench, args.out, args.tasks)
    print("\n".join(map(line_of, entries)))
    print(f"wrote {args.out}/results.json; `pedclip report {args.out}` makes a page of it")
    if lacking := failed(entries):
        print(f"{len(lacking)} of {len(entries)} tasks were not answered; the same command asks them again")
        return 1
    return 0


def run_report(args: argparse.Namespace) -> int:
    from pedclip.eval.bench.report import html, markdown, open_run

    if args.out.suffix not in (".html", ".md"):
        raise ValueError(f"--out is {args.out}; it ends in .html or .md")
    runs = [open_run(folder) for folder in args.runs]
    new = args.out.with_name(f".{args.out.name}.new")
    new.write_text(markdown(runs) if args.out.suffix == ".md" else html(runs), encoding="utf-8")
    os.replace(new, args.out)
    print(f"wrote {args.out}: {len(runs)} run(s)")
    return 0
