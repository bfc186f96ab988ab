"""push, clone, pull, nothing left to do: undisturbed, cut, killed; partial, damaged, read-only remotes."""

import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from .conftest import KINDS, LARGE, STAGES, Access, Machine, Place

pytestmark = pytest.mark.faults

Clone = Callable[[Machine], Machine]
SetUp = Callable[[Machine, Access], str]
Fill = Callable[[Machine, Place], None]

MIDDLE = LARGE // 3  # bytes; all other objects together are smaller
KILLED_IN_A_COPY = f"""
import errno, os, shutil, signal
from dvc_objects.fs import system

def refuse(*_):
    raise OSError(errno.ENOTSUP, "no such links here")

def half(source, target, *_, **__):
    with open(source, "rb") as file:
        content = file.read()
    with open(target, "wb") as file:
        file.write(content[: len(content) // 2])
    if len(content) == {LARGE}:
        os.kill(os.getpid(), signal.SIGKILL)
    shutil.copyfileobj(open(source, "rb"), open(target, "wb"))

system.reflink, shutil.copyfile = refuse, half
"""


def _disturb(machine: Machine, place: Place, way: Literal["push", "pull"], tmp_path: Path) -> None:
    """Cut the connection in the middle of the large file, then kill DVC there."""
    if place.proxy is None:  # a folder has no connection to cut
        (tmp_path / "sitecustomize.py").write_text(KILLED_IN_A_COPY, encoding="utf-8")
        paths = f"{tmp_path}:{machine.environment(place.writer)['PYTHONPATH']}"
        code, output = machine.run(place.writer, "transfer", way, PYTHONPATH=paths)
        assert code == -signal.SIGKILL, output
        return
    process = machine.start(place.writer, "transfer", way)
    place.proxy.after("sent" if way == "push" else "received", MIDDLE, process.kill)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    place.proxy.after("sent" if way == "push" else "received", MIDDLE)
    code, output = machine.run(place.writer, "transfer", way)
    assert place.proxy.done.is_set()
    assert code == 0 or "\nerror: " in output, output  # DVC itself retries S3


@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_a_push_and_a_pull_that_are_cut_and_killed_go_on_when_called_again(
    machine: Machine, place: Place, set_up: SetUp, clone: Clone, tmp_path: Path
) -> None:
    set_up(machine, place.writer)
    _disturb(machine, place, "push", tmp_path)
    code, output = machine.run(place.writer, "transfer", "push")
    assert code == 0, output
    assert place.objects() == machine.locked()

    other = clone(machine)
    _disturb(other, place, "pull", tmp_path)
    code, output = other.run(place.writer, "transfer", "pull")
    assert code == 0, output
    assert other.cached() == machine.locked()
    _has_nothing_to_do(other, machine)


def _has_nothing_to_do(other: Machine, machine: Machine) -> None:
    code, output = other.run(Access(""), "dvc", "repro")
    assert code == 0, output
    assert "Running stage" not in output
    assert output.count("didn't change, skipping") == len(STAGES)
    for name in ("weights", "mixed.csv", "rows/sorted.csv", "rows/more/head.csv"):
        assert (other.study / name).read_bytes() == (machine.study / name).read_bytes()


@pytest.mark.parametrize("place", ["asyncssh"], indirect=True)
def test_without_an_sshd_another_server_replaces_it(
    machine: Machine, place: Place, set_up: SetUp, clone: Clone
) -> None:
    set_up(machine, place.writer)
    code, output = machine.run(place.writer, "transfer", "push")
    assert code == 0, output
    other = clone(machine)
    code, output = other.run(place.writer, "transfer", "pull")
    assert code == 0, output
    assert other.cached() == machine.locked() == place.objects()


@pytest.mark.parametrize("place", ["webdav"], indirect=True)
def test_a_push_sends_truncated_objects_again(machine: Machine, place: Place, fill: Fill) -> None:
    fill(machine, place)
    weights, mixed = machine.name("weights"), machine.name("mixed.csv")
    (inside, *_) = sorted(machine.locked().keys() - {weights, mixed, machine.name("rows")})
    place.put(weights, machine.locked()[weights][:1000])
    place.put(inside, None)  # its directory's list exists, so DVC does not check it
    code, output = machine.run(place.writer, "transfer", "push")
    assert code == 0, output
    assert (
        f"weights ({weights}): damaged: 1,000 of {LARGE:,} bytes; sent again and read back"
        in output
    )
    assert f"({inside}): missing; sent again and read back" in output
    assert place.objects() == machine.locked()


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_with_a_partial_remote_only_missing_outputs_are_computed(
    machine: Machine, place: Place, fill: Fill, clone: Clone
) -> None:
    fill(machine, place)
    place.put(machine.name("mixed.csv"), None)
    other = clone(machine)
    code, output = other.run(place.writer, "transfer", "pull")
    assert code == 1
    assert "`dvc repro --pull` computes them here" in output
    code, output = other.run(place.writer, "dvc", "repro", "--pull")
    assert code == 0, output
    assert _ran(output) == ["mixed"]
    assert other.locked() == machine.locked()


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_after_an_edit_only_affected_stages_are_run_and_pulled(
    machine: Machine, place: Place, fill: Fill, clone: Clone
) -> None:
    fill(machine, place)
    place.put(machine.name("mixed.csv"), None)
    other = clone(machine)
    pipeline = other.study / "dvc.yaml"
    edited = pipeline.read_text(encoding="utf-8").replace("cat rows", "cat -n rows")
    pipeline.write_text(edited, encoding="utf-8")
    code, output = other.run(place.writer, "dvc", "repro", "--pull", "--allow-missing")
    assert code == 0, output
    assert _ran(output) == ["mixed"]
    assert (other.study / "mixed.csv").read_text(encoding="utf-8").startswith("     1\t")
    assert not (other.study / "weights").exists()


def _ran(output: str) -> list[str]:
    """The stages that ran."""
    return re.findall(r"Running stage '(\w+)'", output)


@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_a_damaged_object_never_arrives(
    machine: Machine, place: Place, fill: Fill, clone: Clone
) -> None:
    fill(machine, place)
    short, flipped = machine.name("weights"), machine.name("mixed.csv")
    place.put(short, machine.locked()[short][:-1])
    place.put(flipped, machine.locked()[flipped].swapcase())
    whole = {name: machine.locked()[name] for name in machine.locked().keys() - {short, flipped}}

    other = clone(machine)
    code, output = other.run(place.writer, "transfer", "pull")
    assert code == 1
    assert "error: some objects could not be pulled" in output
    assert other.cached() == whole
    assert not (other.study / "weights").exists()
    assert not (other.study / "mixed.csv").exists()


@pytest.mark.parametrize("place", ["webdav"], indirect=True)
def test_a_damaged_list_of_a_directory_never_arrives(
    machine: Machine, place: Place, fill: Fill, clone: Clone
) -> None:
    fill(machine, place)
    listing = machine.name("rows")
    place.put(listing, machine.locked()[listing].replace(b"sorted", b"sordid"))
    other = clone(machine)
    code, output = other.run(place.writer, "transfer", "pull")
    assert code == 1
    assert output.startswith(f"rows ({listing}): damaged: its ")
    assert other.cached() == {}
    assert not (other.study / "rows").exists()


@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_a_read_only_remote_can_be_pulled_from_and_a_push_reports_the_refusal(
    machine: Machine, place: Place, set_up: SetUp, fill: Fill, clone: Clone
) -> None:
    fill(machine, place)
    if subprocess.run([*place.reader.within, "true"], capture_output=True).returncode:
        pytest.skip("no mount namespace may be made here")
    set_up(machine, place.reader)
    other = clone(machine)
    code, output = other.run(place.reader, "transfer", "pull")
    assert code == 0, output
    assert other.cached() == machine.locked()

    place.put(machine.name("weights"), None)
    before = place.objects()
    code, output = machine.run(place.reader, "transfer", "push")
    assert code == 1
    assert "error: some objects could not be pushed" in output
    assert place.objects() == before
