"""A Hugging Face Hub on loopback: enough of its API for the libraries in use, with faults on demand.

Repositories are folders, or mappings of paths to bytes, read into memory at a commit. Gated ones open
to their tokens. Any other file may lie under an address of its own, as on a plain web server.
"""

import hashlib
import json
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit

Files = dict[str, bytes]
LARGE = (".safetensors", ".bin", ".parquet", ".model")  # kept in LFS, so that their SHA-256 is told


@dataclass
class Repository:
    """Its files at each commit, the commits of its branches, and who may read the files."""

    id: str
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tokens: frozenset[str] | None = None  # of a gated repository


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    token: str | None
    sent: int  # bytes of the body


class Hub:
    """The server; `with Hub() as hub:` runs it. `hub.url` is what HF_ENDPOINT is set to."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.plain: Files = {}  # address -> content
        self.requests: list[Request] = []
        self.cuts: dict[str, int] = {}  # name of a file -> bytes until the connection breaks, once
        self.on_cut: Callable[[], None] = lambda: None  # called before the connection breaks
        self.damages: dict[str, bytes] = {}  # name of a file -> what is sent in its place
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self})
        )
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(
        self,
        kind: Literal["models", "datasets"],
        id: str,
        content: Path | Mapping[str, bytes],
        *,
        commit: str | None = None,
        branch: str = "main",
        tokens: frozenset[str] | None = None,
    ) -> str:
        """Commit a folder's files, or these, to a branch; give the commit's hash."""
        if isinstance(content, Path):
            names = [path for path in content.rglob("*") if path.is_file()]
            files = {path.relative_to(content).as_posix(): path.read_bytes() for path in names}
        else:
            files = dict(content)
        blobs = json.dumps([id, sorted((name, _git_hash(data)) for name, data in files.items())])
        commit = commit or hashlib.sha1(blobs.encode()).hexdigest()
        repository = self.repositories.setdefault((kind, id), Repository(id))
        repository.commits[commit] = files
        repository.branches[branch] = commit
        repository.tokens = tokens
        return commit

    def sent(self, name: str) -> int:
        """The bytes sent of files whose address ends in `name`, over all requests."""
        return sum(each.sent for each in self.requests if each.path.endswith(name))


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    done = False

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        path = unquote(address.path)
        query = parse_qs(address.query)
        repository = r"(?P<id>[\w.-]+/[\w.-]+)"
        api = rf"/api/(?P<kind>models|datasets)/{repository}"
        if path in self.hub.plain:
            self._send_file(self.hub.plain[path], {})
        elif at := re.fullmatch(rf"{api}(/revision/(?P<revision>.+))?", path):
            self._send_info(at["kind"], at["id"], at["revision"] or "main")
        elif at := re.fullmatch(rf"{api}/tree/(?P<revision>[^/]+)/?(?P<folder>.*)", path):
            self._send_tree(
                at["kind"], at["id"], at["revision"], at["folder"], "recursive" in query
            )
        elif at := re.fullmatch(
            rf"/(datasets/)?{repository}/resolve/(?P<revision>[^/]+)/(?P<name>.+)", path
        ):
            self._resolve("datasets" if at[1] else "models", at["id"], at["revision"], at["name"])
        else:
            self._refuse(404, "", "Not found")

    # --- what a repository answers ----------------------------------------------------------------

    def _send_info(self, kind: str, id: str, revision: str) -> None:
        found = self._find(kind, id, revision)
        if found is None:
            return
        repository, commit, files = found
        self._send_json(
            {
                "id": id,
                "sha": commit,
                "private": False,
                "gated": "auto" if repository.tokens is not None else False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [
                    {
                        "rfilename": name,
                        "size": len(content),
                        "blobId": _git_hash(content),
                        **(
                            {"lfs": {"sha256": _sha256(content), **_pointer(content)}}
                            if _large(name)
                            else {}
                        ),
                    }
                    for name, content in sorted(files.items())
                ],
            }
        )

    def _send_tree(self, kind: str, id: str, revision: str, folder: str, recursive: bool) -> None:
        found = self._find(kind, id, revision)
        if found is None:
            return
        prefix = f"{folder}/" if folder else ""
        entries: dict[str, dict[str, Any]] = {}
        for name, content in sorted(found[2].items()):
            if not name.startswith(prefix):
                continue
            for end in [
                at for at, letter in enumerate(name) if letter == "/" and at >= len(prefix)
            ]:
                entries[name[:end]] = {
                    "type": "directory",
                    "path": name[:end],
                    "oid": "0" * 40,
                    "size": 0,
                }
            entries[name] = {
                "type": "file",
                "path": name,
                "oid": _git_hash(content),
                "size": len(content),
                **({"lfs": {"oid": _sha256(content), **_pointer(content)}} if _large(name) else {}),
            }
        shown = [
            each for path, each in entries.items() if recursive or "/" not in path[len(prefix) :]
        ]
        self._send_json(shown)

    def _resolve(self, kind: str, id: str, revision: str, name: str) -> None:
        found = self._find(kind, id, revision)
        if found is None:
            return
        repository, commit, files = found
        if repository.tokens is not None and self._token() not in repository.tokens:
            status = 403 if self._token() else 401
            self._refuse(status, "GatedRepo", f"Access to {kind} {id} is restricted.")
        elif name not in files:
            self._refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        else:
            content = files[name]
            headers = {"X-Repo-Commit": commit, "ETag": f'"{_git_hash(content)}"'}
            if _large(name):
                headers["X-Linked-Etag"] = headers["ETag"] = f'"{_sha256(content)}"'
                headers["X-Linked-Size"] = str(len(content))
            self._send_file(content, headers)

    def _find(self, kind: str, id: str, revision: str) -> tuple[Repository, str, Files] | None:
        """The repository, commit and files asked for; or None, once the refusal has been sent."""
        repository = self.hub.repositories.get((kind, id))
        if repository is None:
            self._refuse(
                *((404, "RepoNotFound") if self._token() else (401, "RepoNotFound")), "Not found"
            )
            return None
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repository, commit, repository.commits[commit]

    def _token(self) -> str | None:
        return self.headers.get("Authorization", "").removeprefix("Bearer ") or None

    # --- how it is sent ---------------------------------------------------------------------------

    def _send_json(self, content: Any) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, message: str, more: Mapping[str, str] = {}) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message, **more}
        self._send(status, json.dumps({"error": message}).encode(), headers)

    def _send_file(self, content: bytes, headers: dict[str, str]) -> None:
        name = unquote(urlsplit(self.path).path).rsplit("/", 1)[-1]
        content = self.hub.damages.get(name, content)
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self._send(200, content, headers, self.hub.cuts, name)
            return
        first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        if first >= len(content):
            self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        self._send(206, content[first : last + 1], headers, self.hub.cuts, name)

    def _send(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str],
        cuts: dict[str, int] | None = None,
        name: str = "",
    ) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            body = b""
        cut = cuts.pop(name, None) if cuts and body else None
        body = body[:cut]
        self.hub.requests.append(Request(self.command, self.path, self._token(), len(body)))
        self.wfile.write(body)
        if cut is not None:
            self.wfile.flush()
            self.hub.on_cut()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)


def _large(name: str) -> bool:
    return name.endswith(LARGE)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _pointer(content: bytes) -> dict[str, int]:
    return {"size": len(content), "pointerSize": 130}
