"""Stages that begin at once: this program has imported all that they import, and forks one per request.

`python forked.py` in a study's folder, with its stages, `hook` and `forks` on PYTHONPATH, reads requests
and writes answers, JSON in a line each.
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from forks import import_stages, run_stage_and_exit
from sitecustomize import Fault, watch


def main() -> None:
    import_stages()
    # A stage shall not write there.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    answers.write("ready\n")
    for line in sys.stdin:
        request = json.loads(line)
        read, write = os.pipe()
        child = os.fork()
        if not child:
            _run(write, **request)
        os.close(write)
        with open(read, encoding="utf-8", errors="replace") as pipe:
            output = pipe.read()
        _, status = os.waitpid(child, 0)
        answers.write(
            json.dumps({"code": os.waitstatus_to_exitcode(status), "output": output}) + "\n"
        )


def _run(
    pipe: int,
    command: list[str],
    fault: dict[str, Any] | None,
    events: str | None,
    file_size: int | None,
) -> None:
    """Be the stage `command`, and end with its exit code."""
    os.setpgid(0, 0)  # a kill of its group is not the end of this program
    for stream in (1, 2):
        os.dup2(pipe, stream)
    # What was started with nohup or & ignores an interrupt, and so do its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    watch(None if fault is None else Fault(**fault), Path(events) if events else None)
    script, *arguments = command
    run_stage_and_exit(f"stages/{script}", arguments)


if __name__ == "__main__":
    main()
