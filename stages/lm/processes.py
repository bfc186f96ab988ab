"""Several processes of one stage, each with a GPU of its own, started by `accelerate launch`.

`gather` collects the results of all processes. `runtime.process.RANK` is 0 in the first process and in a
process that runs alone.
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
    """The number of processes on all machines that `accelerate launch` starts from the file `config`.

    1 if `config` is None. Raises `StudyError` for a missing file and for unsupported settings.
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
    """Whether the processes that the file `config` starts share the base model's weights (FSDP)."""
    return processes_of(config) > 1 and _read(str(config))["distributed_type"] == "FSDP"


def _read(config: str) -> dict[str, Any]:
    content = read_yaml(Path(config))
    return content if isinstance(content, dict) else {}


def launch(config: str | None) -> None:
    """Run this script by `accelerate launch` with the file `config`, then exit with its status.

    Returns at once if `config` is None, and in a process that was launched. Raises `StudyError` as
    `processes_of`.
    """
    if config is None or "LOCAL_RANK" in os.environ:
        os.environ.pop("ACCELERATE_USE_FSDP", None)  # accelerate must not shard: `shard` does
        return
    processes_of(config)
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        launch_command(launch_command_parser().parse_args(["--config_file", config, *sys.argv]))
    except ChildFailedError:
        sys.exit(1)  # the failed process has printed the reason
    except SignalException as error:
        sys.exit(128 + error.sigval)
    sys.exit(0)


def local_device() -> str:
    """The device that this process computes on: a GPU of its own, or the CPU.

    Raises `StudyError` if this machine runs more processes than it has GPUs.
    """
    if not torch.cuda.is_available():
        return "cpu"
    place, gpus = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if place >= gpus:
        raise StudyError(
            f"process {place + 1} on this machine has no GPU of its own, because the machine has "
            f"{gpus}: lower num_processes in the file that `launch` names"
        )
    torch.cuda.set_device(place)
    return f"cuda:{place}"


def shard(model: Any, device: str) -> None:
    """Distribute the frozen weights of a PEFT model over the processes; `device` stores this one's part.

    The model is on the CPU. FSDP (Zhao et al. 2023; here torch's `fully_shard`) gathers the weights of a
    decoder layer before the layer computes, and frees them after it; 4-bit weights stay in 4 bits. Every
    device stores the whole adapter, all weights outside the layers, and the scales of the 4-bit weights.
    (Accelerate's FSDP would shard the adapter too, which needs one type of numbers in a layer. It does
    not run on a CPU, where the tests run.)
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
    fully_shard(model, mesh=mesh, ignored_params=whole)  # one root lets layers gather in advance
    for tensor in (*whole, *model.buffers()):
        tensor.data = tensor.to(device)


def average_gradients(model: Any, accelerator: Any) -> Any:
    """Wrap a sharded PEFT model in torch's DistributedDataParallel: it averages the adapter's gradients.

    The trainer would refuse to wrap a model with a sharded base model.
    """
    from torch.nn.parallel import DistributedDataParallel

    model = accelerator.prepare_model(model, device_placement=False, evaluation_mode=True)
    frozen = [name for name, weights in model.named_parameters() if not weights.requires_grad]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, frozen)
    return DistributedDataParallel(model, forward_sync_buffers=False)


def gather(results: dict[int, _Result]) -> dict[int, _Result]:
    """The results of all processes by place; every process returns all of them."""
    if PROCESSES == 1:
        return results
    from accelerate import PartialState
    from accelerate.utils import gather_object

    PartialState(cpu=not torch.cuda.is_available())
    return {place: result for part in gather_object([results]) for place, result in part.items()}
