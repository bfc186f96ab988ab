"""A file at a URL: fetched once, taken up again where a download was cut, and held to its checksum."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from runtime.errors import StudyError
from runtime.files import write_json
from runtime.progress import BAR_SECONDS

import httpx2
from tqdm import tqdm

from fetch.cache import hold, study_cache
from fetch.packages import sha256_of

# The sha256 of every file that was fetched from a URL without one in the profile, as it was at its
# first load: in git, so that all clones hold later loads against it. No stage reads it as data (the
# URL already names a commit), so it is no dep of a stage, and no out of one.
CHECKSUMS = Path("data/checksums.json")

TRIES = 4  # in a row without a byte, once a download has begun
TIMEOUT = httpx2.Timeout(10, read=30)  # seconds


def fetch_file(url: str, sha256: str | None) -> Path:
    """Give the file at `url`, from `.cache/files/` or, the first time, from the network.

    `sha256` pins its content; without one, that of the first load is recorded and held from then on.
    Raises `StudyError` where the file cannot be had or is another one.
    """
    folder = study_cache("files") / hashlib.sha256(url.encode()).hexdigest()[:16]
    with hold(folder):
        return _fetch(url, sha256, folder / Path(urlsplit(url).path).name)


def _fetch(url: str, sha256: str | None, file: Path) -> Path:
    recorded = _recorded()
    pinned = sha256 or recorded.get(url)
    if file.is_file():
        found = sha256_of(file)
        if pinned == found:
            return file
        file.unlink()  # damaged, or not ours to vouch for: fetch it again
    partial = file.with_name(f".{file.name}.partial")
    try:
        download(url, partial)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise StudyError(
            f"{url}: cannot be fetched ({told(error)}): is the address right, the network up? What "
            "has come is kept, and the stage goes on from there when it is run again"
        ) from None
    found = sha256_of(partial)
    if pinned not in (None, found):
        partial.unlink()
        where = "the profile" if sha256 else CHECKSUMS
        raise StudyError(
            f"{url}: has the sha256 {found}, not {pinned} as in {where}: the file changed or was "
            f"damaged on its way; run the stage again, or correct {where} if the change is meant"
        )
    partial.replace(file)
    if pinned is None:
        write_json(CHECKSUMS, dict(sorted({**recorded, url: found}.items())))
        print(
            f"{url}: its sha256 is recorded in {CHECKSUMS} and held from now on: commit that file"
        )
    return file


def _recorded() -> dict[str, str]:
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
    """Append to `partial` the bytes of `url` that it lacks, showing progress.

    What never changes stands at `url`, of `size` bytes where that is known. A connection that breaks
    is taken up again; after `TRIES` without a byte, or at once if none has come at all, the error of
    httpx2 is raised and `partial` keeps what it has. Raises `StudyError` where the disk is full.
    """
    name = Path(urlsplit(url).path).name
    first = have = _size(partial)
    if size is not None and have > size:
        partial.unlink()
        first = have = 0
    failures = 0
    while have != size:
        try:
            _append(url, partial, have, size, headers or {})
            return
        except httpx2.TransportError as error:
            failures = failures + 1 if _size(partial) <= have else 1
            have = _size(partial)
            if have == first or failures >= TRIES:
                raise
            print(f"{name}: the connection broke ({told(error)}); going on", flush=True)
            time.sleep(failures)
        except OSError as error:
            raise StudyError(f"{partial}: cannot be written: {error.strerror}") from None


def _append(
    url: str, partial: Path, have: int, size: int | None, headers: Mapping[str, str]
) -> None:
    wanted = {**headers, "Accept-Encoding": "identity"}
    if have:
        wanted["Range"] = f"bytes={have}-"
    with httpx2.stream(
        "GET", url, headers=wanted, timeout=TIMEOUT, follow_redirects=True
    ) as response:
        if url.startswith("https:") and response.url.scheme != "https":
            raise httpx2.UnsupportedProtocol(f"redirected to {response.url}")
        if have and response.status_code == 416:  # the file ends before what is there: not its part
            partial.unlink()
            return _append(url, partial, 0, size, headers)
        if response.is_error:
            response.read()
        response.raise_for_status()
        resumed = response.status_code == 206
        length = response.headers.get("Content-Length")
        total = int(length) + (have if resumed else 0) if length else size
        with (
            partial.open("ab" if resumed else "wb") as file,
            tqdm(
                desc=Path(urlsplit(url).path).name,
                total=total,
                initial=have if resumed else 0,
                unit="B",
                unit_scale=True,
                mininterval=BAR_SECONDS,
            ) as bar,
        ):
            for block in response.iter_bytes():
                file.write(block)
                bar.update(len(block))


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise `StudyError` where the disk that `folder` is on has fewer than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StudyError(
            f"{what}: needs {needed / 1e9:.1f} GB on the disk, {folder} has {free / 1e9:.1f} GB free: "
            "make room, or run the study on a larger disk"
        )


def told(error: Exception) -> str:
    """An error of httpx2 in a few words."""
    if isinstance(error, httpx2.HTTPStatusError):
        return f"status {error.response.status_code}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
