"""A stage as a process: its rank, its exit codes, and its end when DVC ends."""

import errno
import io
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from runtime.errors import StudyError, refused_write

_LAUNCHED = "LOCAL_RANK" in os.environ  # by `accelerate launch`, see `lm.processes`
PROCESSES = int(os.environ["WORLD_SIZE"]) if _LAUNCHED else 1  # that work as one, on all machines
RANK = int(os.environ["RANK"]) if _LAUNCHED else 0  # of this one; the first alone tells and writes


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
        sys.exit(f"error: {path}: cannot be written: {refused_write(error)}")


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
