"""Where fetched files are stored: the study's `.cache/`, which its experiments share."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock


def study_cache(name: str) -> Path:
    """The folder `.cache/NAME` of the study.

    `dvc exp run --temp` and `--queue` run an experiment in a copy of the study below the study's
    `.dvc/tmp/exps`, without the files that git ignores. An experiment uses the cache of its study, so
    nothing is fetched twice.
    """
    for folder in Path.cwd().parents:
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2] / ".cache" / name
    return Path(".cache") / name


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Make `folder` and hold it for this process alone: another process waits until this one is done."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(lock_file(folder)):
        yield


def lock_file(folder: Path) -> Path:
    """The file that is locked while `folder` is held: it stays, so not in a folder of outputs."""
    locks = study_cache("locks")
    locks.mkdir(parents=True, exist_ok=True)
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return locks / f"{folder.name}-{place}.lock"
