"""Several processes that work as one, each on a GPU of its own, as `accelerate launch` starts them.

What they share out they gather again; `command.RANK` is 0 in the first of them and where there is one.
"""

import os
import sys
from pathlib import Path
from typing import TypeVar

import torch

from command import PROCESSES, StudyError

_Found = TypeVar("_Found")


def launch(config: str | None) -> None:
    """Run this script as `accelerate launch` does with the file `config`, and end as it ends.

    Does nothing where `config` is None, nor in a process that was launched already. Raises
    `StudyError` for a file that is not there.
    """
    if config is None or "LOCAL_RANK" in os.environ:
        return
    if not Path(config).is_file():
        raise StudyError(f"launch = {config!r}: no such file; allowed: a file as those in launch/")
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        launch_command(launch_command_parser().parse_args(["--config_file", config, *sys.argv]))
    except ChildFailedError:
        sys.exit(1)  # the process that failed has said why
    except SignalException as error:
        sys.exit(128 + error.sigval)
    sys.exit(0)


def local_device() -> str:
    """The device that this process computes on: a GPU of its own, or the processor."""
    if not torch.cuda.is_available():
        return "cpu"
    device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    torch.cuda.set_device(device)
    return device


def gather(found: dict[int, _Found]) -> dict[int, _Found]:
    """What all processes have found, in every one of them."""
    if PROCESSES == 1:
        return found
    from accelerate import PartialState
    from accelerate.utils import gather_object

    PartialState(cpu=not torch.cuda.is_available())
    return {at: each for part in gather_object([found]) for at, each in part.items()}
