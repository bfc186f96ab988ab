"""Push the outputs in `dvc.lock` to the study's remote, or pull them: `transfer.py push` or `pull`.

The script first checks that the remote answers; if not, it fails within seconds with one line. Then DVC
transfers the objects. Before a pull the script also verifies the lists of directories, which DVC does not.
After a push it compares sizes: many WebDAV servers keep a truncated object under its full name, and DVC
would treat it as sent.
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
                "some objects could not be pulled, see above. Run it again to continue; "
                "`make check-remote` lists missing and damaged objects; `dvc repro --pull` computes them "
                "here and pulls the rest"
            )
        if failed:
            raise StudyError(
                "some objects could not be pushed, see above; run it again to continue"
            )
        if way == "push":
            objects = locked_objects(repo, odb)
            faults = find(partial(size_fault, odb, repo.cache.local), objects)
            if faults:
                tell(faults, again(repo, odb, faults), len(objects))


def _require_whole_lists(repo: Repo, odb: HashFileDB) -> None:
    """Raise `StudyError` if a directory's list is damaged: DVC's `verify` only hashes files."""
    objects = locked_objects(repo, odb)
    lists = [locked for locked in objects if locked.oid.endswith(".dir")]
    cache_faults = find(partial(read_fault, repo.cache.local, lambda _: None), lists)
    to_pull = [locked for locked, _ in cache_faults]
    faults = find(partial(read_fault, odb, lambda _: None), to_pull)
    damaged = [(locked, reason) for locked, reason in faults if reason != MISSING]
    if damaged:
        tell(damaged, None, len(objects))


def _arguments() -> str:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=("push", "pull"))
    return str(parser.parse_args().way)


if __name__ == "__main__":
    run_stage(main)
