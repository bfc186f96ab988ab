"""Repositories on the Hugging Face Hub: what one holds at a revision, or why it cannot be had.

`HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE` are the library's own: it reads them itself.
"""

import fnmatch
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runtime.errors import StudyError

import httpx2
from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name

from fetch.downloads import told
from fetch.packages import sha256_of

Kind = Literal["model", "dataset"]
COMMIT = re.compile(r"[0-9a-f]{40}")
REFUSALS = (HfHubHTTPError, httpx2.HTTPError, OfflineModeIsEnabled, LocalEntryNotFoundError)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file at a commit: its size in bytes, and the hash that its content must have.

    `etag` is the SHA-256 of a large file, git's own hash (SHA-1) of a small one, and null where a
    cache without links does not tell.
    """

    path: str
    size: int
    etag: str | None

    def is_whole(self, file: Path) -> bool:
        """Whether `file` has this size and this content."""
        if not file.is_file() or file.stat().st_size != self.size:
            return False
        if self.etag is None:
            return True
        if len(self.etag) == 64:
            return sha256_of(file) == self.etag
        return hashlib.sha1(b"blob %d\0" % self.size + file.read_bytes()).hexdigest() == self.etag


def place_of(kind: Kind, id: str, revision: str) -> str:
    """How messages name a repository at a revision."""
    short = revision[:8] if COMMIT.fullmatch(revision) else revision
    return f"{'base_model' if kind == 'model' else kind} {id}@{short}"


def list_files(kind: Kind, id: str, revision: str) -> tuple[str, list[HubFile]]:
    """The commit that a revision stands for, and its files: as the Hub says, or else the cache.

    Raises `StudyError` with the way out where neither knows.
    """
    try:
        info = HfApi().repo_info(
            id, repo_type=kind, revision=revision, files_metadata=True, timeout=10
        )
    except REFUSALS as error:
        refusal = refused(error, kind, id, revision)
        cached = list_cached(kind, id, revision)
        if cached is None or isinstance(error, RevisionNotFoundError):
            raise refusal from None
        if not constants.HF_HUB_OFFLINE:
            print(f"{refusal}\nGoing on with what the cache {constants.HF_HUB_CACHE} has of it")
        return cached
    files = [
        HubFile(each.rfilename, each.size, each.lfs.sha256 if each.lfs else each.blob_id)
        for each in info.siblings
    ]
    return info.sha, files


def list_cached(kind: Kind, id: str, revision: str) -> tuple[str, list[HubFile]] | None:
    """The same of what lies in the library's cache, which may be less than the repository has."""
    folder = cache_folder(kind, id)
    if not COMMIT.fullmatch(revision):
        named = folder / "refs" / revision
        if not named.is_file():
            return None
        revision = named.read_text(encoding="utf-8").strip()
    snapshot = folder / "snapshots" / revision
    files = []
    for file in sorted(snapshot.rglob("*")):
        if file.is_file():
            # Each links to a blob that is named by its hash; that may be a link itself.
            etag = file.readlink().name if file.is_symlink() else None
            path = file.relative_to(snapshot).as_posix()
            files.append(HubFile(path, file.stat().st_size, etag))
    return (revision, files) if files else None


def cache_folder(kind: Kind, id: str) -> Path:
    """Where the library keeps the repository, whether or not it does."""
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=id, repo_type=kind)


def fetch_dataset(id: str, commit: str, pattern: str) -> list[tuple[str, Path]]:
    """The files of a dataset that match `pattern`: their paths there, and where they lie, in order.

    The library fetches what its cache lacks. Raises `StudyError` with the way out.
    """
    place = place_of("dataset", id, commit)
    _, files = list_files("dataset", id, commit)
    wanted = sorted(fnmatch.filter([file.path for file in files], pattern))
    if not wanted:
        if f"{id.split('/')[-1]}.py" in {file.path for file in files}:
            raise StudyError(
                f"{place}: has a loading script, which is not run, and no file {pattern}: name the "
                "files that the script reads, as URLs at a commit, with kind: files (as in "
                "profiles/mistral-7b.yaml)"
            )
        there = ", ".join(file.path for file in files[:10])
        raise StudyError(f"{place}: has no file {pattern}; it has {there}")
    try:
        folder = Path(
            snapshot_download(id, repo_type="dataset", revision=commit, allow_patterns=pattern)
        )
    except REFUSALS as error:
        raise refused(error, "dataset", id, commit) from None
    except OSError as error:
        raise StudyError(f"{place}: cannot be fetched: {error}") from None
    for file in files:
        if file.path in wanted and not file.is_whole(folder / file.path):
            (folder / file.path).resolve().unlink(missing_ok=True)
            (folder / file.path).unlink(missing_ok=True)
            raise StudyError(
                f"{place}: {file.path} was damaged on its way or in the cache, and is removed from "
                "it: run the stage again to fetch it anew"
            )
    return [(path, folder / path) for path in wanted]


def refused(error: Exception, kind: Kind, id: str, revision: str) -> StudyError:
    """What the library's or the Hub's refusal means, and what a person can do about it."""
    place = place_of(kind, id, revision)
    page = f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{id}"
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    match error:
        case GatedRepoError() if status == 401:
            return StudyError(
                f"{place}: is gated, and no token was sent: accept its terms on {page}, then set "
                "HF_TOKEN to a token of that account (or run `hf auth login`)"
            )
        case GatedRepoError():
            return StudyError(
                f"{place}: is gated, and your token may not read it: accept its terms on {page} with "
                "the token's account; a fine-grained token needs the right to read gated repositories"
            )
        case RevisionNotFoundError():
            return StudyError(
                f"{place}: there is no revision {revision}: give a branch, a tag or a commit hash of "
                f"{page}/commits/main"
            )
        case RepositoryNotFoundError():
            return StudyError(
                f"{place}: there is no such repository at {constants.ENDPOINT}, or it is private: "
                "correct id, or set HF_TOKEN to a token that may read it"
            )
        case HfHubHTTPError() if status == 401:
            return StudyError(f"{place}: your token is not valid: set HF_TOKEN to another")
    if constants.HF_HUB_OFFLINE:
        return StudyError(
            f"{place}: not in the cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE is set: unset "
            "it to fetch it, or name the cache that has it with HF_HOME"
        )
    if status is not None:
        return StudyError(f"{place}: {constants.ENDPOINT} answers {status}: try again later")
    return StudyError(
        f"{place}: {constants.ENDPOINT} is not reachable ({told(error)}): are network, proxy and "
        "HF_ENDPOINT right? What has come is kept: run the stage again to go on"
    )
