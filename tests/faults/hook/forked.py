"""Stages that begin at once: this program has all they import, and forks a process for each one.

Importing torch takes seconds, of which a kill needs none. `python forked.py` in a study's folder, with
its stages and `hook` on PYTHONPATH, reads requests and writes answers, JSON in a line each.
"""

import importlib
import json
import os
import resource
import runpy
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from sitecustomize import Fault, watch


def main() -> None:
    importlib.import_module("runtime")  # before numpy and torch
    for stage in Path("stages").glob("*.py"):
        importlib.import_module(stage.stem)
    importlib.import_module("torch._dynamo")  # what the first step of a training imports
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
            told = pipe.read()
        _, status = os.waitpid(child, 0)
        answers.write(json.dumps({"code": os.waitstatus_to_exitcode(status), "told": told}) + "\n")


def _run(
    told: int,
    command: list[str],
    fault: dict[str, Any] | None,
    events: str | None,
    file_size: int | None,
) -> None:
    """Be the stage `command`, and end with its exit code."""
    os.setpgid(0, 0)  # a kill of its group is not the end of this program
    for stream in (1, 2):
        os.dup2(told, stream)
    # What was started with nohup or & ignores an interrupt, and so do its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    watch(None if fault is None else Fault(**fault), Path(events) if events else None)
    sys.argv = command
    try:
        runpy.run_path(f"stages/{command[0]}", run_name="__main__")
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
