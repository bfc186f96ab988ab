"""Repositories on the Hugging Face Hub: their files at a revision, and messages for refused requests.

huggingface_hub itself reads `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE`.
"""

import fnmatch
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runtime.errors import StudyError
from runtime.hashing import sha256_of

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

from fetch.downloads import in_short

Kind = Literal["model", "dataset"]
COMMIT = re.compile(r"[0-9a-f]{40}")
REFUSALS = (HfHubHTTPError, httpx2.HTTPError, OfflineModeIsEnabled, LocalEntryNotFoundError)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file at a commit: its path, its size in bytes, and the hash of its content.

    `etag`: the SHA-256 of a large file, git's SHA-1 of a small file, or None if the cache has no links.
    """

    path: str
    size: int
    etag: str | None

    def is_whole(self, file: Path) -> bool:
        """Whether `file` has this size and this hash."""
        if not file.is_file() or file.stat().st_size != self.size:
            return False
        if self.etag is None:
            return True
        if len(self.etag) == 64:
            return sha256_of(file) == self.etag
        return hashlib.sha1(b"blob %d\0" % self.size + file.read_bytes()).hexdigest() == self.etag


def place_of(kind: Kind, id: str, revision: str) -> str:
    """The name of a repository at a revision, for messages."""
    short = revision[:8] if COMMIT.fullmatch(revision) else revision
    return f"{'base_model' if kind == 'model' else kind} {id}@{short}"


def list_files(kind: Kind, id: str, revision: str) -> tuple[str, list[HubFile]]:
    """The commit of a revision and the commit's files, from the Hub, or else from the library's cache.

    Raises `StudyError` if neither contains the revision.
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
            print(f"{refusal}\nUsing the files in the cache {constants.HF_HUB_CACHE}")
        return cached
    files = [
        HubFile(file.rfilename, file.size, file.lfs.sha256 if file.lfs else file.blob_id)
        for file in info.siblings
    ]
    return info.sha, files


def list_cached(kind: Kind, id: str, revision: str) -> tuple[str, list[HubFile]] | None:
    """The commit and the files in the library's cache, or None; the cache may lack files."""
    folder = cache_folder(kind, id)
    if not COMMIT.fullmatch(revision):
        ref = folder / "refs" / revision
        if not ref.is_file():
            return None
        revision = ref.read_text(encoding="utf-8").strip()
    snapshot = folder / "snapshots" / revision
    files = []
    for file in sorted(snapshot.rglob("*")):
        if file.is_file():
            # A file is a link to a blob, whose name is its hash; the blob may be a link too.
            etag = file.readlink().name if file.is_symlink() else None
            path = file.relative_to(snapshot).as_posix()
            files.append(HubFile(path, file.stat().st_size, etag))
    return (revision, files) if files else None


def cache_folder(kind: Kind, id: str) -> Path:
    """The folder of the repository in the library's cache, which may not exist."""
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=id, repo_type=kind)


def fetch_dataset(id: str, commit: str, pattern: str) -> list[tuple[str, Path]]:
    """The files of a dataset that match `pattern`: (path in the repository, local path), sorted.

    The library fetches the files that its cache lacks. Raises `StudyError` if no file matches, a fetch
    fails or a file is damaged.
    """
    place = place_of("dataset", id, commit)
    _, files = list_files("dataset", id, commit)
    wanted = sorted(fnmatch.filter([file.path for file in files], pattern))
    if not wanted:
        if f"{id.split('/')[-1]}.py" in {file.path for file in files}:
            raise StudyError(
                f"{place}: contains no file {pattern}, but a loading script, which is not run: name the "
                "files that the script reads, as URLs at a commit, with kind: files (as in "
                "profiles/mistral-7b.yaml)"
            )
        paths = ", ".join(file.path for file in files[:10])
        raise StudyError(f"{place}: contains no file {pattern}; its files: {paths}")
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
                f"{place}: {file.path} was damaged in the download or in the cache, and is removed from "
                "the cache: run the stage again"
            )
    return [(path, folder / path) for path in wanted]


def refused(error: Exception, kind: Kind, id: str, revision: str) -> StudyError:
    """The message for an error of the library or the Hub: the reason, and the next step."""
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
                f"{place}: the revision {revision} does not exist: name a branch, a tag or a commit hash "
                f"of {page}/commits/main"
            )
        case RepositoryNotFoundError():
            return StudyError(
                f"{place}: the repository does not exist at {constants.ENDPOINT}, or is private: "
                "correct id, or set HF_TOKEN to a token that may read the repository"
            )
        case HfHubHTTPError() if status == 401:
            return StudyError(f"{place}: your token is not valid: set HF_TOKEN to a valid token")
    if constants.HF_HUB_OFFLINE:
        return StudyError(
            f"{place}: not in the cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE is set: unset "
            "HF_HUB_OFFLINE, or set HF_HOME to a cache that contains the repository"
        )
    if status is not None:
        return StudyError(f"{place}: {constants.ENDPOINT} answers {status}: try again later")
    return StudyError(
        f"{place}: {constants.ENDPOINT} is not reachable ({in_short(error)}): check network, proxy and "
        "HF_ENDPOINT, then run the stage again: the download continues where it stopped"
    )
