"""The command `pedclip push`: a model folder to the Hub."""

import argparse
from pathlib import Path


def add_push_parser(verbs: argparse._SubParsersAction) -> None:
    push = verbs.add_parser(
        "push",
        help="upload a Hub folder, in one commit, private unless asked",
        description="Checks DIR as `pedclip check` does, refuses pictures and identifiers of patients and data whose "
        "terms forbid publishing weights, then makes the repository equal to DIR in one commit, the card last. A new "
        "repository is private. The content gets a tag, which the card's snippets pin. Needs a token with write "
        "access: `hf auth login`, or HF_TOKEN.",
        epilog="example: pedclip push runs/mine/hub my-hospital/pedclip --dry-run",
    )
    push.add_argument("dir", metavar="DIR", type=Path, help="the Hub folder")
    push.add_argument("repo", metavar="ORG/NAME", help="the repository; made where it does not exist")
    push.add_argument("--revision", default="main", metavar="BRANCH", help="another branch (default: main)")
    push.add_argument("--public", action="store_true", help="everybody may have the model")
    push.add_argument(
        "--permission",
        metavar="TEXT",
        help="who allowed publishing, where the table of terms does not know; stands in the commit",
    )
    push.add_argument("--message", metavar="TEXT", help="of the commit")
    push.add_argument("--dry-run", action="store_true", help="check and list only; contacts nobody")
    push.set_defaults(run=run_push)


def run_push(args: argparse.Namespace) -> int:
    from pedclip.push import push_folder

    done = push_folder(
        args.dir,
        args.repo,
        revision=args.revision,
        public=args.public,
        permission=args.permission,
        message=args.message,
        dry_run=args.dry_run,
    )
    print("\n".join(f"  {name}" for name in done.files))
    what = f"{len(done.files)} files, {done.size / 1e6:.1f} MB"
    where = f"{done.repo_id}, branch {done.revision}, tag {done.tag}"
    if done.commit is None:
        print(
            f"would push {what} to {where}; {'public' if args.public else 'private where it is new'}. Nothing was sent"
        )
        return 0
    if done.deleted:
        print(f"taken away: {', '.join(done.deleted)}")
    print(f"pushed {what} to {where}, {'private' if done.private else 'public'}: commit {done.commit}")
    print(f'load it with AutoModel.from_pretrained("{done.repo_id}", revision="{done.tag}", trust_remote_code=True)')
    return 0
