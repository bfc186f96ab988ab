"""What a loopback Hub answers to whoever writes: repositories made, large files, commits."""

import base64
import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from hub import LARGE, Hub


class UploadHub(Hub):
    """A Hub with users: `writers` are {token: the name below which it may write}."""

    def __init__(self, writers: dict[str, str]) -> None:
        super().__init__()
        self.writers = writers
        self.made: dict[str, dict[str, Any]] = {}  # id -> what was asked for when it was made
        self.stored: dict[str, bytes] = {}  # SHA-256 -> content of a large file
        self.messages: list[str] = []  # of the commits
        self.mistakes: list[str] = []  # that it finds in every card
        handler: Any = self._server.RequestHandlerClass
        self._server.RequestHandlerClass = type("Handler", (_Uploads, handler), {})


class _Uploads(BaseHTTPRequestHandler):
    hub: UploadHub
    _send: Any
    _send_json: Any
    _refuse: Any
    _token: Any

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        repository = r"(?P<id>[\w.-]+/[\w.-]+)"
        if self._token() not in self.hub.writers:
            self._refuse(401, "", "Invalid credentials in Authorization header")
        elif path == "/api/validate-yaml":
            found = [{"message": message} for message in self.hub.mistakes]
            answer = json.dumps({"errors": found, "warnings": []})
            self._send(400 if found else 200, answer.encode(), {})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif at := re.fullmatch(rf"/api/models/{repository}/preupload/main", path):
            files = [each["path"] for each in json.loads(body)["files"]]
            modes = {True: "lfs", False: "regular"}
            modes_of = [
                {"path": name, "uploadMode": modes[name.endswith(LARGE)], "shouldIgnore": False}
                for name in files
            ]
            if self._may_write(at["id"]):
                self._send_json({"files": modes_of})
        elif at := re.fullmatch(rf"/{repository}\.git/info/lfs/objects/batch", path):
            if self._may_write(at["id"]):
                self._send_json({"objects": list(map(self._upload, json.loads(body)["objects"]))})
        elif at := re.fullmatch(rf"/api/models/{repository}/commit/main", path):
            if self._may_write(at["id"]):
                self._commit(at["id"], [json.loads(line) for line in body.splitlines()])
        else:
            self._refuse(404, "", "Not found")

    def do_PUT(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        self.hub.stored[name] = self.rfile.read(int(self.headers["Content-Length"]))
        self._send_json({})

    def _create(self, asked: dict[str, Any]) -> None:
        id = f"{asked['organization']}/{asked['name']}"
        answer = {"url": f"{self.hub.url}/{id}"}
        if ("models", id) in self.hub.repositories:
            self._send(409, json.dumps({"error": "It is there already", **answer}).encode(), {})
        elif self._may_write(id):
            self.hub.add("models", id, {})
            self.hub.made[id] = asked
            self._send_json(answer)

    def _upload(self, asked: dict[str, Any]) -> dict[str, Any]:
        href = f"{self.hub.url}/lfs/{asked['oid']}"
        return {**asked, "actions": {"upload": {"href": href}}}

    def _commit(self, id: str, lines: list[dict[str, Any]]) -> None:
        repository = self.hub.repositories["models", id]
        files = dict(repository.commits[repository.branches["main"]])
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.hub.messages.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert line["key"] == "lfsFile"
                files[value["path"]] = self.hub.stored[value["oid"]]
        commit = self.hub.add("models", id, files)
        url = f"{self.hub.url}/{id}/commit/{commit}"
        self._send_json({"commitUrl": url, "commitOid": commit, "success": True})

    def _may_write(self, id: str) -> bool:
        """Whether the token's user may; where not, the refusal is sent."""
        may = self.hub.writers[self._token()] == id.split("/")[0]
        if not may:
            self._refuse(
                403, "", "You don't have the rights to create a model under this namespace"
            )
        return may
