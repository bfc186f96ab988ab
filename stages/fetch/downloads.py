"""A file at a URL: fetched once, with interrupted downloads resumed and the checksum verified."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from runtime.errors import StudyError
from runtime.files import write_json
from runtime.hashing import sha256_of
from runtime.progress import progress_bar

import httpx2

from fetch.cache import hold, study_cache

# The sha256 of every URL without a sha256 in the profile, recorded at the first download and tracked by
# git: all clones verify later downloads. It is no dependency of a stage, because no stage reads it as data.
CHECKSUMS = Path("data/checksums.json")

TRIES = 4  # connections in a row without a new byte, once a download has begun
TIMEOUT = httpx2.Timeout(10, read=30)  # seconds


def fetch_file(url: str, sha256: str | None) -> Path:
    """The path of the file at `url` in `.cache/files/`; the first call downloads it.

    `sha256` pins the content. Without it, the sha256 of the first download is recorded and required from
    then on. Raises `StudyError` if the download fails or the sha256 differs.
    """
    folder = study_cache("files") / hashlib.sha256(url.encode()).hexdigest()[:16]
    with hold(folder):
        return _fetch(url, sha256, folder / Path(urlsplit(url).path).name)


def _fetch(url: str, sha256: str | None, file: Path) -> Path:
    recorded = _recorded()
    pinned = sha256 or recorded.get(url)
    if file.is_file():
        if pinned == sha256_of(file):
            return file
        file.unlink()  # damaged, or without a recorded sha256
    partial = file.with_name(f".{file.name}.partial")
    try:
        download(url, partial)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise StudyError(
            f"{url}: cannot be fetched ({in_short(error)}): check the address and the network, then "
            "run the stage again: the download continues where it stopped"
        ) from None
    actual = sha256_of(partial)
    if pinned not in (None, actual):
        partial.unlink()
        where = "the profile" if sha256 else CHECKSUMS
        raise StudyError(
            f"{url}: the sha256 is {actual}, not {pinned} as in {where}: the file changed or was damaged "
            f"in the download; run the stage again, or correct {where} if the change is intended"
        )
    partial.replace(file)
    if pinned is None:
        write_json(CHECKSUMS, dict(sorted({**recorded, url: actual}.items())))
        print(
            f"{url}: its sha256 is recorded in {CHECKSUMS} and required from now on: commit this file"
        )
    return file


def _recorded() -> dict[str, str]:
    """The recorded sha256 by URL. Raises `StudyError` for an unreadable file."""
    try:
        content = json.loads(CHECKSUMS.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StudyError(f"{CHECKSUMS}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise StudyError(f"{CHECKSUMS}: must be a mapping of URLs to sha256")
    return content


def download(
    url: str, partial: Path, size: int | None = None, headers: Mapping[str, str] | None = None
) -> None:
    """Append the missing bytes of `url` to `partial`, with a progress bar.

    The content of `url` never changes; `size` is its bytes, if known. A broken connection is opened again.
    The error of httpx2 is raised after `TRIES` connections without a byte, or at once if no byte arrived
    at all; `partial` keeps its bytes. Raises `StudyError` if the disk is full.
    """
    name = Path(urlsplit(url).path).name
    size_before = done = _size(partial)
    if size is not None and done > size:
        partial.unlink()
        size_before = done = 0
    failures = 0
    while done != size:
        try:
            _append(url, partial, done, size, headers or {})
            return
        except httpx2.TransportError as error:
            failures = failures + 1 if _size(partial) <= done else 1
            done = _size(partial)
            if done == size_before or failures >= TRIES:
                raise
            print(f"{name}: the connection broke ({in_short(error)}); continuing", flush=True)
            time.sleep(failures)
        except OSError as error:
            raise StudyError(f"{partial}: cannot be written: {error.strerror}") from None


def _append(
    url: str, partial: Path, done: int, size: int | None, headers: Mapping[str, str]
) -> None:
    name = Path(urlsplit(url).path).name
    wanted = {**headers, "Accept-Encoding": "identity"}
    if done:
        wanted["Range"] = f"bytes={done}-"
    with httpx2.stream(
        "GET", url, headers=wanted, timeout=TIMEOUT, follow_redirects=True
    ) as response:
        if url.startswith("https:") and response.url.scheme != "https":
            raise httpx2.UnsupportedProtocol(f"redirected to {response.url}")
        if done and response.status_code == 416:  # `partial` is longer than the file at the URL
            partial.unlink()
            return _append(url, partial, 0, size, headers)
        if response.is_error:
            response.read()
        response.raise_for_status()
        resumed = response.status_code == 206
        length = response.headers.get("Content-Length")
        total = int(length) + (done if resumed else 0) if length else size
        with (
            partial.open("ab" if resumed else "wb") as file,
            progress_bar(total, name, "B", done=done if resumed else 0) as bar,
        ):
            for block in response.iter_bytes():
                file.write(block)
                bar.update(len(block))


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise `StudyError` if the disk of `folder` has fewer than `needed` free bytes. `what`: their owner."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StudyError(
            f"{what}: needs {needed / 1e9:.1f} GB on the disk of {folder}, where {free / 1e9:.1f} GB are "
            "free: make room, or run the study on a larger disk"
        )


def in_short(error: Exception) -> str:
    """An error of httpx2 in a few words."""
    if isinstance(error, httpx2.HTTPStatusError):
        return f"status {error.response.status_code}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
