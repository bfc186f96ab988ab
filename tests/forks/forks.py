"""Stages as forks of one process, which has imported all that they import: importing torch takes seconds."""

import importlib
import os
import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn


def import_stages() -> None:
    """Import every stage of the study in the working directory, whose `stages` is on PYTHONPATH."""
    importlib.import_module("runtime")  # before numpy and torch
    for stage in Path("stages").glob("*.py"):
        importlib.import_module(stage.stem)
    importlib.import_module("torch._dynamo")  # the first step of a training imports it


def run_stage_and_exit(script: str, arguments: Sequence[str]) -> NoReturn:
    """Run a stage's script in this process, a fork, and exit with the stage's exit code."""
    sys.argv = [script, *arguments]
    try:
        runpy.run_path(script, run_name="__main__")
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
