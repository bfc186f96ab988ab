"""Push what `dvc.lock` names to the study's remote, or pull it: `transfer.py push` or `transfer.py pull`.

It is DVC that does, once the remote has answered; a dead or refusing one is told in one line, in seconds.
Before a pull the lists of directories are hashed, which DVC leaves out. After a push sizes are compared:
where a server writes an object in place, as many do that speak WebDAV, one that was cut short keeps its
name, and DVC would take it as sent.
"""

import argparse
from contextlib import closing
from functools import partial

from runtime.errors import StudyError
from runtime.process import run_stage

from check_remote import MISSING, again, find, locked_objects, read_fault, size_fault, tell
from dvc.cli import main as dvc
from dvc.repo import Repo
from dvc_data.hashfile.db import HashFileDB
from remote import open_remote


def main() -> None:
    way = _arguments()
    repo, odb = open_remote(reads=way == "pull")
    with closing(repo):
        if way == "pull":
            _require_whole_lists(repo, odb)
        failed = dvc([way])
        if failed and way == "pull":
            raise StudyError(
                "not all could be pulled, see above. Called again it goes on from there; "
                "`make check-remote` says what the remote lacks or has damaged; `dvc repro --pull` makes "
                "that here and pulls the rest"
            )
        if failed:
            raise StudyError(
                "not all could be pushed, see above; called again it goes on from there"
            )
        if way == "push":
            objects = locked_objects(repo, odb)
            short = find(partial(size_fault, odb, repo.cache.local), objects)
            if short:
                tell(short, again(repo, odb, short), len(objects))


def _require_whole_lists(repo: Repo, odb: HashFileDB) -> None:
    """Raise `StudyError` where the list of a directory is damaged: `verify` has DVC hash files alone."""
    objects = locked_objects(repo, odb)
    lists = [each for each in objects if each.oid.endswith(".dir")]
    wanted = [
        each for each, _ in find(partial(read_fault, repo.cache.local, lambda _: None), lists)
    ]
    faults = find(partial(read_fault, odb, lambda _: None), wanted)
    damaged = [(each, reason) for each, reason in faults if reason != MISSING]
    if damaged:
        tell(damaged, None, len(objects))


def _arguments() -> str:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=("push", "pull"))
    return str(parser.parse_args().way)


if __name__ == "__main__":
    run_stage(main)
