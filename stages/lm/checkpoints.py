"""Checkpoints of a training: whole or not there, of one process alone, resumed by the same training alone.

They lie in `checkpoints/NAME/KEY/checkpoint-STEP`, outside of what DVC removes before a stage runs.
NAME is the training's own, KEY a hash of everything that decides what it ends with.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

from runtime.errors import StudyError
from runtime.process import PROCESSES, RANK

import torch

from prompts.encode import Example
from settings.model import Precision, Train

CHECKPOINTS = Path("checkpoints")
_LIBRARIES = ("accelerate", "bitsandbytes", "peft", "torch", "transformers", "trl")
_CODE = ("base.py", "batches.py", "training.py")


def training_key(
    base: Path,
    train: Sequence[Example],
    validation: Sequence[Example],
    settings: Train,
    precision: Precision,
    seed: int,
    sharded: bool = False,
) -> str:
    """A hash of everything that decides a training's adapter and losses."""
    weights = [*base.glob("*.safetensors"), base / "config.json"]
    code = [Path(__file__).with_name(name) for name in _CODE]
    decides = {
        "base": [_sha256(path) for path in sorted(weights)],
        "rows": [[[row.prompt, row.answer] for row in rows] for rows in (train, validation)],
        "settings": settings.model_dump(exclude={"checkpoint_every"}),
        "precision": precision.model_dump(),
        "seed": seed,
        "processes": PROCESSES,  # each adds its batches to an update
        "sharded": sharded,
        "code": [_sha256(path) for path in code],
        "libraries": [version(name) for name in _LIBRARIES],
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]


@contextmanager
def hold_checkpoints(name: str, key: str) -> Iterator[Path]:
    """The folder of the checkpoints of `key`, for this process alone; removed once all has ended well.

    So are then those that `name` left under other keys. The hold ends with the process, however that
    ends. Of several processes that work as one the first holds them for all. Raises `StudyError` where
    another process holds the checkpoints of `name`.
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


def keep_checkpoint(written: Path, folder: Path) -> None:
    """Put the checkpoint `written` into `folder`, on the disk for certain, in place of those before it."""
    for path in [*written.iterdir(), written]:
        _flush(path)
    kept = folder / written.name
    written.replace(kept)
    _flush(folder)
    for other in folder.glob("checkpoint-*"):
        if other != kept:
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
