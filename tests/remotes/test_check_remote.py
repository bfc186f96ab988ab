"""check-remote names what is missing, damaged or cut short, and sends it again where asked."""

import shutil
from collections.abc import Callable

import pytest

from .conftest import KINDS, Access, Machine, Place

pytestmark = pytest.mark.faults

Call = Callable[..., str]
Fill = Callable[[Machine, Place], None]
SetUp = Callable[[Machine, Access], str]

HASH = "bytes have another hash"


@pytest.mark.parametrize("place", [*KINDS, "asyncssh"], indirect=True)
def test_each_fault_is_named_and_mended(
    machine: Machine, place: Place, fill: Fill, call: Call
) -> None:
    fill(machine, place)
    locked = machine.locked()
    said = call(machine, place.writer, "check_remote")
    size = sum(map(len, locked.values()))
    assert said.startswith(f"5 objects, {size:,} bytes read from ")
    assert said.endswith("all are as dvc.lock names them\n")
    assert "of-mine" not in said  # a password

    # A file that is twice in a directory, one of its own, one cut short, a directory's list.
    alone, short, listed = map(machine.name, ("mixed.csv", "weights", "rows"))
    rows = (machine.study / "rows/sorted.csv").read_bytes()
    inside = next(name for name, content in locked.items() if content == rows)
    flipped = bytearray(locked[alone])
    flipped[len(flipped) // 2] ^= 1
    place.put(inside, None)
    place.put(alone, bytes(flipped))
    place.put(listed, b"[]")
    place.put(short, locked[short][:1000])
    broken = place.objects()

    said = call(machine, place.writer, "check_remote")
    faults = [
        f"mixed.csv ({alone}): damaged: its {len(flipped)} {HASH}",
        f"rows/more/copy.csv, rows/sorted.csv ({inside}): missing",
        f"weights ({short}): damaged: its 1,000 {HASH}",
        f"rows ({listed}): damaged: its 2 {HASH}",
    ]
    assert said.splitlines()[1:5] == faults
    assert "error: 4 of 5 objects cannot be pulled from the remote." in said
    assert place.objects() == broken  # nothing is changed that was not asked for

    said = call(machine, place.writer, "check_remote", "--repair")
    assert said.splitlines()[1:5] == [f"{fault}; sent again, and read back" for fault in faults]
    assert said.endswith("all are as dvc.lock names them\n")
    assert place.objects() == locked
    said = call(machine, place.writer, "check_remote")
    assert said.endswith("all are as dvc.lock names them\n")


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_what_the_cache_has_damaged_or_lacks_is_never_sent(
    machine: Machine, place: Place, fill: Fill, call: Call
) -> None:
    fill(machine, place)
    lacking, short = machine.name("mixed.csv"), machine.name("weights")
    place.put(lacking, None)
    place.put(short, None)
    before = place.objects()
    machine.object(lacking).unlink()
    machine.object(short).chmod(0o644)
    machine.object(short).write_bytes(b"another")
    said = call(machine, place.writer, "check_remote", "--repair")
    here = "not sent: in this machine's cache"
    assert f"mixed.csv ({lacking}): missing; {here} missing\n" in said
    assert f"weights ({short}): missing; {here} damaged: its 7 {HASH}\n" in said
    assert "error: 2 of 5 objects" in said
    assert place.objects() == before
    assert machine.object(short).read_bytes() == b"another"  # the cache is DVC's to mend


@pytest.mark.parametrize("place", ["s3", "ssh", "asyncssh", "webdav"], indirect=True)
def test_a_remote_that_may_only_be_read_is_told(
    machine: Machine, place: Place, fill: Fill, set_up: SetUp, call: Call
) -> None:
    fill(machine, place)
    name = machine.name("weights")
    place.put(name, b"another")
    set_up(machine, place.reader)
    said = call(machine, place.reader, "check_remote", "--repair")
    assert f"weights ({name}): damaged: its 7 {HASH}; refused, you may read but not write" in said
    assert "error: 1 of 5 objects" in said
    assert place.objects()[name] == b"another"


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_a_list_that_is_nowhere_undamaged_is_told_without_its_files(
    machine: Machine, place: Place, fill: Fill, call: Call
) -> None:
    fill(machine, place)
    listed = machine.name("rows")
    place.put(listed, None)
    shutil.rmtree(machine.study / ".dvc/cache")
    said = call(machine, place.writer, "check_remote")
    assert f"rows ({listed}): missing\n" in said
    assert "without it no file in it can be pulled" in said
    assert "error: 1 of 3 objects" in said


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_without_a_cache_lists_are_read_from_the_remote(
    machine: Machine, place: Place, fill: Fill, call: Call
) -> None:
    fill(machine, place)
    shutil.rmtree(machine.study / ".dvc/cache")
    said = call(machine, place.writer, "check_remote")
    assert said.startswith("5 objects, ")
    assert said.endswith("all are as dvc.lock names them\n")


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_a_study_that_was_never_run_is_told(
    machine: Machine, place: Place, fill: Fill, call: Call
) -> None:
    fill(machine, place)
    (machine.study / "dvc.lock").unlink()
    said = call(machine, place.writer, "check_remote")
    assert said == "error: dvc.lock names no object: `make repro` makes them\n"
