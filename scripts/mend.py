"""Take away what a killed DVC has left half-written and what a disk has damaged: `dvc repro` makes it anew.

DVC writes `dvc.lock` and its list of who uses which file in place, and refuses either where it was killed,
or the disk was full, in the midst of that. And it never reads an object of its cache again to see whether
its bytes are still those that its name tells. `make repro` begins with this, which says nothing where all is
well.
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
            return  # a DVC is at work: what is half-written may be whole in a moment


def mend_users(repo: Repo) -> None:
    """Remove DVC's list of who uses which file where it cannot be read."""
    try:
        with _edit_rwlock(repo.tmp_dir, repo.fs, repo.config["core"].get("hardlink_lock", False)):
            pass
    except (RWLockFileCorruptedError, RWLockFileFormatError):
        path = Path(repo.tmp_dir) / RWLOCK_FILE
        path.unlink()
        print(f"{path.relative_to(repo.root_dir)}: was half-written, and is removed")


def mend_lock(repo: Repo) -> dict[str, Any]:
    """The stages in `dvc.lock`; where it cannot be read, take the one that git knows, or none.

    DVC's run cache has what every stage gave since: nothing is run again for this.
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
    print(f"{LOCK}: was half-written; `dvc repro` completes it out of its cache")
    return lock.load().get("stages", {})


def mend_cache(cache: Path, stages: dict[str, Any]) -> None:
    """Remove objects that are not what their names tell, and the outputs that they are a part of."""
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
                print(f"{out['path']}: a part of it is damaged in DVC's cache: it is made again")
    for path in damaged.values():
        path.unlink()
        print(f"{path}: is damaged, and is removed")


def _objects(cache: Path, name: str) -> list[str]:
    """The objects of an output: its own and, of a folder, those of its files."""
    listing = cache / name[:2] / name[2:]
    if listing.suffix != ".dir" or not listing.is_file():
        return [name]
    try:
        return [name, *(entry["md5"] for entry in json.loads(listing.read_bytes()))]
    except ValueError:  # it is damaged itself
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
