"""What every stage script does alike: its arithmetic, one-line errors, exit codes, figures of the clock.

Every script imports this before numpy and torch (ruff's order of imports holds it first), since it
sets what they read once, when they are loaded.
"""

import errno
import io
import json
import os
import re
import reprlib
import resource
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_STARTED = time.perf_counter()  # a stage imports this first
_LAUNCHED = "LOCAL_RANK" in os.environ  # by `accelerate launch`, see `lm.processes`
PROCESSES = int(os.environ["WORLD_SIZE"]) if _LAUNCHED else 1  # that work as one, on all machines
RANK = int(os.environ["RANK"]) if _LAUNCHED else 0  # of this one; the first alone tells and writes

# One code path of each library that computes, the same on every processor that has AVX2, whatever
# more it has, and with any number of threads. `lm.arithmetic` tells where that is not enough.
ARITHMETIC = {
    "MKL_CBWR": "AVX2,STRICT",  # torch's matrix products
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",  # the linear algebra of numpy and scipy
    "OPENBLAS_NUM_THREADS": "1",
    "NPY_ENABLE_CPU_FEATURES": "SSSE3 SSE41 POPCNT SSE42 AVX F16C FMA3 AVX2",  # numpy's own kernels
}


def _has_avx2() -> bool:
    """Whether the processor has AVX2, as far as the system tells."""
    try:
        return " avx2 " in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


if _has_avx2():
    _LATE = {"numpy", "torch"} & sys.modules.keys() and ARITHMETIC.items() - os.environ.items()
    assert not _LATE, "import command before numpy and torch"
    os.environ.update(ARITHMETIC)

BAR_SECONDS = 0.5 if os.isatty(2) else 15.0  # between two states of a progress bar; lines of a log


class StudyError(Exception):
    """A mistake that a person can mend: its text says what is wrong, where, and how to mend it."""


class _Shown(reprlib.Repr):
    """Python's `repr`, cut where a value is long, nested or huge."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 120
        self.maxlist = self.maxdict = 12

    def repr_int(self, value: int, level: int) -> str:
        # Python refuses to spell out an integer of more than 4,300 digits.
        huge = value.bit_length() > 400
        return f"<an integer of {value.bit_length()} bits>" if huge else repr(value)


_SHOWN = _Shown()


def shown(value: object) -> str:
    """A value as messages show it: on one line, and short whatever a file holds."""
    return _SHOWN.repr(value)


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage; exit with 1 and one message for a `StudyError` or a full disk, with 130 for an interrupt.

    Anything else is a fault of the project itself and keeps its traceback. Where DVC started the
    stage and is killed, the stage ends too: the next `dvc repro` must not find it still at work.
    """
    _end_with_dvc()
    if RANK:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # a locale that lacks a sign ends no stage
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        main()
    except StudyError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # of a write that is not `writing`, such as one to the screen's file
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            raise
        path = error.filename2 or error.filename or "a file"
        sys.exit(f"error: {path}: cannot be written: {_refused_write(error)}")


def _end_of_dvc() -> int | None:
    """A descriptor that can be read once the DVC that runs this stage has ended.

    Of a launched process: once its launcher has ended, which ends with its DVC. None where no DVC
    runs it, or the system is not Linux and does not tell.
    """
    if _LAUNCHED and sys.platform == "linux":
        return os.pidfd_open(os.getppid())
    if "DVC_STAGE" not in os.environ:
        return None
    mark = f"DVC_STAGE={os.environ['DVC_STAGE']}".encode()
    process = os.getppid()
    try:
        # DVC's shell may stand between the two: it has the same mark, which DVC itself has not.
        while mark in Path(f"/proc/{process}/environ").read_bytes().split(b"\0"):
            status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
            process = int(status.partition("\nPPid:")[2].split()[0])
        return os.pidfd_open(process)
    except OSError:
        return None


_DVC_ENDS = _end_of_dvc()  # as early as _STARTED: the imports of a stage can take seconds


def _end_with_dvc() -> None:
    """Let this process be killed when its DVC ends. All writing is atomic: nothing stays half done."""

    def wait(end: int) -> None:
        select.select([end], [], [])
        os.kill(os.getpid(), signal.SIGKILL)

    if _DVC_ENDS is not None:
        threading.Thread(target=wait, args=(_DVC_ENDS,), daemon=True).start()


# Why the system refuses a write, and what to do about it.
_REFUSALS = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room, for your share of its disk is used up",
    errno.EFBIG: "allow larger files (ulimit -f)",
    errno.EROFS: "choose a disk that can be written",
    errno.EACCES: "let yourself write in its folder",
    errno.EPERM: "let yourself write in its folder",
    errno.EIO: "its disk is failing",
}


def _refused_write(error: BaseException, folder: Path | None = None) -> str | None:
    """What the system says where an error, or one behind it, is a write refused in `folder`; else None."""
    seen: BaseException | None = error
    while seen is not None:
        number = None
        if isinstance(seen, OSError):
            number, place = seen.errno, seen.filename2 or seen.filename
            if folder and place and not Path(place).resolve().is_relative_to(folder.resolve()):
                return None  # such as a file that is read
        if found := re.search(r"\(os error (\d+)\)", str(seen)):  # safetensors
            number = int(found[1])
        if number in _REFUSALS:
            return f"{os.strerror(number)}: {_REFUSALS[number]}, then run this again"
        if "inline_container" in str(seen):  # torch.save, which tells no number
            return f"{str(seen).rpartition(' . ')[2]}: is its disk full? Then run this again"
        seen = seen.__cause__ or seen.__context__
    return None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let a write in here that the system refuses, such as on a full disk, be a `StudyError` of `path`."""
    try:
        yield
    except Exception as error:
        if isinstance(error, StudyError) or (told := _refused_write(error, path.parent)) is None:
            raise
        raise StudyError(f"{path}: cannot be written: {told}") from None


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a neighbour of `path`, then put it in place: readers see all or nothing.

    Of several processes that work as one the first alone writes. Nothing is flushed for the sake of a
    power cut: DVC flushes neither, and `make repro` holds what it keeps against its hashes.
    """
    if RANK:
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(f".{path.name}.*.partial"):
            if not _is_running(old.suffixes[-2][1:]):  # it was killed while it wrote
                old.unlink(missing_ok=True)
        try:
            write(partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another person's
        return True
    return True


def place_folder(partial: Path, folder: Path) -> None:
    """Put the whole folder `partial` at `folder`, where at no time a part of it or of an older one is."""
    old = folder.with_name(f".{folder.name}.old.partial")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    partial.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with Unix line ends, atomically."""

    def write(partial: Path) -> None:
        partial.write_bytes(text.encode("utf-8"))

    write_atomically(path, write)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as JSON, keys in their own order, atomically."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_log(name: str, **figures: float) -> None:
    """Write what the clock and the machine decide to `logs/NAME.json`, outside of what DVC locks.

    Wall-clock seconds of the stage, its imports included, peak resident memory in MiB, and `figures`.
    """
    seconds = time.perf_counter() - _STARTED
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    rounded = {key: round(value, 3) for key, value in figures.items()}
    write_json(
        Path("logs") / f"{name}.json",
        {"seconds": round(seconds, 2), "peak_memory_mib": round(peak), **rounded},
    )


def in_words(seconds: float) -> str:
    """A time in the unit that a person would use."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
