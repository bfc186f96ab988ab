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
PROCESSES = int(os.environ["WORLD_SIZE"]) if _LAUNCHED else 1  # of this stage, on all machines
RANK = (
    int(os.environ["RANK"]) if _LAUNCHED else 0
)  # the process with rank 0 alone prints and writes


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage. Exit with 1 and a message for a `StudyError` or a full disk, with 130 for an interrupt.

    Any other exception is a bug of the project and keeps its traceback. If DVC started the stage and is
    killed, the stage ends too: two runs of a stage must not overlap.
    """
    _end_with_dvc()
    if RANK:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # no error for characters that the locale lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        main()
    except StudyError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # a write outside `writing`, for example of stdout to a file
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            raise
        path = error.filename2 or error.filename or "a file"
        sys.exit(f"error: {path}: cannot be written: {refused_write(error)}")


def _end_of_dvc() -> int | None:
    """A file descriptor that becomes readable when the DVC that runs this stage ends.

    In a launched process it becomes readable when the launcher ends, which ends with its DVC. None if no
    DVC runs this stage, and on systems other than Linux.
    """
    if _LAUNCHED and sys.platform == "linux":
        return os.pidfd_open(os.getppid())
    if "DVC_STAGE" not in os.environ:
        return None
    mark = f"DVC_STAGE={os.environ['DVC_STAGE']}".encode()
    process = os.getppid()
    try:
        # The parent may be DVC's shell, which has the mark too; DVC itself does not have the mark.
        while mark in Path(f"/proc/{process}/environ").read_bytes().split(b"\0"):
            status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
            process = int(status.partition("\nPPid:")[2].split()[0])
        return os.pidfd_open(process)
    except OSError:
        return None


_DVC_ENDS = _end_of_dvc()  # at import, because the later imports of a stage can take seconds


def _end_with_dvc() -> None:
    """Kill this process when its DVC ends. All writes are atomic, so no partial output remains."""

    def wait(end: int) -> None:
        select.select([end], [], [])
        os.kill(os.getpid(), signal.SIGKILL)

    if _DVC_ENDS is not None:
        threading.Thread(target=wait, args=(_DVC_ENDS,), daemon=True).start()
