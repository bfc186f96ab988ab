"""Remove files that a killed DVC left half-written and cache objects that a disk damaged.

`dvc repro` then writes them again. DVC writes `dvc.lock` and `.dvc/tmp/rwlock` in place and cannot read
them after a kill or a full disk in the middle of a write. It also never checks whether an object in its
cache still has the MD5 in its name. `make repro` starts with this script. It prints nothing if all is well.
"""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.rwlock import RWLOCK_FILE, RWLockFileCorruptedError, RWLockFileFormatError, _edit_rwlock

LOCK = Path("dvc.lock")
CONFLICT = b"<<<<<<<"  # git's, for a person to resolve


def main() -> None:
    with Repo() as repo:
        try:
            with repo.lock:
                mend_users(repo)
                mend_cache(Path(repo.cache.local.path), mend_lock(repo))
        except LockError:
            return  # DVC is running: a half-written file may be complete in a moment


def mend_users(repo: Repo) -> None:
    """Remove DVC's list of the processes that use files (`.dvc/tmp/rwlock`) if it cannot be read."""
    try:
        with _edit_rwlock(repo.tmp_dir, repo.fs, repo.config["core"].get("hardlink_lock", False)):
            pass
    except (RWLockFileCorruptedError, RWLockFileFormatError):
        path = Path(repo.tmp_dir) / RWLOCK_FILE
        path.unlink()
        print(f"{path.relative_to(repo.root_dir)}: was half-written and is removed")


def mend_lock(repo: Repo) -> dict[str, Any]:
    """The stages in `dvc.lock`. If it cannot be read, restore git's version, or remove it without one.

    No stage reruns because of this: DVC's run cache contains the newer results.
    """
    lock = Lockfile(repo, str(LOCK))
    try:
        return lock.load().get("stages", {})
    except DvcException:
        if CONFLICT in LOCK.read_bytes():
            return {}
    checkout = ["git", "checkout", "--quiet", "--", str(LOCK)]
    if subprocess.run(checkout, capture_output=True, check=False).returncode:
        LOCK.unlink()
    print(f"{LOCK}: was half-written; `dvc repro` completes it from its cache")
    return lock.load().get("stages", {})


def mend_cache(cache: Path, stages: dict[str, Any]) -> None:
    """Remove objects whose MD5 differs from their name, and the outputs that contain them."""
    damaged = {
        path.parent.name + path.name: path
        for path in cache.glob("??/*")
        if len(path.stem) == 30 and _md5(path) != path.parent.name + path.stem
    }
    if not damaged:
        return
    for stage in stages.values():
        for out in stage.get("outs", ()):
            if not damaged.keys().isdisjoint(_objects(cache, out["md5"])):
                _remove(Path(out["path"]))
                print(f"{out['path']}: damaged in DVC's cache; `dvc repro` writes it again")
    for path in damaged.values():
        path.unlink()
        print(f"{path}: is damaged and is removed")


def _objects(cache: Path, name: str) -> list[str]:
    """The object names of an output; for a folder: its listing and its files."""
    listing = cache / name[:2] / name[2:]
    if listing.suffix != ".dir" or not listing.is_file():
        return [name]
    try:
        return [name, *(entry["md5"] for entry in json.loads(listing.read_bytes()))]
    except ValueError:  # the listing is damaged
        return [name]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


if __name__ == "__main__":
    main()
