"""Set up the study's remote: `remote.py URL [--endpoint ADDRESS]`.

The URL names an S3 bucket (s3://bucket/folder), a folder on an SSH server (ssh://host/folder) or a
WebDAV server (webdavs://host/folder), or a local folder. The script writes the settings that everybody
needs to `.dvc/config`: commit it. It writes user and password only to `.dvc/config.local`, which git ignores;
they can also come from the environment. An earlier remote is replaced.
"""

import argparse
import getpass
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from runtime.errors import StudyError
from runtime.process import run_stage

from dvc.config import ConfigError, NoRemoteError
from dvc.exceptions import NotDvcRepoError
from dvc.repo import Repo
from dvc_data.hashfile.db import HashFileDB

NAME = "shared"  # the remote's name in DVC's configuration
ANSWER_SECONDS = 30.0  # timeout for a server's first answer
ATTEMPTS = "3"  # per request to S3; with more, a dead address takes minutes

# Timeouts in seconds. DVC's default for SSH is half an hour; S3's retries add up to minutes.
OPTIONS: dict[str, dict[str, Any]] = {
    "": {},
    "s3": {"connect_timeout": 5, "read_timeout": 60},
    "ssh": {"timeout": 15},
    "webdav": {"timeout": 30},
    "webdavs": {"timeout": 30},
}
SECRETS = {"s3": ("access_key_id", "secret_access_key")}  # all others: user and password
CREDENTIALS = {
    "": "its permissions",
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the keys in .dvc/config.local",
    "ssh": "user, key and agent as for `ssh`, or `keyfile` and `password` in .dvc/config.local",
    "webdav": "user and password, or token, in .dvc/config.local",
}
CREDENTIALS["webdavs"] = CREDENTIALS["webdav"]


def main() -> None:
    url, endpoint = _arguments()
    public, secret = sections(url, endpoint)
    write(public, secret)
    print(f"the study's remote is now {public['url']}; commit .dvc/config to share it")
    if secret:
        print(f"{' and '.join(secret)} are in .dvc/config.local, which git ignores")
    open_remote()
    print(
        "the remote answers; `make push` uploads the outputs, `make pull` downloads them elsewhere"
    )


def sections(url: str, endpoint: str | None) -> tuple[dict[str, Any], dict[str, str]]:
    """The remote's settings for `.dvc/config` and its secrets for `.dvc/config.local`."""
    if not url:
        raise StudyError(
            "URL is missing: `make remote URL=s3://bucket/folder`, ssh://, webdavs:// or a folder"
        )
    parts = urlsplit(url)
    if parts.scheme not in OPTIONS:
        raise StudyError(
            f"{plain(url)}: `make remote` supports s3://, ssh://, webdav://, webdavs:// and folders; "
            "`dvc remote add` supports more"
        )
    if parts.scheme and not parts.hostname:
        raise StudyError(f"{plain(url)} names no {'bucket' if parts.scheme == 's3' else 'host'}")
    if endpoint and (parts.scheme != "s3" or urlsplit(endpoint).username is not None):
        raise StudyError("ENDPOINT must be the address of an S3 server, without user and password")
    names = SECRETS.get(parts.scheme, ("user", "password"))
    values = (parts.username, parts.password)
    secret = {
        name: unquote(value) for name, value in zip(names, values, strict=True) if value is not None
    }
    if parts.scheme.startswith("webdav") and set(secret) == {"user"} and sys.stdin.isatty():
        secret["password"] = getpass.getpass(f"Password of {secret['user']}: ")
    public = {"url": plain(url), "verify": "true", **OPTIONS[parts.scheme]}
    return public | ({"endpointurl": endpoint} if endpoint else {}), secret


def plain(url: str) -> str:
    """The URL without user and password."""
    return re.sub(r"^(\w+://)[^/]*@", r"\1", url)


def write(public: dict[str, Any], secret: dict[str, str]) -> None:
    """Make this the default remote; it replaces an earlier remote called `NAME`."""
    with _repo() as repo:
        path = Path(repo.config.files["local"])
        if secret:  # only the owner may read the file, before a secret is written
            path.touch()
            path.chmod(0o600)
        # Secrets first, so that a crash in between never leaves old secrets with a new address.
        with repo.config.edit("local", validate=False) as config:
            config["remote"].pop(NAME, None)
            config["core"].pop("remote", None)
            if secret:
                config["remote"][NAME] = secret
        with repo.config.edit("repo") as config:
            config["remote"][NAME] = public
            config["core"]["remote"] = NAME


def open_remote(reads: bool = False) -> tuple[Repo, HashFileDB]:
    """The study's repository and the objects of its default remote, after the remote has answered.

    Raises `StudyError` with the reason if there is no remote, or if it cannot be reached or refuses.
    With `reads` also if the remote does not exist or is empty.
    """
    os.environ.setdefault("AWS_MAX_ATTEMPTS", ATTEMPTS)
    repo = _repo()
    try:
        remote, odb = repo.cloud.get_remote(), repo.cloud.get_remote_odb()
    except NoRemoteError:
        raise StudyError("the study has no remote; `make remote URL=...` sets one up") from None
    except ConfigError as error:
        raise StudyError(f".dvc/config: {error}") from None
    url = repo.config["remote"][remote.name]["url"]
    scheme = urlsplit(url).scheme
    where = f"the remote {plain(url)}"
    fault = _first_answer(remote)
    if isinstance(fault, FileNotFoundError):
        if fault.filename and fault.filename != remote.path:
            raise StudyError(f"{where}: {fault.strerror}: {fault.filename}")
        if "bucket" in str(fault):
            raise StudyError(f"{where}: there is no such bucket")
        if scheme.startswith("webdav"):
            raise StudyError(f"{where} does not exist: create this folder on the server")
        if reads:
            raise StudyError(
                f"{where} is empty or does not exist: run `make push` where the models are, or set up "
                "another remote with `make remote URL=...`"
            )
    elif is_refusal(fault):
        raise StudyError(
            f"{where} refuses access: {said(fault)}; credentials: {CREDENTIALS[scheme]}"
        )
    elif fault is not None:
        raise StudyError(
            f"{where} cannot be reached: {said(fault)}; check that it runs and that its address in "
            ".dvc/config is right"
        )
    return repo, odb


def _repo() -> Repo:
    try:
        return Repo()
    except NotDvcRepoError:
        raise StudyError("not a DVC repository: run this in the study's folder") from None


def _first_answer(remote: Any) -> Exception | None:
    """List the remote's folder; None if that works, else the error, after `ANSWER_SECONDS` a timeout."""
    outcome: list[Exception | None] = []

    def ask() -> None:
        try:
            remote.fs.ls(remote.path)
        except Exception as error:  # from any library that talks to a server
            outcome.append(error)
        else:
            outcome.append(None)

    # In a thread, because the libraries' timeouts and retries add up to minutes.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    return outcome[0] if outcome else TimeoutError(f"no answer within {ANSWER_SECONDS:.0f} seconds")


def is_refusal(error: Exception | None) -> bool:
    """Whether the error is a server's refusal: wrong or missing credentials."""
    # Two errors of botocore and one of asyncssh; webdav4's errors have a status code.
    names = ("NoCredentialsError", "PartialCredentialsError", "SFTPPermissionDenied")
    refused = isinstance(error, PermissionError) or type(error).__name__ in names
    return refused or getattr(error, "status_code", None) in (401, 403)


def said(error: Exception | None) -> str:
    """The error's message in one line; its type if it has no message."""
    return " ".join(str(error).split()) or type(error).__name__


def _arguments() -> tuple[str, str | None]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--endpoint", help="the address of an S3 server that is not Amazon's")
    arguments = parser.parse_args()
    return arguments.url, arguments.endpoint


if __name__ == "__main__":
    run_stage(main)
