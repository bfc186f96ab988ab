"""Several processes as the profile's `launch` starts them: they train and answer as one process does.

Importing torch takes seconds, so this file is also a program that trains and evaluates in the same
processes: `python tests/lm/test_processes.py`, in the study's folder, with its stages on PYTHONPATH.
"""

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import numpy as np
import pytest
from safetensors.numpy import load_file

pytestmark = pytest.mark.faults

REPO = Path(__file__).resolve().parents[2]
STEPS = 6  # 2 epochs of 36 rows: 5 batches of 8, the last one not full, 2 of them an update
ADAPTER = Path("models/mixed_fine_tuned/adapter_model.safetensors")
UNDISTURBED = Path("undisturbed.safetensors")
FULL = {"dtype": "float32", "quantization": "none"}
NF4 = {"dtype": "bfloat16", "quantization": "nf4"}


@pytest.fixture
def studies(
    toy_study: Callable[[Path], None],
    run_in: Callable[..., subprocess.CompletedProcess[str]],
    change: Callable[[Path, str, object], None],
    tmp_path: Path,
) -> Callable[[Path, str, dict[str, str], bool], tuple[Path, Path]]:
    """Two studies on a base that is there, to be trained by one process and by `launch`, run so far."""

    def make(
        base: Path, launch: str, precision: dict[str, str], checkpointing: bool
    ) -> tuple[Path, Path]:
        one, two = tmp_path / "one", tmp_path / "two"
        toy_study(one)
        profile = one / "profiles/pocket.yaml"
        more = {"epochs": 2, "learning_rate": 0.01, "warmup_steps": 1, "checkpoint_every": 2}
        for key, value in {**more, "gradient_checkpointing": checkpointing}.items():
            change(profile, f"train.{key}", value)
        change(profile, "precision", precision)
        for stage in ("prepare", "instructify", "mix"):
            run_in(one, "python", f"stages/{stage}.py")
        (one / "models").mkdir()
        (one / "models/base").symlink_to(base)
        subprocess.run(["cp", "-r", one, two], check=True)
        change(profile, "train.gradient_accumulation", 2)
        change(two / "profiles/pocket.yaml", "launch", launch)
        return one, two

    return make


def test_two_processes_train_and_answer_as_one_does(
    studies: Callable[..., tuple[Path, Path]],
    run_in: Callable[..., subprocess.CompletedProcess[str]],
    toy_base: Path,
) -> None:
    one, two = studies(toy_base, "launch/data_parallel.yaml", FULL, False)
    _assert_trained_alike(one, two, run_in)
    _assert_answered_alike(one, two)
    # Each of the two processes answered a part of the rows.
    shares = json.loads((two / "shares.json").read_text(encoding="utf-8"))
    assert len(shares) == 2
    assert all(share > 50 for share in shares)


def test_processes_that_share_out_4_bit_weights_train_and_answer_as_one_does(
    studies: Callable[..., tuple[Path, Path]],
    run_in: Callable[..., subprocess.CompletedProcess[str]],
    toy_shards: Path,
) -> None:
    one, two = studies(toy_shards, "launch/fsdp.yaml", NF4, True)
    _assert_trained_alike(one, two, run_in)
    # Each held a half of both layers: linear weights, two a byte, and norms, two bytes each.
    linear, norms = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128, 2 * 64
    held = [(two / f"held_{rank}").read_text(encoding="utf-8") for rank in range(2)]
    assert held == [str(2 * (linear // 2 + 2 * norms) // 2)] * 2
    # It answers in one process, with all weights.
    run_in(two, "python", "stages/evaluate.py", "original_pretrained")
    _assert_answered_alike(one, two)


def _assert_trained_alike(
    one: Path, two: Path, run_in: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    said = {
        study: run_in(study, "python", __file__, PYTHONPATH=str(study / "stages")).stdout
        for study in (one, two)
    }
    for curve in ("train", "validation"):
        (of_one, of_two) = (_losses(study, curve) for study in (one, two))
        assert of_two.keys() == of_one.keys()
        assert of_two == pytest.approx(of_one, abs=2e-6)  # the last of six digits may round apart
    assert _losses(one, "validation")[STEPS] < _losses(one, "train")[1] - 0.1
    assert _rows(two) == _rows(one)
    (by_one, by_two) = (load_file(study / ADAPTER) for study in (one, two))
    assert by_one.keys() == by_two.keys()
    for name, weight in by_one.items():
        assert np.allclose(weight, by_two[name], rtol=0, atol=1e-5), name
    # Killed and resumed: the first process alone tells, and the bytes are those of nobody killed.
    resumed = re.findall(rf"train_mixed: goes on from step (\d) of {STEPS}\n", said[two])
    assert resumed == ["2", "2", "4"]
    assert (two / ADAPTER).read_bytes() == (two / UNDISTURBED).read_bytes()
    assert not list(two.glob("checkpoints/*"))


def _assert_answered_alike(one: Path, two: Path) -> None:
    files = sorted(path.relative_to(one) for path in one.glob("predictions/*/*"))
    assert len(files) == 10
    for file in [*files, Path("metrics/evaluate/original_pretrained.json")]:
        assert (one / file).read_bytes() == (two / file).read_bytes(), file


def _losses(study: Path, name: str) -> dict[int, float]:
    lines = (study / f"curves/mixed_fine_tuned/{name}.csv").read_text().splitlines()[1:]
    return {int(step): float(loss) for step, loss in (line.split(",") for line in lines)}


def _rows(study: Path) -> Any:
    metrics = json.loads((study / "metrics/train_mixed.json").read_text(encoding="utf-8"))
    keys = ("rows", "steps", "tokens", "trainable_parameters", "total_parameters")
    return [metrics[key] for key in keys]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no such file"),
        ("two", "distributed_type = None; allowed: MULTI_GPU, FSDP"),
        ("distributed_type: TPU", "distributed_type = 'TPU'; allowed: MULTI_GPU, FSDP"),
        ("{distributed_type: MULTI_GPU, num_processes: 1}", "num_processes = 1; allowed: a number"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(
    tmp_path: Path, content: str | None, told: str
) -> None:
    from lm.processes import launch, processes_of

    launch(None)
    path = tmp_path / "two.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    for refuses in (launch, processes_of):
        with pytest.raises(StudyError, match=f"two.yaml: {told}"):
            refuses(str(path))


@pytest.mark.parametrize("path", (REPO / "launch").glob("*.yaml"), ids=lambda path: path.name)
def test_shipped_configurations_are_read(path: Path) -> None:
    from accelerate.commands.config import load_config_from_file

    from lm.processes import is_sharded, processes_of

    config = load_config_from_file(str(path))
    assert config.num_processes == processes_of(str(path)) >= 2
    assert is_sharded(str(path)) == (path.name == "fsdp.yaml")


def test_a_launched_process_leaves_no_sharding_to_accelerate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from lm.processes import launch

    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    launch(str(REPO / "launch/fsdp.yaml"))
    assert "ACCELERATE_USE_FSDP" not in os.environ


# --- the program ----------------------------------------------------------------------------------


def main() -> None:
    """Train undisturbed; of several processes, also be killed often; let the base model answer.

    Each training is a process of its own beside those of the same turn in the other processes.
    """
    config = read_settings("launch").launch
    launch(config)
    turns = count(1)
    assert _trained(next(turns)) == 0
    if PROCESSES > 1:
        if not RANK:
            ADAPTER.rename(UNDISTURBED)
        for prepare in (partial(_end_after, 3), _end_in_checkpoint, partial(_end_after, 5)):
            assert _trained(next(turns), prepare) != 0
        assert _trained(next(turns)) == 0
    if is_sharded(config):
        return
    sys.argv[1:] = ["original_pretrained"]
    answered: dict[int, int] = {RANK: 0}
    bar = vars(answering)["progress_bar"]

    def counting(total: int, name: str, unit: str) -> Any:
        answered[RANK] += total
        return bar(total, name, unit)

    vars(answering)["progress_bar"] = counting
    evaluate.main()
    shares = sorted(gather(answered).items())
    write_text(Path("shares.json"), json.dumps([count for _, count in shares]))


def _trained(turn: int, prepare: Callable[[], None] = lambda: None) -> int | None:
    """Run `train.py mixed` in a process of its own, in which `prepare` is called before; its exit code."""

    def run() -> None:
        if PROCESSES > 1:  # those of a turn meet each other alone
            place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            store = PrefixStore(f"turn {turn}", TCPStore(*place, is_master=False))
            init_process_group(
                "gloo",
                store=store,
                rank=RANK,
                world_size=PROCESSES,
                timeout=timedelta(minutes=2),
            )
        sys.argv = ["train.py", "mixed"]
        _noting_shares()
        prepare()
        run_stage(train.main)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    return process.exitcode


def _noting_shares() -> None:
    """Note how many bytes this process holds of the weights that are shared out."""
    module: Any = training
    average = module.average_gradients

    def noting(model: Any, accelerator: Any) -> Any:
        parts = [part.to_local() for part in model.parameters() if isinstance(part, DTensor)]
        Path(f"held_{RANK}").write_text(str(sum(part.nbytes for part in parts)))
        return average(model, accelerator)

    module.average_gradients = noting


def _end_after(steps: int) -> None:
    step = AnswerTrainer.training_step

    def training_step(self: Any, *arguments: Any, **named: Any) -> Any:
        if self.state.global_step == steps:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, *arguments, **named)

    AnswerTrainer.training_step = training_step


def _end_in_checkpoint() -> None:
    """Kill the last process in the midst of a file; another one finds that it is gone."""
    if RANK < PROCESSES - 1:
        return

    def half_written(content: Any, path: Path) -> None:
        Path(path).write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half_written


if __name__ == "__main__":
    from runtime.files import write_text
    from runtime.process import PROCESSES, RANK, run_stage

    import torch
    from torch.distributed import PrefixStore, TCPStore, init_process_group
    from torch.distributed.tensor import DTensor

    import evaluate
    import train
    from lm import answering, training
    from lm.processes import gather, is_sharded, launch
    from lm.trainer import AnswerTrainer
    from settings.read import read_settings

    run_stage(main)
