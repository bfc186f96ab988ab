"""Where fetched files are kept: the study's `.cache/`, which its experiments share."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def study_cache(name: str) -> Path:
    """The folder `.cache/NAME` of the study.

    `dvc exp run --temp` and `--queue` run an experiment in a copy of the study below its
    `.dvc/tmp/exps`, without what git ignores: there it is the study's own, so nothing is fetched twice.
    """
    for folder in Path.cwd().parents:
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2] / ".cache" / name
    return Path(".cache") / name


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Make `folder` and hold it for this process alone: another one waits until this one is done."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
