"""Files on this computer that a source names: which they are, and that no change passes unseen."""

import glob
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import StudyError, shown
from runtime.hashing import sha256_of
from runtime.yaml_file import read_yaml

RAW = Path("data/raw")
DVC = Path("dvc.yaml")


def find_files(split: str, place: str) -> list[Path]:
    """The files at a path, or the files of a pattern in the order of their names.

    Raises `StudyError` where there is no file, and for a file that cannot be opened.
    """
    # A path that exists is no pattern, whatever brackets its name has.
    names = [place] if os.path.lexists(place) else sorted(glob.glob(place, recursive=True))
    if not names:
        raise StudyError(f"sources: splits.{split} = {shown(place)}: no such file")
    paths = [Path(name) for name in names]
    for path in paths:
        with readable(path):
            mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "Is a directory" if stat.S_ISDIR(mode) else "Is no file but a pipe or a device"
            raise StudyError(f"{path_name(path)}: cannot be read: {what}")
    return paths


def path_name(path: Path) -> str:
    """The path as text that UTF-8 can encode, whatever bytes the path has."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the system's error about a file that cannot be read into a `StudyError`."""
    try:
        yield
    except OSError as error:
        link = f" (a link to {os.readlink(path)})" if path.is_symlink() else ""
        raise StudyError(f"{path_name(path)}{link}: cannot be read: {error.strerror}") from None


def require_pinned(split: str, place: str, paths: list[Path], sha256: str | None) -> None:
    """Raise `StudyError` for files that neither DVC watches nor `sha256` pins."""
    in_raw = all(path.resolve().is_relative_to(RAW.resolve()) for path in paths)
    if in_raw and sha256 is None:
        for path in paths:
            if not _is_watched(path):
                raise StudyError(
                    f"{path_name(path)}: dvc.yaml does not watch this file, so that a change would "
                    "pass unseen: run `make pipeline`, then this again"
                )
        return
    with readable(paths[0]):
        actual = sha256_of(*paths)
    if sha256 is None:
        raise StudyError(
            f"sources: splits.{split} = {shown(place)} lies outside {RAW}/, where DVC sees no change: "
            f"put it there, or pin it with\n  sha256:\n    {split}: {actual}"
        )
    if actual != sha256:
        raise StudyError(
            f"sources: splits.{split} = {shown(place)} has the sha256 {actual}, not {sha256} as in the "
            "profile: the data changed; correct sha256 if that is meant"
        )


def _is_watched(path: Path) -> bool:
    """Whether the deps of `prepare` in dvc.yaml name the file or a folder above it."""
    if not DVC.is_file():  # the stage runs by hand, without DVC
        return True
    watched = read_yaml(DVC)["stages"]["prepare"]["deps"]
    return any(path.is_relative_to(dependency) for dependency in watched)
