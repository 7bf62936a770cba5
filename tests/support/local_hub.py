"""A small HTTP server that answers huggingface_hub's own client as the Hub would. It is not the real Hub.

Repositories of models in memory: create, branch, tag, pre-upload, LFS upload, commit, tree, file. Every request is
kept, so that a test can ask what was sent, in which order.
"""

import base64
import hashlib
import json
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlparse

LFS_SUFFIXES = (".safetensors", ".png")


@dataclass
class Repository:
    private: bool
    states: dict[str, dict[str, bytes]] = field(default_factory=dict)  # commit -> file -> content
    references: dict[str, str] = field(default_factory=dict)  # branch or tag -> commit
    commits: list[dict[str, Any]] = field(default_factory=list)

    def add(self, branch: str, files: dict[str, bytes], about: dict[str, Any]) -> str:
        commit = hashlib.sha1(f"{len(self.commits)} {about}".encode()).hexdigest()
        self.states[commit] = files
        self.references[branch] = commit
        self.commits.append({"commit": commit, "branch": branch, **about})
        return commit

    def at(self, revision: str) -> tuple[str, dict[str, bytes]]:
        commit = self.references.get(revision, revision)
        return commit, self.states[commit]


class LocalHub(AbstractContextManager):
    """`with LocalHub() as hub:` `hub.endpoint` is what HF_ENDPOINT has to be."""

    def __init__(self):
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}  # of LFS, by SHA-256
        self.requests: list[tuple[str, str]] = []
        self.refuse_tags = False
        hub = self

        class Handler(Answers):
            server_state = hub

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()

    def put(self, name: str, files: dict[str, bytes], private: bool = True) -> None:
        self.repositories[name] = Repository(private)
        self.repositories[name].add("main", files, {"summary": "before the test"})


class Answers(BaseHTTPRequestHandler):
    server_state: LocalHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, value: Any = None, status: int = 200, **headers: Any) -> None:
        content = value if isinstance(value, bytes) else json.dumps({} if value is None else value).encode()
        self.send_response(status)
        named = {"Content-Length": len(content), "Content-Type": "application/json", **headers}
        for name, one in named.items():
            self.send_header(name.replace("_", "-"), str(one))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def missing(self, code: str = "RepoNotFound") -> None:
        self.answer({"error": code}, 404, X_Error_Code=code)

    def handle_one(self) -> None:
        hub, path, content = self.server_state, unquote(urlparse(self.path).path), self.body()
        hub.requests.append((self.command, path))
        if path == "/api/repos/create":
            return self.create(json.loads(content))
        if path.endswith("/info/lfs/objects/batch"):
            return self.batch(json.loads(content))
        if path.startswith("/lfs/"):
            hub.objects[path.removeprefix("/lfs/")] = content
            return self.answer()
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if "/resolve/" in path:
            name, _, rest = path.lstrip("/").partition("/resolve/")
            return self.file(name, *rest.split("/", 1))
        parts = path.removeprefix("/api/models/").split("/")
        repository = hub.repositories.get("/".join(parts[:2]))
        if not path.startswith("/api/models/") or repository is None:
            return self.missing()
        what, rest = (parts[2], "/".join(parts[3:])) if len(parts) > 2 else ("revision", "main")
        if what in ("branch", "tag"):
            return self.refer(repository, what, rest, json.loads(content or b"{}"))
        if rest.split("/")[0] not in {*repository.references, *repository.states}:
            return self.missing("RevisionNotFound")
        return getattr(self, what)(repository, "/".join(parts[:2]), rest, content)

    do_GET = do_HEAD = do_POST = do_PUT = handle_one

    def create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.server_state.repositories:
            return self.answer({"error": "exists", "url": f"{self.server_state.endpoint}/{name}"}, 409)
        private = asked.get("private", False) or asked.get("visibility") == "private"
        self.server_state.put(name, {".gitattributes": b"*.safetensors filter=lfs\n"}, private)
        return self.answer({"url": f"{self.server_state.endpoint}/{name}"})

    def refer(self, repository: Repository, what: str, rest: str, asked: dict[str, Any]) -> None:
        """A branch is named in the address, a tag in the body."""
        name, start = (asked["tag"], rest) if what == "tag" else (rest, asked.get("startingPoint", "main"))
        if what == "tag" and self.server_state.refuse_tags:
            return self.answer({"error": "no"}, 403)
        if name in repository.references:
            return self.answer({"error": "exists"}, 409)
        repository.references[name] = repository.at(start)[0]
        return self.answer()

    def revision(self, repository: Repository, name: str, rest: str, content: bytes) -> None:
        commit, files = repository.at(rest)
        config = json.loads(files["config.json"]) if "config.json" in files else {}
        about = {"id": name, "sha": commit, "private": repository.private, "tags": [], "config": config}
        return self.answer({**about, "siblings": [{"rfilename": one} for one in files], "downloads": 0})

    def tree(self, repository: Repository, name: str, rest: str, content: bytes) -> None:
        files = repository.at(rest.split("/")[0])[1]
        return self.answer(
            [{"type": "file", "path": one, "size": len(files[one]), "oid": "0" * 40} for one in sorted(files)]
        )

    def preupload(self, repository: Repository, name: str, rest: str, content: bytes) -> None:
        def mode(file: dict[str, Any]) -> str:
            return "lfs" if file["path"].endswith(LFS_SUFFIXES) or file["size"] > 10**7 else "regular"

        files = json.loads(content)["files"]
        return self.answer(
            {"files": [{"path": one["path"], "uploadMode": mode(one), "shouldIgnore": False} for one in files]}
        )

    def batch(self, asked: dict[str, Any]) -> None:
        """Where each LFS object goes; one that is there already gets no address."""
        found = []
        for one in asked["objects"]:
            upload = {"upload": {"href": f"{self.server_state.endpoint}/lfs/{one['oid']}", "header": {}}}
            there = one["oid"] in self.server_state.objects
            found.append({**one, **({} if there else {"actions": upload})})
        return self.answer({"transfer": "basic", "objects": found})

    def commit(self, repository: Repository, name: str, rest: str, content: bytes) -> None:
        lines = [json.loads(line) for line in content.splitlines()]
        about = lines[0]["value"]
        parent, files = repository.at(rest)
        if about.get("parentCommit", parent) != parent:
            return self.answer({"error": "the branch has moved on"}, 412)
        files, operations = dict(files), []
        for line in lines[1:]:
            value = line["value"]
            operations.append((line["key"], value["path"]))
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server_state.objects[value["oid"]]
            else:
                del files[value["path"]]
        commit = repository.add(rest, files, {**about, "operations": operations})
        url = f"{self.server_state.endpoint}/{name}/commit/{commit}"
        return self.answer({"success": True, "commitOid": commit, "commitUrl": url})

    def file(self, name: str, revision: str, path: str) -> None:
        repository = self.server_state.repositories.get(name)
        if repository is None:
            return self.missing()
        if revision not in {*repository.references, *repository.states}:
            return self.missing("RevisionNotFound")
        commit, files = repository.at(revision)
        if path not in files:
            return self.answer({"error": "no such file"}, 404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        tag = f'"{hashlib.sha256(files[path]).hexdigest()}"'
        return self.answer(files[path], ETag=tag, X_Repo_Commit=commit)
