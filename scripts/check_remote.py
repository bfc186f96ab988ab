"""Read every object that `dvc.lock` names from the remote and compare hashes: `check_remote.py [--repair]`.

DVC itself only checks that the object's name exists. For each missing or damaged object the script prints
a line with the outputs that need it. Exit status 1 if there is one. With --repair the script sends such
objects again from this machine's cache, if they are undamaged there, and reads them back.
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

PIECE = 1 << 22  # bytes that each reader reads at once
READERS = 4
MISSING = "missing"


@dataclass(frozen=True)
class Locked:
    """An object that `dvc.lock` names directly or through a directory's list."""

    oid: str  # its MD5; ".dir" follows for a directory's list
    paths: tuple[str, ...]  # the outputs that need the object

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
    """All objects, including files in directories. Files come before lists, in the order that DVC sends."""
    paths: dict[str, list[str]] = {}
    for out in _outs(repo):
        oid, path = out.hash_info.value, repo.fs.relpath(out.fs_path, repo.root_dir)
        paths.setdefault(oid, []).append(path)
        for entry in _entries(oid, repo.cache.local, odb) if out.hash_info.isdir else ():
            paths.setdefault(entry["md5"], []).append(f"{path}/{entry['relpath']}")
    if not paths:
        raise StudyError("dvc.lock names no objects; `make repro` writes them")
    objects = [Locked(oid, tuple(outputs)) for oid, outputs in paths.items()]
    return sorted(objects, key=lambda locked: (locked.oid.endswith(".dir"), locked.paths))


def _outs(repo: Repo) -> list[Any]:
    return [out for out in repo.index.outs if out.use_cache and out.hash_info]


def _entries(oid: str, *stores: HashFileDB) -> list[dict[str, str]]:
    """The entries of a directory's list, from the first store with an undamaged copy; [] if none has one."""
    for store in stores:
        try:
            content = store.fs.cat_file(store.oid_to_path(oid))
        except Exception:  # from any library; `read_fault` reports the reason later
            continue
        if f"{hashlib.md5(content).hexdigest()}.dir" == oid:
            entries: list[dict[str, str]] = json.loads(content)
            return entries
    return []


# --- what is wrong with an object -----------------------------------------------------------------


def find(fault: Callable[[Locked], str | None], objects: Iterable[Locked]) -> list[Fault]:
    """The objects with a fault, in order, each with its reason. Several are read in parallel."""
    objects = list(objects)
    with ThreadPoolExecutor(READERS) as readers:
        return [
            (locked, reason)
            for locked, reason in zip(objects, readers.map(fault, objects), strict=True)
            if reason is not None
        ]


def read_fault(odb: HashFileDB, done: Callable[[int], Any], each: Locked) -> str | None:
    """Read a whole object: None if its hash is right, else what is wrong. `done` receives byte counts."""
    digest, size = hashlib.md5(), 0
    try:
        with odb.fs.open(odb.oid_to_path(each.oid), "rb", block_size=PIECE) as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                size += len(piece)
                done(len(piece))
    except FileNotFoundError:
        return MISSING
    except Exception as error:  # from any library that talks to a server
        return f"cannot be read: {said(error)}"
    return (
        None if digest.hexdigest() == each.md5 else f"damaged: its {size:,} bytes have another hash"
    )


def size_fault(odb: HashFileDB, cache: HashFileDB, each: Locked) -> str | None:
    """Compare an object's size with its size in the cache; None if equal, else what is wrong."""
    try:
        expected_size = cache.fs.size(cache.oid_to_path(each.oid))
    except FileNotFoundError:
        return None  # the cache lacks it, so it cannot be sent
    try:
        size = odb.fs.info(odb.oid_to_path(each.oid))["size"]
    except FileNotFoundError:
        return MISSING
    except Exception as error:  # from any library that talks to a server
        return f"its size cannot be read: {said(error)}"
    return None if size == expected_size else f"damaged: {size:,} of {expected_size:,} bytes"


# --- sending again --------------------------------------------------------------------------------


def again(repo: Repo, odb: HashFileDB, faults: list[Fault]) -> dict[Locked, str | None]:
    """Send objects again and read them back; {object: None, or why that failed}."""
    with progress_bar(len(faults), "sent", "object") as bar:
        outcomes: dict[Locked, str | None] = {}
        for locked, _ in faults:
            outcomes[locked] = _resend(odb, repo.cache.local, locked)
            bar.update()
    return outcomes


def _resend(odb: HashFileDB, cache: HashFileDB, locked: Locked) -> str | None:
    cache_fault = read_fault(cache, lambda _: None, locked)
    if cache_fault is not None:
        return f"not sent: in this machine's cache {cache_fault}"
    target = odb.oid_to_path(locked.oid)
    try:
        odb.makedirs(odb.fs.parent(target))
        odb.fs.put_file(cache.oid_to_path(locked.oid), target)
    except Exception as error:  # from any library that talks to a server
        reason = "refused, you may read but not write here" if is_refusal(error) else "not sent"
        return f"{reason}: {said(error)}"
    odb.protect(target)  # as DVC does in a folder
    remote_fault = read_fault(odb, lambda _: None, locked)
    return None if remote_fault is None else f"sent, but {remote_fault}"


def tell(faults: list[Fault], outcomes: dict[Locked, str | None] | None, number: int) -> None:
    """Print a line for each fault. Raises `StudyError` if a fault is not repaired."""
    unrepaired = []
    for locked, reason in faults:
        outcome = "" if outcomes is None else f"; {outcomes[locked] or 'sent again and read back'}"
        print(f"{', '.join(locked.paths)} ({locked.oid}): {reason}{outcome}")
        if outcomes is None or outcomes[locked] is not None:
            unrepaired.append(locked)
    if any(locked.oid.endswith(".dir") for locked in unrepaired):
        print(
            "an object whose name ends in .dir is a directory's list: without the list no file of the "
            "directory can be pulled"
        )
    if unrepaired:
        raise StudyError(
            f"{len(unrepaired)} of {number} objects cannot be pulled from the remote. "
            "`make check-remote REPAIR=1` sends them again if your cache has them and you may write; "
            "`dvc repro --pull` computes them again"
        )
    print("every object has the hash in dvc.lock")


def _arguments() -> bool:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--repair", action="store_true", help="send missing and damaged objects again"
    )
    return bool(parser.parse_args().repair)


if __name__ == "__main__":
    run_stage(main)
