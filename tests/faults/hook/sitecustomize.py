"""Kill a process at its n-th event. Python imports this module at startup if PYTHONPATH names its folder.

An event is a file in the working directory that is opened for writing, moved or removed, or a folder that is
created or removed. The variable FAULT contains a `Fault` as JSON. FAULT_EVENTS names a file; each event is
written to it as a line.
"""

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True)
class Fault:
    """A signal at event number `event` of a process with `command` in its command line.

    Only events of paths that end with `of` count. The signal comes `delay` seconds after the event, while
    the process continues. `to`: "self", "dvc" (the DVC process above) or "group" (the process group).
    """

    command: str
    event: int
    delay: float = 0.0
    of: str = ""
    to: str = "self"
    signal: int = signal.SIGKILL


def watch(fault: Fault | None, events: Path | None) -> None:
    """Send the signal of `fault` at its event, and write events to the file `events`."""
    counted, inside = 0, False
    top = os.getcwd() + os.sep
    notes = None if events is None else events.open("a", encoding="utf-8", buffering=1)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal counted, inside
        if inside or event not in _CHANGES:
            return
        path = arguments[0]
        if not isinstance(path, str | bytes | os.PathLike):
            return  # an open file descriptor
        if event == "open" and not arguments[2] & _WRITES:
            return
        inside = True
        try:
            full = os.path.abspath(os.fsdecode(path))
            if not full.startswith(top) or "__pycache__" in full:
                return
            name = full.removeprefix(top)
            if notes is not None:
                notes.write(f"{event} {name}\n")
            if fault is not None and name.endswith(fault.of):
                counted += 1
                if counted == fault.event:
                    _strike(fault)
        finally:
            inside = False

    sys.addaudithook(hook)


def _strike(fault: Fault) -> None:
    target = {"self": os.getpid(), "dvc": _dvc(), "group": -os.getpgrp()}[fault.to]
    if fault.delay and os.fork():
        return
    time.sleep(fault.delay)
    os.kill(target, fault.signal)
    if fault.delay:
        os._exit(0)


def _dvc() -> int:
    """The id of the DVC process: this process or an ancestor; 0 if there is none."""
    process = os.getpid()
    while process > 1:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        if b"dvc" in words:
            return process
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
        process = int(status.partition("\nPPid:")[2].split()[0])
    return 0


if "FAULT" in os.environ or "FAULT_EVENTS" in os.environ:
    _fault = Fault(**json.loads(os.environ["FAULT"])) if "FAULT" in os.environ else None
    _events = os.environ.get("FAULT_EVENTS")
    if _fault is None or _fault.command in " ".join(sys.orig_argv):
        watch(_fault, Path(_events) if _events else None)
