"""Puts a model folder on the Hub: looked through first, in one commit, the card last, private unless asked."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelInfo
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from pedclip.card import facts_of, read_card
from pedclip.check import check_folder
from pedclip.publishing import LEFT_AT_HOME, NotForPublicationError, check_files, check_repo_name, check_terms
from pedclip.samples import FOLDER as SAMPLES_FOLDER

CARD = "README.md"
SNIPPET_LINE = re.compile(r'^model_id, revision = ".*", ".*"$', flags=re.MULTILINE)
SAMPLE_SOURCE = re.compile(rf"src: (?:https://huggingface\.co/\S+?/resolve/[^/\s]+/)?{SAMPLES_FOLDER}/")
# httpx's or httpx2's, by the version of huggingface_hub
HTTP_ERROR: type[Exception] = next(
    one for one in HfHubHTTPError.__mro__ if one.__name__ == "HTTPError" and issubclass(one, Exception)
)
KEPT_ON_THE_HUB = {".gitattributes"}  # the Hub's own; everything else that the folder lacks is taken away


@dataclass(frozen=True)
class Push:
    """What was pushed, or in a dry run would be."""

    repo_id: str
    revision: str
    tag: str  # of this content; what the card's snippets pin
    files: tuple[str, ...]  # in the commit's order
    size: int  # bytes
    deleted: tuple[str, ...] = ()
    commit: str | None = None  # None: a dry run
    private: bool | None = None


def push_folder(
    folder: str | os.PathLike,
    repo_id: str,
    *,
    revision: str = "main",
    public: bool = False,
    permission: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
    token: str | None = None,
) -> Push:
    """Checks the folder, stages it, and makes the repository equal to it in one commit.

    A new repository is private unless `public`; one that is public already is refused without it. The content gets a
    tag, which the card's snippets pin, so that they load this state whatever comes later. Needs a token with write
    access (`hf auth login`, or `HF_TOKEN`). A dry run contacts nobody.

    Raises:
        NotForPublicationError: data of patients in the folder, terms that forbid it, or a check that fails.
        ValueError: a wrong id, a public repository without `public`, a repository of another model.
    """
    folder = Path(folder)
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ValueError(f"{repo_id!r} is no id of the Hub; write organization/name. {error}") from error
    if repo_id.count("/") != 1:
        raise ValueError(f"{repo_id!r} names no owner; write organization/name")
    if not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)*", revision) or ".." in revision or revision.endswith((".lock", ".")):
        raise ValueError(f"revision {revision!r} is no name of a branch; letters, digits, '.', '_' and '-' are")
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} is not a model folder: it has no config.json")
    with tempfile.TemporaryDirectory() as work:
        # what is looked through is what is sent: a copy, links followed, which nobody adds to in between
        staged = Path(work) / "staged"
        shutil.copytree(folder, staged, ignore=shutil.ignore_patterns(*LEFT_AT_HOME))
        check_repo_name(repo_id, staged)
        _look_through(staged, folder, permission)
        tag = pin(staged, repo_id)
        names = sorted(str(path.relative_to(staged)) for path in staged.rglob("*") if path.is_file())
        names.sort(key=lambda name: name == CARD)  # whoever sees the card finds everything that it speaks of
        planned = Push(repo_id, revision, tag, tuple(names), sum((staged / name).stat().st_size for name in names))
        if dry_run:
            return planned
        with said_in_words(repo_id):
            return _upload(planned, staged, public, permission, message, HfApi(token=token))


@contextmanager
def said_in_words(repo_id: str) -> Iterator[None]:
    """The client's errors with their way out; a network that is not there is an OSError too."""
    try:
        yield
    except HTTP_ERROR as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        ways_out: dict[Any, str] = {
            401: "log in with a token that may write: `hf auth login`, or HF_TOKEN",
            403: "your token may not write there: ask for access, or name a repository of your own",
            404: "it does not exist, or your token may not see it",
            412: "somebody pushed in between: look at what came, and push again",
        }
        way_out = ways_out.get(status, "is the network there? What was not committed is not on the Hub; push again")
        raise OSError(f"{repo_id}: {' '.join(str(error).split())[:300]}; {way_out}") from error


def _look_through(staged: Path, folder: Path, permission: str | None) -> None:
    check_files(staged, folder)
    failed = [check for check in check_folder(staged) if not check.ok]
    if failed:
        said = "; ".join(f"{check.name}: {check.detail}" for check in failed)
        raise NotForPublicationError(f"{folder} does not pass `pedclip check`: {said}")
    check_terms(facts_of(read_card(staged / CARD)).datasets, permission)


def pin(staged: Path, repo_id: str) -> str:
    """Writes the repository and the tag of this content into the card, with addresses that work there."""
    tag = content_tag(staged)
    card_file = staged / CARD
    text = card_file.read_text(encoding="utf-8")
    text = SNIPPET_LINE.sub(f'model_id, revision = "{repo_id}", "{tag}"', text)
    text = SAMPLE_SOURCE.sub(f"src: https://huggingface.co/{repo_id}/resolve/{tag}/{SAMPLES_FOLDER}/", text)
    card_file.write_text(text, encoding="utf-8")
    return tag


def content_tag(folder: Path) -> str:
    """A name for everything in the folder, the card as it was before it was pinned: the same files, the same tag."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in KEPT_ON_THE_HUB):
        total.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        if path == folder / CARD:
            text = SNIPPET_LINE.sub("", path.read_text(encoding="utf-8"))
            total.update(hashlib.sha256(SAMPLE_SOURCE.sub("", text).encode()).digest())
            continue
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return f"pedclip-{total.hexdigest()[:12]}"


def _upload(plan: Push, staged: Path, public: bool, permission: str | None, message: str | None, api: HfApi) -> Push:
    private = _visibility(plan.repo_id, public, api)
    api.create_repo(plan.repo_id, private=not public, exist_ok=True)
    if plan.revision != "main":
        api.create_branch(plan.repo_id, branch=plan.revision, exist_ok=True)
    head = api.model_info(plan.repo_id, revision=plan.revision)
    _refuse_another_model(f"{plan.repo_id}, branch {plan.revision},", head)
    there = {sibling.rfilename for sibling in head.siblings or ()}
    deleted = tuple(sorted(there - set(plan.files) - KEPT_ON_THE_HUB))
    commit = api.create_commit(
        plan.repo_id,
        operations=[
            *(CommitOperationDelete(name) for name in deleted),
            *(CommitOperationAdd(name, str(staged / name)) for name in plan.files),
        ],
        commit_message=message or f"PedCLIP model {plan.tag}",
        commit_description=f"Permission to publish: {permission}" if permission else "",
        revision=plan.revision,
        parent_commit=head.sha,  # somebody else's push in between is refused, not overwritten
    )
    try:
        api.create_tag(plan.repo_id, tag=plan.tag, revision=commit.oid, exist_ok=True)
    except HfHubHTTPError as error:
        raise OSError(
            f"the files are in {plan.repo_id} (commit {commit.oid}), but the tag {plan.tag}, which the card names, "
            f"was refused: {error}. Push again"
        ) from error
    return replace(plan, deleted=deleted, commit=commit.oid, private=private)


def _visibility(repo_id: str, public: bool, api: HfApi) -> bool:
    """Whether the repository is, or will be, private. A public one and another model's are refused."""
    try:
        info = api.model_info(repo_id)
    except RepositoryNotFoundError:
        return not public
    if not info.private and not public:
        raise ValueError(f"{repo_id} is public; pass --public if everybody may have this model")
    _refuse_another_model(repo_id, info)
    return bool(info.private)


def _refuse_another_model(place: str, info: ModelInfo) -> None:
    names = {sibling.rfilename for sibling in info.siblings or ()} - KEPT_ON_THE_HUB - {CARD}
    model_type = str((info.config or {}).get("model_type", ""))
    if names and not model_type.startswith("pedclip"):
        raise ValueError(
            f"{place} holds another model ({model_type or 'of no known type'}), which a push would take away; name "
            "a new repository"
        )
