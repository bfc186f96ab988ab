"""Set up the study's remote: `remote.py URL [--endpoint ADDRESS]`.

The URL is that of an S3 bucket (s3://bucket/folder), a folder on an SSH server (ssh://host/folder) or a
WebDAV server (webdavs://host/folder), or a folder's path. What all need who share the study goes to
`.dvc/config`, which git keeps: commit it. User and password stand in `.dvc/config.local` alone, which git
ignores, or in the environment. The remote that was set up before is replaced.
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

NAME = "shared"  # of the remote, in DVC's configuration
ANSWER_SECONDS = 30.0  # for a server's first answer
ATTEMPTS = "3"  # of a request to S3; more of them let a dead address take minutes

# Times in seconds: DVC's own for SSH is half an hour, S3's tries add up to minutes.
OPTIONS: dict[str, dict[str, Any]] = {
    "": {},
    "s3": {"connect_timeout": 5, "read_timeout": 60},
    "ssh": {"timeout": 15},
    "webdav": {"timeout": 30},
    "webdavs": {"timeout": 30},
}
SECRETS = {"s3": ("access_key_id", "secret_access_key")}  # others: user and password
CREDENTIALS = {
    "": "its permissions",
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the keys in .dvc/config.local",
    "ssh": "user, key and agent: what `ssh` takes, or `keyfile` and `password` in .dvc/config.local",
    "webdav": "user and password, or token, in .dvc/config.local",
}
CREDENTIALS["webdavs"] = CREDENTIALS["webdav"]


def main() -> None:
    url, endpoint = _arguments()
    public, secret = sections(url, endpoint)
    write(public, secret)
    print(
        f"the study's remote is {public['url']} now: commit .dvc/config, and those who clone have it"
    )
    if secret:
        print(f"{' and '.join(secret)} stand in .dvc/config.local, which git ignores")
    open_remote()
    print("it answers: `make push` sends what dvc.lock names, `make pull` fetches it elsewhere")


def sections(url: str, endpoint: str | None) -> tuple[dict[str, Any], dict[str, str]]:
    """What stands of the remote in `.dvc/config`, and what in `.dvc/config.local`."""
    if not url:
        raise StudyError(
            "say where: `make remote URL=s3://bucket/folder`, ssh://, webdavs:// or a folder"
        )
    parts = urlsplit(url)
    if parts.scheme not in OPTIONS:
        raise StudyError(
            f"{plain(url)} is no remote that `make remote` sets up: it takes s3://, ssh://, webdav://, "
            "webdavs:// and folders; `dvc remote add` knows more"
        )
    if parts.scheme and not parts.hostname:
        raise StudyError(f"{plain(url)} names no {'bucket' if parts.scheme == 's3' else 'host'}")
    if endpoint and (parts.scheme != "s3" or urlsplit(endpoint).username is not None):
        raise StudyError("ENDPOINT is the address of an S3 server alone, without user and password")
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
    """The address without user and password."""
    return re.sub(r"^(\w+://)[^/]*@", r"\1", url)


def write(public: dict[str, Any], secret: dict[str, str]) -> None:
    """Make this the default remote, in place of the one of that name."""
    with _repo() as repo:
        path = Path(repo.config.files["local"])
        if secret:  # nobody else may read it from the first byte on
            path.touch()
            path.chmod(0o600)
        # The secret ones first: where this ends in between, nothing is public that should not be.
        with repo.config.edit("local", validate=False) as config:
            config["remote"].pop(NAME, None)
            config["core"].pop("remote", None)
            if secret:
                config["remote"][NAME] = secret
        with repo.config.edit("repo") as config:
            config["remote"][NAME] = public
            config["core"]["remote"] = NAME


def open_remote(reads: bool = False) -> tuple[Repo, HashFileDB]:
    """The study and its default remote's objects, once that has answered.

    Where it does not, refuses, or has nothing that could be read: a `StudyError` that says which.
    """
    os.environ.setdefault("AWS_MAX_ATTEMPTS", ATTEMPTS)
    repo = _repo()
    try:
        remote, odb = repo.cloud.get_remote(), repo.cloud.get_remote_odb()
    except NoRemoteError:
        raise StudyError("the study has no remote: `make remote URL=...` sets one up") from None
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
            raise StudyError(f"{where} is not there: make that folder on the server")
        if reads:
            raise StudyError(
                f"{where} is empty or not there: `make push` fills it from where the models are; "
                "`make remote URL=...` sets up another"
            )
    elif is_refusal(fault):
        raise StudyError(f"{where} refuses: {said(fault)}; it goes by {CREDENTIALS[scheme]}")
    elif fault is not None:
        raise StudyError(
            f"{where} cannot be reached: {said(fault)}; see that it runs and that its address in .dvc/config "
            "is right"
        )
    return repo, odb


def _repo() -> Repo:
    try:
        return Repo()
    except NotDvcRepoError:
        raise StudyError("this is no DVC repository: call it in the study's folder") from None


def _first_answer(remote: Any) -> Exception | None:
    """What a list of the remote's folder fails with."""
    outcome: list[Exception | None] = []

    def ask() -> None:
        try:
            remote.fs.ls(remote.path)
        except Exception as error:  # of any library that speaks to a server
            outcome.append(error)
        else:
            outcome.append(None)

    # In a thread, since what the libraries wait and try again for adds up to minutes.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    return outcome[0] if outcome else TimeoutError(f"no answer within {ANSWER_SECONDS:.0f} seconds")


def is_refusal(error: Exception | None) -> bool:
    """Whether a server answers, but not this person."""
    # botocore's twice, asyncssh's; webdav4's have a status
    names = ("NoCredentialsError", "PartialCredentialsError", "SFTPPermissionDenied")
    refused = isinstance(error, PermissionError) or type(error).__name__ in names
    return refused or getattr(error, "status_code", None) in (401, 403)


def said(error: Exception | None) -> str:
    """An error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _arguments() -> tuple[str, str | None]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--endpoint", help="the address of an S3 server that is not Amazon's")
    given = parser.parse_args()
    return given.url, given.endpoint


if __name__ == "__main__":
    run_stage(main)
