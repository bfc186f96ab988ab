"""kill -9 of the trainer and of DVC: the study ends with the bytes of one that nobody disturbed.

Importing torch takes seconds, so this file is also a program that has it imported and forks a trainer
for every kill: `python tests/test_kill.py`, in the study's folder, with its stages on PYTHONPATH.
"""

import fcntl
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

ADAPTER = Path("models/mixed_fine_tuned/adapter_model.safetensors")
RESULTS = (
    *(ADAPTER, ADAPTER.with_name("adapter_config.json"), Path("metrics/train_mixed.json")),
    *(Path(f"curves/mixed_fine_tuned/{name}.csv") for name in ("train", "validation")),
)
CHECKPOINTS = Path("checkpoints/train_mixed")
UNDISTURBED = Path("undisturbed")
REPRO = ("-m", "dvc", "repro", "train_mixed")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a stage cannot tell that DVC ended")
def test_a_training_whose_trainer_and_dvc_are_killed_ends_with_the_same_bytes(
    toy_study: Callable[[Path], None],
    run_in: Callable[..., subprocess.CompletedProcess[str]],
    change: Callable[[Path, str, object], None],
    tmp_path: Path,
) -> None:
    toy_study(tmp_path)
    for key, value in {"epochs": 12, "validate_every": 7, "checkpoint_every": 2}.items():
        change(tmp_path / "profiles/pocket.yaml", f"train.{key}", value)
    run_in(tmp_path, "python", "-m", "dvc", "repro", "mix", "base_model")

    told = run_in(tmp_path, "python", __file__, PYTHONPATH=str(tmp_path / "stages")).stdout
    assert json.loads(told.splitlines()[-1]) == [0, *[-signal.SIGKILL] * 7, 130]
    before = _newest_step(tmp_path)
    assert 0 < before < 45

    # A plain sh stays between DVC and the trainer, so killing DVC does not reach it by itself.
    dvc = subprocess.Popen(
        [sys.executable, *REPRO],
        cwd=tmp_path,
        env={**os.environ, "SHELL": "/bin/sh"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _wait_for(lambda: _newest_step(tmp_path) > before)
    dvc.kill()
    dvc.wait()
    with (tmp_path / CHECKPOINTS / "lock").open("a") as lock:
        _wait_for(lambda: _is_free(lock))
    assert _newest_step(tmp_path) > before  # it was killed too: where it ends well none is left
    assert not (tmp_path / ADAPTER).exists()

    done = run_in(tmp_path, "python", *REPRO).stdout
    (step,) = re.findall(r"train_mixed: goes on from step (\d+) of 60", done)
    assert int(step) > before
    for path in RESULTS:
        assert (tmp_path / path).read_bytes() == (tmp_path / UNDISTURBED / path).read_bytes(), path
    assert not (tmp_path / CHECKPOINTS).exists()


def _newest_step(study: Path) -> int:
    found = (study / CHECKPOINTS).glob("*/checkpoint-*")
    return max((int(path.name.removeprefix("checkpoint-")) for path in found), default=0)


def _wait_for(happens: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not happens():
        assert time.monotonic() < until
        time.sleep(0.005)


def _is_free(lock: Any) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# --- the program: trainings in the folder it is called in, ended in many ways ---------------------


def main() -> None:
    """Train undisturbed and put that aside; then be killed often. The last line: all exit codes."""
    codes = [_trained()]
    for path in RESULTS:
        (UNDISTURBED / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, UNDISTURBED / path)
    draws = random.Random(11)
    for _ in range(5):
        batch = draws.randint(3, 5)  # a checkpoint every 2: each time there is some progress
        codes.append(_trained(partial(_end_at_batch, batch, signal.SIGKILL)))
    for _ in range(2):
        file = draws.randint(5, 8)  # of 4 in a checkpoint: while the second is being written
        codes.append(_trained(partial(_end_at_file, file)))
    codes.append(_trained(partial(_end_at_batch, 4, signal.SIGINT)))
    print(json.dumps(codes))


def _trained(prepare: Callable[[], None] = lambda: None) -> int | None:
    """Run `train.py mixed` in a process of its own, in which `prepare` is called before; its exit code."""

    def run() -> None:
        # What was started with nohup or & ignores an interrupt, and so do its children.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["train.py", "mixed"]
        prepare()
        command.run_stage(train.main)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    return process.exitcode


def _end_at_batch(last: int, how: signal.Signals) -> None:
    step, batches = AnswerTrainer.training_step, iter(range(1, last))

    def training_step(self: Any, *arguments: Any, **named: Any) -> Any:
        if next(batches, None) is None:
            os.kill(os.getpid(), how)
        return step(self, *arguments, **named)

    AnswerTrainer.training_step = training_step


def _end_at_file(last: int) -> None:
    save, files = torch.save, iter(range(1, last))

    def half_written(content: Any, path: Path) -> None:
        save(content, path)
        if next(files, None) is None:
            with open(path, "r+b") as file:
                file.truncate(os.path.getsize(path) // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half_written


if __name__ == "__main__":
    import command

    import torch

    import train
    from lm.training import AnswerTrainer

    main()
