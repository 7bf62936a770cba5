"""The command `pedclip curate eval`: an engine against studies whose every sentence is labelled."""

import argparse
import asyncio
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from pedclip.curate_command import add_engine_arguments, chat_of


def add_curate_eval_parser(verbs: Any) -> None:
    parser = verbs.add_parser(
        "curate eval",
        help="how well an engine assigns sentences, against labelled studies",
        description="Precision, recall and F1 of sentence assignment, over all and by body part, how much history "
        "leaks, what is left out and what stands twice, with 95 % intervals over patients. LABELLED is a JSONL file "
        "with a label for every sentence: studies.jsonl of a phantom folder, or the download of the review page. A "
        "sentence counts as standing under a part if at least half of its letters do (docs/curation/quality.md).",
        epilog="example: pedclip curate eval films/studies.jsonl --engine rules --out results.json",
    )
    parser.add_argument("labelled", metavar="LABELLED", type=Path, help="the labelled studies (.jsonl)")
    parser.add_argument("--first", type=int, metavar="N", help="only so many studies, the file's first")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write the results as JSON too")
    add_engine_arguments(parser)
    parser.set_defaults(run=run_curate_eval)


def run_curate_eval(args: argparse.Namespace) -> int:
    from pedclip.eval.curation import summarise, table
    from pedclip.eval.curation_asked import by_asking, by_rules
    from pedclip.processing.curation.labelled import read_labelled
    from pedclip.processing.curation.rules import RuleEngine

    if args.first is not None and args.first < 1:
        raise ValueError(f"--first is {args.first}; at least one study is needed")
    chat, permission, in_flight = chat_of(args)
    labelled = list(read_labelled(args.labelled))[: args.first]
    if chat is None:
        provenance = RuleEngine().provenance
        counts = by_rules(labelled)
    else:
        from pedclip.processing.curation.asking import load_prompts
        from pedclip.processing.curation.engines.cache import AnswerCache
        from pedclip.processing.curation.engines.language import LanguageEngine

        answers = None if args.cache is None else AnswerCache(args.cache)
        try:
            engine = LanguageEngine(args.engine, chat, load_prompts(args.prompts), answers)
            counts = asyncio.run(by_asking(labelled, chat, engine, in_flight))
        finally:
            if answers is not None:
                answers.close()
        provenance = engine.provenance
    result = {
        "what": "sentence assignment against labelled studies",
        "labelled": {
            "file": args.labelled.name,
            "sha256": hashlib.sha256(args.labelled.read_bytes()).hexdigest(),
            "first": args.first,
        },
        "engine": provenance.engine,
        "model": provenance.model,
        "prompt_version": provenance.prompt_version,
        "permission": permission,
        **summarise(counts),
    }
    print(f"{' '.join(filter(None, (provenance.engine, provenance.model, provenance.prompt_version)))}")
    print(table(result))
    if args.out is not None:
        new = args.out.with_name(f"{args.out.name}.new")
        new.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        os.replace(new, args.out)
        print(f"wrote {args.out}")
    return 0
