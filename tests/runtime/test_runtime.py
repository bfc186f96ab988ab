"""What all stages do alike."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from runtime.errors import StudyError
from runtime.files import place_folder, write_atomically, write_text, writing

import pytest


def test_a_console_that_lacks_a_sign_ends_no_stage(repo: Path) -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "from runtime.process import run_stage; run_stage(lambda: print('a … b'))",
        ],
        env={**os.environ, "PYTHONPATH": str(repo / "stages"), "PYTHONIOENCODING": "ascii"},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert said == b"a \\u2026 b\n"


def test_what_a_killed_process_has_left_goes_and_what_a_living_one_writes_stays(
    tmp_path: Path,
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for process in (ended.pid, os.getppid()):
        (tmp_path / f".a.json.{process}.partial").touch()
    write_text(tmp_path / "a.json", "{}")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"a.json", f".a.json.{os.getppid()}.partial"}


def fails(error: Exception) -> Callable[[Path], None]:
    def write(partial: Path) -> None:
        partial.write_text("half")
        raise error

    return write


SERIALIZED = "Error while serializing: I/O error: No space left on device (os error 28)"
TORCH = "[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device: make room"),
        (
            OSError(errno.EFBIG, "File too large"),
            r"File too large: allow larger files \(ulimit -f\)",
        ),
        (RuntimeError(SERIALIZED), "No space left on device: make room on its disk"),  # safetensors
        (RuntimeError(TORCH), "unexpected pos 576 vs 534: the disk may be full: make"),
    ],
)
def test_a_write_that_is_refused_is_one_message_and_leaves_what_there_was(
    tmp_path: Path, error: Exception, reason: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(StudyError, match=f"a.json: cannot be written: {reason}"):
        write_atomically(path, fails(error))
    assert [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    "error", [ValueError("no"), PermissionError(errno.EACCES, "no", "/elsewhere/read")]
)
def test_another_fault_keeps_its_traceback(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error), match="no"):
        write_atomically(tmp_path / "a.json", fails(error))
    with pytest.raises(StudyError, match="a mistake"), writing(tmp_path):
        raise StudyError("a mistake")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    for name in ("new", "folder", ".folder.old.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    place_folder(tmp_path / "new", tmp_path / "folder")
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == [
        "folder",
        "folder/new",
    ]


def test_a_full_disk_under_the_screens_file_is_one_message(repo: Path) -> None:
    code = "from runtime.process import run_stage; run_stage(lambda: print('a' * 9999, flush=True))"
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(repo / "stages")},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode != 0
    assert done.stderr.startswith("error: a file: cannot be written: No space left on device")
    assert "Traceback" not in done.stderr
