"""Checkpoints of a training: whole or not there, of one process alone, resumed by the same training alone.

They lie in `checkpoints/NAME/KEY/checkpoint-STEP`, outside of what DVC removes before a stage runs.
NAME is the training's own, KEY a hash of everything that decides what it ends with.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from runtime.errors import StudyError
from runtime.process import RANK

CHECKPOINTS = Path("checkpoints")


@contextmanager
def hold_checkpoints(name: str, key: str) -> Iterator[Path]:
    """Lock the checkpoints of `name` for this process; yield the folder of those of `key`.

    When the body ends without an error, all checkpoints of `name` are removed, those of other keys
    too. The lock ends with the process, however the process ends. Of several processes that work as
    one, the first locks for all. Raises `StudyError` where another process holds the lock.
    """
    folder = CHECKPOINTS / name
    if RANK:
        yield folder / key
        return
    lock = _lock(folder)
    try:
        (folder / key).mkdir(exist_ok=True)
        yield folder / key
        ended = folder.with_name(f".{name}.partial")
        shutil.rmtree(ended, ignore_errors=True)
        folder.replace(ended)  # all at once: the next trainer finds everything or nothing
        shutil.rmtree(ended)
    finally:
        lock.close()


def newest_checkpoint(folder: Path) -> Path | None:
    """The last whole checkpoint, where there is one."""
    return max(folder.glob("checkpoint-*"), key=_step, default=None)


def place_checkpoint(written: Path, folder: Path) -> None:
    """Put the checkpoint `written` into `folder`, on the disk for certain, in place of those before it."""
    for path in [*written.iterdir(), written]:
        _flush(path)
    placed = folder / written.name
    written.replace(placed)
    _flush(folder)
    for other in folder.glob("checkpoint-*"):
        if other != placed:
            shutil.rmtree(other)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _lock(folder: Path) -> TextIO:
    """Lock `folder`; the lock lasts until the file is closed or the process is gone."""
    path = folder / "lock"
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read()
            file.close()
            raise StudyError(
                f"{folder}: process {holder} is training on these checkpoints: let it end, or end "
                f"it (kill {holder}), then run this again"
            ) from None
        # A trainer that ended just now has taken its folder, and this lock with it, away.
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            return file
        file.close()


def _flush(path: Path) -> None:
    """Let the disk itself have a file's or a folder's content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
