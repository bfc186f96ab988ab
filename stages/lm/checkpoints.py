"""Checkpoints of a training: complete or absent, locked by one process, resumed by an equal training.

A checkpoint is the folder `checkpoints/NAME/KEY/checkpoint-STEP`: no output of a stage, because DVC
removes outputs before a stage runs. NAME is the stage, KEY a hash of everything that decides the result.
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
    """Lock the checkpoints of `name` for this process, and yield the folder of `key`.

    If the body ends without an error, the checkpoints of `name` are removed for all keys. The lock ends
    with the process, even with a killed one. With several processes of one stage, the first process
    locks for all. Raises `StudyError` if another process holds the lock.
    """
    folder = CHECKPOINTS / name
    if RANK:
        yield folder / key
        return
    lock = _lock(folder)
    try:
        (folder / key).mkdir(exist_ok=True)
        yield folder / key
        removed = folder.with_name(f".{name}.partial")
        shutil.rmtree(removed, ignore_errors=True)
        folder.replace(removed)  # atomic: the next training sees all checkpoints or none
        shutil.rmtree(removed)
    finally:
        lock.close()


def newest_checkpoint(folder: Path) -> Path | None:
    """The last complete checkpoint, or None."""
    return max(folder.glob("checkpoint-*"), key=_step, default=None)


def place_checkpoint(written: Path, folder: Path) -> None:
    """Move the checkpoint `written` into `folder`, flushed to the disk; remove earlier checkpoints."""
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
    """Lock `folder` until the returned file is closed or the process ends.

    Raises `StudyError` if another process holds the lock.
    """
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
        # A training that ended at this moment has removed its folder, this lock file included.
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            return file
        file.close()


def _flush(path: Path) -> None:
    """Flush the content of a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
