"""The command `pedclip curate`: studies with one report to (X-ray, text, body part) triplets."""

import argparse
from pathlib import Path
from typing import Any


def add_curate_parser(verbs: Any) -> None:
    """Adds `curate` to the command's verbs."""
    curate = verbs.add_parser(
        "curate",
        help="studies with one report to (X-ray, text, body part) triplets, by rules or a language model",
        description="STUDIES is a table (Parquet, CSV, JSONL) with a row a study: study_id, patient_id, report, "
        "body_parts, images; or a row an image: study_id, patient_id, report, body_part, file_name; or a folder of "
        "DICOM files with reports.csv. OUT gets triplets.parquet, ready for `pedclip data build`, and a card. A "
        "triplet's text is made of the report's own sentences. The default engine is rules and needs no model. "
        "OUT-private gets what names studies and the answers that were paid for: run again after a stop, it goes on.",
        epilog="examples: pedclip curate studies.csv --out triplets; pedclip curate studies.csv --out triplets "
        "--engine server --url http://127.0.0.1:8000/v1 --model Qwen/Qwen2.5-7B-Instruct --licence apache-2.0",
    )
    curate.add_argument("studies", metavar="STUDIES", type=Path, help="the table, or the folder of DICOM files")
    curate.add_argument("--out", metavar="DIR", type=Path, required=True, help="the folder to make")
    curate.add_argument(
        "--parts", metavar="FILE", type=Path, help="YAML: your names of body parts, each with one of the 23 or null"
    )
    curate.add_argument(
        "--identifiers",
        default="mask",
        choices=("mask", "leave-out", "keep"),
        help="what becomes of names, dates and numbers of people that are found in a text (default: mask)",
    )
    curate.add_argument("--private", metavar="DIR", type=Path, help="instead of OUT-private")
    curate.add_argument("--workers", type=int, metavar="N", help="rules: processes (default: one a core)")
    add_engine_arguments(curate)
    curate.set_defaults(run=run_curate)


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """What says which engine answers, and how it is asked."""
    parser.add_argument("--engine", default="rules", choices=("rules", "local", "server"), help="default: rules")
    parser.add_argument(
        "--dataset", default="unnamed", metavar="NAME", help="for the card; a name of terms.yaml brings its terms"
    )

    model = parser.add_argument_group("a language model (--engine local or server)")
    model.add_argument("--model", metavar="ID", help="local: Hub id, folder or .gguf file; server: the server's name")
    model.add_argument("--licence", metavar="ID", help="of the model, as the Hub spells it; asked for where not known")
    model.add_argument("--prompts", default="v1", metavar="VERSION", help="v1 or free-text-v1 (default: v1)")
    model.add_argument("--cache", metavar="FILE", type=Path, help="of answers, to share (default: in OUT-private)")
    model.add_argument("--batch-size", type=int, default=8, metavar="N", help="local: questions at a time")
    model.add_argument("--device", default="auto", help="local: cpu, cuda (default: a GPU where there is one)")

    server = parser.add_argument_group("a server (--engine server)")
    server.add_argument("--url", help="of any OpenAI-compatible server: http://127.0.0.1:8000/v1")
    server.add_argument("--key-variable", metavar="NAME", help="the environment variable that holds the key")
    server.add_argument("--allow-remote", action="store_true", help="the server may be another machine")
    server.add_argument(
        "--permission", metavar="TEXT", help="who allowed sending reports away, where the table of terms does not know"
    )
    server.add_argument("--concurrency", type=int, default=16, metavar="N", help="requests at a time (default: 16)")
    server.add_argument("--requests-a-minute", type=float, metavar="N", help="at most (default: no limit)")
    server.add_argument(
        "--timeout", type=float, default=120.0, metavar="SECONDS", help="for one answer (default: 120)"
    )
    server.add_argument(
        "--price", type=float, nargs=2, metavar=("IN", "OUT"), help="of a million tokens, to sum up what it cost"
    )


def run_curate(args: argparse.Namespace) -> int:
    from pedclip.processing.curation.run import RunSettings, curate, private_folder, write_left_out
    from pedclip.processing.curation.studies import NoStudyError, read_studies
    from pedclip.processing.data.plain_names import named

    chat, permission, in_flight = chat_of(args)
    private = args.private or private_folder(args.out)
    try:
        studies = read_studies(args.studies, _own_parts(args.parts))
    except NoStudyError as error:
        write_left_out(error.studies, private)
        raise ValueError(f"{error}. All of them: {private / 'skipped.jsonl'}") from None
    if studies.unknown_parts:
        names = named(studies.unknown_parts, f"see {private / 'unknown_parts.yaml'}")
        print(f"unknown body parts, whose studies are left out: {names}")
    settings = RunSettings(
        dataset=args.dataset,
        prompts=args.prompts,
        identifiers=args.identifiers,
        in_flight=in_flight,
        workers=args.workers,
        price=tuple(args.price) if args.price else None,
        permission=permission,
    )
    summary = curate(studies, args.out, settings, chat, engine=args.engine, private=private, cache=args.cache)
    print(said(summary, args.out, private))
    return 0


def said(summary: dict[str, Any], out: Path, private: Path) -> str:
    """What the command ends with."""
    counts = summary["counts"]
    lines = [
        f"{out}: {counts.get('triplets', 0):,} triplets of {summary['studies']:,} studies; {summary['skipped']} "
        f"skipped, {counts.get('parts_without_text', 0):,} filmed parts without text"
    ]
    if summary["model"] is not None:
        lines.append(
            f"{summary['model']}: {counts.get('answers', 0):,} answers, of which {counts.get('invalid', 0):,} not "
            f"valid; {counts.get('prompt_tokens', 0):,} tokens asked, {counts.get('completion_tokens', 0):,} "
            f"answered; the rules answered for {counts.get('fallbacks', 0):,} studies"
        )
        now = summary["this run"]
        cost = f": {now['cost']} paid" if "cost" in now else ""
        lines.append(
            f"this run: {now['answers']:,} answers received, {now['prompt_tokens']:,} tokens asked and "
            f"{now['completion_tokens']:,} answered{cost}; {now['reused']:,} answers that were there were used again"
        )
        if counts.get("ungrounded"):
            lines.append(f"{counts['ungrounded']:,} sentences that no report has were dropped")
    if counts.get("texts_with_identifiers"):
        lines.append(
            f"{counts['texts_with_identifiers']:,} texts have what looks like a name, a date or a number of a person: "
            f"{summary['identifiers']}"
        )
    lines += [
        "",
        f"Keep   {private}: names of studies, and the answers; do not hand it on",
        f"Next   pedclip data build {out / 'triplets.parquet'} --out SHARDS",
    ]
    return "\n".join(lines)


def chat_of(args: argparse.Namespace) -> tuple[Any, str | None, int]:
    """(the model, why reports may leave the machine, questions at a time)."""
    if args.engine == "rules":
        if args.model or args.url:
            raise ValueError("--model and --url are for --engine local or server; the rules need neither")
        return None, None, 1
    if args.engine == "local":
        from pedclip.processing.curation.engines.local import MODEL, LocalChat, LocalSettings

        name = args.model or MODEL
        licence = licence_of(name, args.licence)
        local = LocalSettings(name, licence, device=args.device, batch_size=args.batch_size)
        return LocalChat(local), None, 2 * args.batch_size
    from urllib.parse import urlsplit

    from pedclip.processing.curation.engines.permission import check_remote
    from pedclip.processing.curation.engines.server import ServerChat, ServerSettings, is_loopback

    missing = [f"--{name}" for name in ("url", "model") if getattr(args, name) is None]
    if args.model is None and args.licence is None:
        missing.append("--licence")
    if missing:
        raise ValueError(f"--engine server needs {', '.join(missing)}")
    server = ServerSettings(
        url=args.url,
        model=args.model,
        licence=licence_of(args.model, args.licence),
        key_variable=args.key_variable,
        allow_remote=args.allow_remote,
        connections=args.concurrency,
        requests_a_minute=args.requests_a_minute,
        timeout=args.timeout,
    )
    permission = None
    if not is_loopback(urlsplit(args.url).hostname or ""):
        permission = check_remote(None if args.dataset == "unnamed" else args.dataset, args.permission)
    return ServerChat(server), permission, args.concurrency


def licence_of(model: str, said: str | None) -> str:
    """The model's licence: the one that was said, if it is not against what is known here, or the known one."""
    from pedclip.processing.curation.engines.local import KNOWN_LICENCES

    known = {name.lower(): licence for name, licence in KNOWN_LICENCES.items()}.get(model.lower())
    if said is None and known is None:
        raise ValueError(f"nobody here knows the licence of {model}; say it as the Hub spells it: --licence mit")
    if said is not None and known is not None and said != known:
        raise ValueError(
            f"--licence is {said}, and {model} has the licence {known}; leave --licence out. What is trained with its "
            "answers has to keep to it"
        )
    return said or known or ""


def _own_parts(file: Path | None) -> dict[str, str | None]:
    if file is None:
        return {}
    import yaml

    from pedclip.processing.data.body_parts import body_part_of

    try:
        table = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is no YAML: {error}") from error
    if not isinstance(table, dict):
        raise ValueError(f'{file} is no table of names; a line looks like "L KN 2V: knee", or null for no part')
    return {str(name): None if part is None else body_part_of(str(part)) for name, part in table.items()}
