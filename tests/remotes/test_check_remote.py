"""check-remote names missing, damaged and truncated objects, and sends them again with --repair."""

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
    output = call(machine, place.writer, "check_remote")
    size = sum(map(len, locked.values()))
    assert output.startswith(f"5 objects, {size:,} bytes read from ")
    assert output.endswith("every object has the hash in dvc.lock\n")
    assert "of-mine" not in output  # a password

    # A file that is twice in a directory, a single file, a truncated file, a directory's list.
    single, short, listing = map(machine.name, ("mixed.csv", "weights", "rows"))
    rows = (machine.study / "rows/sorted.csv").read_bytes()
    inside = next(name for name, content in locked.items() if content == rows)
    flipped = bytearray(locked[single])
    flipped[len(flipped) // 2] ^= 1
    place.put(inside, None)
    place.put(single, bytes(flipped))
    place.put(listing, b"[]")
    place.put(short, locked[short][:1000])
    broken = place.objects()

    output = call(machine, place.writer, "check_remote")
    faults = [
        f"mixed.csv ({single}): damaged: its {len(flipped)} {HASH}",
        f"rows/more/copy.csv, rows/sorted.csv ({inside}): missing",
        f"weights ({short}): damaged: its 1,000 {HASH}",
        f"rows ({listing}): damaged: its 2 {HASH}",
    ]
    assert output.splitlines()[1:5] == faults
    assert "error: 4 of 5 objects cannot be pulled from the remote." in output
    assert place.objects() == broken  # without --repair nothing changes

    output = call(machine, place.writer, "check_remote", "--repair")
    assert output.splitlines()[1:5] == [f"{fault}; sent again and read back" for fault in faults]
    assert output.endswith("every object has the hash in dvc.lock\n")
    assert place.objects() == locked
    output = call(machine, place.writer, "check_remote")
    assert output.endswith("every object has the hash in dvc.lock\n")


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_an_object_that_is_damaged_or_missing_in_the_cache_is_never_sent(
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
    output = call(machine, place.writer, "check_remote", "--repair")
    not_sent = "not sent: in this machine's cache"
    assert f"mixed.csv ({lacking}): missing; {not_sent} missing\n" in output
    assert f"weights ({short}): missing; {not_sent} damaged: its 7 {HASH}\n" in output
    assert "error: 2 of 5 objects" in output
    assert place.objects() == before
    assert machine.object(short).read_bytes() == b"another"  # only DVC repairs the cache


@pytest.mark.parametrize("place", ["s3", "ssh", "asyncssh", "webdav"], indirect=True)
def test_a_read_only_remote_is_reported(
    machine: Machine, place: Place, fill: Fill, set_up: SetUp, call: Call
) -> None:
    fill(machine, place)
    name = machine.name("weights")
    place.put(name, b"another")
    set_up(machine, place.reader)
    output = call(machine, place.reader, "check_remote", "--repair")
    assert f"weights ({name}): damaged: its 7 {HASH}; refused, you may read but not write" in output
    assert "error: 1 of 5 objects" in output
    assert place.objects()[name] == b"another"


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_a_list_without_an_undamaged_copy_is_reported_without_its_files(
    machine: Machine, place: Place, fill: Fill, call: Call
) -> None:
    fill(machine, place)
    listing = machine.name("rows")
    place.put(listing, None)
    shutil.rmtree(machine.study / ".dvc/cache")
    output = call(machine, place.writer, "check_remote")
    assert f"rows ({listing}): missing\n" in output
    assert "without the list no file of the directory can be pulled" in output
    assert "error: 1 of 3 objects" in output


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_without_a_cache_lists_are_read_from_the_remote(
    machine: Machine, place: Place, fill: Fill, call: Call
) -> None:
    fill(machine, place)
    shutil.rmtree(machine.study / ".dvc/cache")
    output = call(machine, place.writer, "check_remote")
    assert output.startswith("5 objects, ")
    assert output.endswith("every object has the hash in dvc.lock\n")


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_a_study_that_was_never_run_is_reported(
    machine: Machine, place: Place, fill: Fill, call: Call
) -> None:
    fill(machine, place)
    (machine.study / "dvc.lock").unlink()
    output = call(machine, place.writer, "check_remote")
    assert output == "error: dvc.lock names no objects; `make repro` writes them\n"
