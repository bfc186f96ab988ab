"""Read every object that `dvc.lock` names from the remote and compare hashes: `check_remote.py [--repair]`.

DVC does not: where an object's name is there it takes the object as sent. Each one that is missing or
damaged is a line with the outputs that need it, and exit status 1. With --repair it is sent again, from
this machine's cache, where that has it undamaged, and read back.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from runtime.errors import StudyError
from runtime.process import run_stage
from runtime.progress import in_words, progress_bar

from dvc.repo import Repo
from dvc_data.hashfile.db import HashFileDB
from remote import is_refusal, open_remote, plain, said

PIECE = 1 << 22  # bytes read at once, of each of so many objects
READERS = 4
MISSING = "missing"


@dataclass(frozen=True)
class Locked:
    """An object that `dvc.lock` names, itself or by a directory: its name and the outputs that need it."""

    oid: str  # its MD5, of a directory's list with ".dir" behind
    paths: tuple[str, ...]

    @property
    def md5(self) -> str:
        return self.oid.removesuffix(".dir")


Fault = tuple[Locked, str]


def main() -> None:
    repair = _arguments()
    repo, odb = open_remote(reads=not repair)
    with closing(repo):
        objects = locked_objects(repo, odb)
        where = plain(repo.config["remote"][repo.config["core"]["remote"]]["url"])
        started = time.perf_counter()
        size = sum(out.meta.size or 0 for out in _outs(repo))
        with progress_bar(size, "read", "B") as bar:
            faults = find(partial(read_fault, odb, bar.update), objects)
            read = bar.n
        seconds = in_words(time.perf_counter() - started)
        print(f"{len(objects)} objects, {read:,} bytes read from {where} in {seconds}")
        tell(faults, again(repo, odb, faults) if repair else None, len(objects))


def locked_objects(repo: Repo, odb: HashFileDB) -> list[Locked]:
    """All of them, those in directories too; files before the lists of directories, as they are sent."""
    paths: dict[str, list[str]] = {}
    for out in _outs(repo):
        oid, path = out.hash_info.value, repo.fs.relpath(out.fs_path, repo.root_dir)
        paths.setdefault(oid, []).append(path)
        for entry in _entries(oid, repo.cache.local, odb) if out.hash_info.isdir else ():
            paths.setdefault(entry["md5"], []).append(f"{path}/{entry['relpath']}")
    if not paths:
        raise StudyError("dvc.lock names no object: `make repro` makes them")
    found = [Locked(oid, tuple(needing)) for oid, needing in paths.items()]
    return sorted(found, key=lambda each: (each.oid.endswith(".dir"), each.paths))


def _outs(repo: Repo) -> list[Any]:
    return [out for out in repo.index.outs if out.use_cache and out.hash_info]


def _entries(oid: str, *stores: HashFileDB) -> list[dict[str, str]]:
    """What a directory's list names, read where it is undamaged; nothing where it is so nowhere."""
    for store in stores:
        try:
            content = store.fs.cat_file(store.oid_to_path(oid))
        except Exception:  # of any library; the list is an object too: reading that tells why
            continue
        if f"{hashlib.md5(content).hexdigest()}.dir" == oid:
            entries: list[dict[str, str]] = json.loads(content)
            return entries
    return []


# --- what is wrong with an object -----------------------------------------------------------------


def find(fault: Callable[[Locked], str | None], objects: Iterable[Locked]) -> list[Fault]:
    """Ask about some objects at a time; those at fault, in their order."""
    objects = list(objects)
    with ThreadPoolExecutor(READERS) as readers:
        return [
            (each, reason)
            for each, reason in zip(objects, readers.map(fault, objects), strict=True)
            if reason is not None
        ]


def read_fault(odb: HashFileDB, done: Callable[[int], Any], each: Locked) -> str | None:
    """Read an object whole: None where it has its hash, else what it is instead."""
    digest, size = hashlib.md5(), 0
    try:
        with odb.fs.open(odb.oid_to_path(each.oid), "rb", block_size=PIECE) as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                size += len(piece)
                done(len(piece))
    except FileNotFoundError:
        return MISSING
    except Exception as error:  # of any library that speaks to a server
        return f"cannot be read: {said(error)}"
    return (
        None if digest.hexdigest() == each.md5 else f"damaged: its {size:,} bytes have another hash"
    )


def size_fault(odb: HashFileDB, cache: HashFileDB, each: Locked) -> str | None:
    """Hold an object's size against that in the cache, without reading it."""
    try:
        wanted = cache.fs.size(cache.oid_to_path(each.oid))
    except FileNotFoundError:
        return None  # nothing that could be sent
    try:
        size = odb.fs.info(odb.oid_to_path(each.oid))["size"]
    except FileNotFoundError:
        return MISSING
    except Exception as error:  # of any library that speaks to a server
        return f"cannot be asked for: {said(error)}"
    return None if size == wanted else f"damaged: {size:,} of {wanted:,} bytes"


# --- sending again --------------------------------------------------------------------------------


def again(repo: Repo, odb: HashFileDB, faults: list[Fault]) -> dict[Locked, str | None]:
    """Send objects again; of each why it could not be, or None where it was, and was read back."""
    with progress_bar(len(faults), "sent", "object") as bar:
        outcomes: dict[Locked, str | None] = {}
        for each, _ in faults:
            outcomes[each] = _resend(odb, repo.cache.local, each)
            bar.update()
    return outcomes


def _resend(odb: HashFileDB, cache: HashFileDB, each: Locked) -> str | None:
    here = read_fault(cache, lambda _: None, each)
    if here is not None:
        return f"not sent: in this machine's cache {here}"
    target = odb.oid_to_path(each.oid)
    try:
        odb.makedirs(odb.fs.parent(target))
        odb.fs.put_file(cache.oid_to_path(each.oid), target)
    except Exception as error:  # of any library that speaks to a server
        refused = "refused, you may read but not write here" if is_refusal(error) else "not sent"
        return f"{refused}: {said(error)}"
    odb.protect(target)  # as DVC does in a folder
    back = read_fault(odb, lambda _: None, each)
    return None if back is None else f"sent, but {back}"


def tell(faults: list[Fault], outcomes: dict[Locked, str | None] | None, number: int) -> None:
    """A line for each fault; a `StudyError` where one is left."""
    left = []
    for each, reason in faults:
        outcome = "" if outcomes is None else f"; {outcomes[each] or 'sent again, and read back'}"
        print(f"{', '.join(each.paths)} ({each.oid}): {reason}{outcome}")
        if outcomes is None or outcomes[each] is not None:
            left.append(each)
    if any(each.oid.endswith(".dir") for each in left):
        print(
            "a name that ends in .dir is a directory's list: without it no file in it can be pulled"
        )
    if left:
        raise StudyError(
            f"{len(left)} of {number} objects cannot be pulled from the remote. `make check-remote REPAIR=1` "
            "sends them again, where the cache has them and you may write; "
            "`dvc repro --pull` makes them anew"
        )
    print("all are as dvc.lock names them")


def _arguments() -> bool:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repair", action="store_true", help="send again what is at fault")
    return bool(parser.parse_args().repair)


if __name__ == "__main__":
    run_stage(main)
