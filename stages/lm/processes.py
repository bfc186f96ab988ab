"""Several processes that work as one, each on a GPU of its own, as `accelerate launch` starts them.

`gather` collects the results of all processes. `runtime.process.RANK` is 0 in the first process and
where one process runs alone.
"""

import os
import sys
from pathlib import Path
from typing import Any, TypeVar

from runtime.errors import StudyError
from runtime.process import PROCESSES
from runtime.yaml_file import read_yaml

import torch

_Result = TypeVar("_Result")


def processes_of(config: str | None) -> int:
    """How many processes, on all machines, the file `config` of `accelerate launch` starts.

    1 where it is None. Raises `StudyError` for a file that is not there or of another kind.
    """
    if config is None:
        return 1
    content = _read(config)
    kind, count = content.get("distributed_type"), content.get("num_processes")
    if kind not in ("MULTI_GPU", "FSDP"):
        raise StudyError(f"{config}: distributed_type = {kind!r}; allowed: MULTI_GPU, FSDP")
    if not isinstance(count, int) or count < 2:
        raise StudyError(f"{config}: num_processes = {count!r}; allowed: a number from 2")
    return count


def is_sharded(config: str | None) -> bool:
    """Whether the processes that the file `config` starts share out the base model's weights."""
    return processes_of(config) > 1 and _read(str(config))["distributed_type"] == "FSDP"


def _read(config: str) -> dict[str, Any]:
    content = read_yaml(Path(config))
    return content if isinstance(content, dict) else {}


def launch(config: str | None) -> None:
    """Run this script as `accelerate launch` does with the file `config`, and end as it ends.

    Does nothing where `config` is None, nor in a process that was launched already. Raises
    `StudyError` as `processes_of` does.
    """
    if config is None or "LOCAL_RANK" in os.environ:
        os.environ.pop("ACCELERATE_USE_FSDP", None)  # `shard` does it, see there
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


def shard(model: Any, device: str) -> None:
    """Share out the frozen weights of a PEFT model on the processor: a part stays on each `device`.

    FSDP (Zhao et al. 2023; here torch's `fully_shard`) puts a decoder layer's weights together where
    the layer computes, and lets go of them after it. 4-bit ones travel as they are. The adapter, what
    stands outside of the layers and the 4-bit weights' scales are on every device whole; the adapter's
    gradients are averaged as ever. (Accelerate's own FSDP would shard the adapter with the layer, for
    which both must have one type of numbers, and it does not run on a CPU, where this is tested.)
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    base = model.get_base_model()
    mesh = init_device_mesh(torch.device(device).type, (PROCESSES,))
    trained = {weights for weights in model.parameters() if weights.requires_grad}
    for module in base.modules():
        if type(module).__name__ in base._no_split_modules:
            fully_shard(module, mesh=mesh, reshard_after_forward=True, ignored_params=trained)
    whole = {weights for weights in model.parameters() if not isinstance(weights, DTensor)}
    fully_shard(model, mesh=mesh, ignored_params=whole)  # one root: the layers' gathering overlaps
    for tensor in (*whole, *model.buffers()):
        tensor.data = tensor.to(device)


def average_gradients(model: Any, accelerator: Any) -> Any:
    """A sharded PEFT model in torch's DistributedDataParallel, which averages the adapter's gradients.

    The trainer itself would refuse to wrap a model whose base is shared out.
    """
    from torch.nn.parallel import DistributedDataParallel

    model = accelerator.prepare_model(model, device_placement=False, evaluation_mode=True)
    frozen = [name for name, weights in model.named_parameters() if not weights.requires_grad]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, frozen)
    return DistributedDataParallel(model, forward_sync_buffers=False)


def gather(results: dict[int, _Result]) -> dict[int, _Result]:
    """The results of all processes, by place, in every process."""
    if PROCESSES == 1:
        return results
    from accelerate import PartialState
    from accelerate.utils import gather_object

    PartialState(cpu=not torch.cuda.is_available())
    return {place: result for part in gather_object([results]) for place, result in part.items()}
