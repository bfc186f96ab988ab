"""Start stages quickly: this program has imported their modules and forks a process per request.

Run `python forked.py` in a study's folder, with its stages, `hook` and `forks` on PYTHONPATH. It reads
requests from stdin and writes answers to stdout, one JSON object per line.
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
    # A copy of stdout: a stage must not write to it.
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
    """Run the stage `command` in this process and exit with its exit code."""
    os.setpgid(0, 0)  # a kill of the stage's group must not end this program
    for stream in (1, 2):
        os.dup2(pipe, stream)
    # A process started with nohup or & ignores an interrupt, and its children inherit this.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    watch(None if fault is None else Fault(**fault), Path(events) if events else None)
    script, *arguments = command
    run_stage_and_exit(f"stages/{script}", arguments)


if __name__ == "__main__":
    main()
