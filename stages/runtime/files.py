"""Files and folders that readers see whole or not at all."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runtime.errors import StudyError, refused_write
from runtime.process import RANK


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let a write in here that the system refuses, such as on a full disk, be a `StudyError` of `path`."""
    try:
        yield
    except Exception as error:
        if isinstance(error, StudyError) or (told := refused_write(error, path.parent)) is None:
            raise
        raise StudyError(f"{path}: cannot be written: {told}") from None


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a neighbour of `path`, then put it in place: readers see all or nothing.

    Of several processes that work as one the first alone writes. Nothing is flushed for the sake of a
    power cut: DVC flushes neither, and `make repro` holds what it keeps against its hashes.
    """
    if RANK:
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(f".{path.name}.*.partial"):
            if not _is_running(old.suffixes[-2][1:]):  # it was killed while it wrote
                old.unlink(missing_ok=True)
        try:
            write(partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another person's
        return True
    return True


def place_folder(partial: Path, folder: Path) -> None:
    """Put the whole folder `partial` at `folder`, where at no time a part of it or of an older one is."""
    old = folder.with_name(f".{folder.name}.old.partial")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    partial.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with Unix line ends, atomically."""

    def write(partial: Path) -> None:
        partial.write_bytes(text.encode("utf-8"))

    write_atomically(path, write)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as JSON, keys in their own order, atomically."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
