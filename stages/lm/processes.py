"""Several processes that work as one, each on a GPU of its own, as `accelerate launch` starts them.

What they share out they gather again; `command.RANK` is 0 in the first of them and where there is one.
"""

import os
import sys
from pathlib import Path
from typing import TypeVar

import torch

from command import PROCESSES, StudyError
from settings import read_yaml

_Found = TypeVar("_Found")


def processes_of(config: str | None) -> int:
    """How many processes, on all machines, the file `config` of `accelerate launch` starts.

    1 where it is None. Raises `StudyError` for a file that is not there or not data parallel.
    """
    if config is None:
        return 1
    content = read_yaml(Path(config))
    given = content if isinstance(content, dict) else {}
    kind, count = given.get("distributed_type"), given.get("num_processes")
    if kind != "MULTI_GPU":
        raise StudyError(f"{config}: distributed_type = {kind!r}; allowed: MULTI_GPU")
    if not isinstance(count, int) or count < 2:
        raise StudyError(f"{config}: num_processes = {count!r}; allowed: a number from 2")
    return count


def launch(config: str | None) -> None:
    """Run this script as `accelerate launch` does with the file `config`, and end as it ends.

    Does nothing where `config` is None, nor in a process that was launched already. Raises
    `StudyError` as `processes_of` does.
    """
    if config is None or "LOCAL_RANK" in os.environ:
        return
    processes_of(config)
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
    """The device that this process computes on: a GPU of its own, or the processor.

    Raises `StudyError` where there are more processes than GPUs.
    """
    if not torch.cuda.is_available():
        return "cpu"
    place, gpus = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if place >= gpus:
        raise StudyError(
            f"process {place + 1} on this machine finds no GPU of its own, there are {gpus}: lower "
            "num_processes in the file that `launch` names"
        )
    torch.cuda.set_device(place)
    return f"cuda:{place}"


def gather(found: dict[int, _Found]) -> dict[int, _Found]:
    """What all processes have found, in every one of them."""
    if PROCESSES == 1:
        return found
    from accelerate import PartialState
    from accelerate.utils import gather_object

    PartialState(cpu=not torch.cuda.is_available())
    return {at: each for part in gather_object([found]) for at, each in part.items()}
