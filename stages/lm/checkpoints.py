"""Checkpoints of a training: complete or absent, locked by one process, resumed by an equal training.

A checkpoint is the folder `checkpoints/NAME/KEY/checkpoint-STEP`: no output of a stage, because DVC
removes outputs before a stage runs. NAME is the stage, KEY a hash of everything that decides the result.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import StudyError
from runtime.files import writing
from runtime.process import RANK

from filelock import FileLock, Timeout

CHECKPOINTS = Path("checkpoints")
HOLDER = "process"  # the file with the id of the process that trains


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
    holder, lock_file = folder / HOLDER, CHECKPOINTS / f"{name}.lock"
    lock = FileLock(lock_file)
    try:
        with writing(lock_file):
            CHECKPOINTS.mkdir(exist_ok=True)
            lock.acquire(timeout=0)
    except Timeout:
        process = holder.read_text(encoding="utf-8") if holder.is_file() else "?"
        raise StudyError(
            f"{folder}: process {process} is training on these checkpoints: let it end, or end it (kill "
            f"{process}), then run this again"
        ) from None
    try:
        (folder / key).mkdir(parents=True, exist_ok=True)
        holder.write_text(str(os.getpid()), encoding="utf-8")
        yield folder / key
        removed = folder.with_name(f".{name}.partial")
        shutil.rmtree(removed, ignore_errors=True)
        folder.replace(removed)  # atomic: the next training sees all checkpoints or none
        shutil.rmtree(removed)
        lock_file.unlink()  # while it is locked: filelock notices a lock file that is gone, and tries again
    finally:
        lock.release()


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


def _flush(path: Path) -> None:
    """Flush the content of a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
