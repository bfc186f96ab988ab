"""Files and folders written atomically: readers see a complete file or none."""

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
    """Turn a write that the system refuses in the body, as on a full disk, into a `StudyError` of `path`."""
    try:
        yield
    except Exception as error:  # libraries wrap a refused write in errors of their own
        reason = None if isinstance(error, StudyError) else refused_write(error, path.parent)
        if reason is None:
            raise
        raise StudyError(f"{path}: cannot be written: {reason}") from None


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call `write` on a temporary file beside `path`, then rename the file to `path`.

    With several processes of one stage, the first process alone writes. Files are not flushed against a
    power cut: DVC does not flush either, and `make repro` checks outputs against their hashes. Raises
    `StudyError` if the system refuses the write.
    """
    if RANK:
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(f".{path.name}.*.partial"):
            if not _is_running(old.suffixes[-2][1:]):  # its process was killed during the write
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
    except PermissionError:  # a running process of another user
        return True
    return True


def place_folder(partial: Path, folder: Path) -> None:
    """Rename the complete folder `partial` to `folder`; an older `folder` is moved away, then removed.

    `folder` is complete at any moment, or absent.
    """
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
    """Write `content` as JSON, with keys in the order of `content`, atomically."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
