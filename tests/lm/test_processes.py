"""Two processes as the profile's `launch` starts them: they train and answer as one process does.

Importing torch takes seconds, so this file is also a program that trains and evaluates in the same
processes: `python tests/lm/test_processes.py`, in the study's folder, with its stages on PYTHONPATH.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command import StudyError

REPO = Path(__file__).resolve().parents[2]
STEPS = 6  # 2 epochs of 36 rows: 5 batches of 8, the last one not full, 2 of them an update


def test_two_processes_train_and_answer_as_one_does(
    toy_study: Callable[[Path], None],
    run_in: Callable[..., subprocess.CompletedProcess[str]],
    change: Callable[[Path, str, object], None],
    toy_base: Path,
    tmp_path: Path,
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    toy_study(one)
    more = {"epochs": 2, "learning_rate": 0.01, "warmup_steps": 1, "checkpoint_every": 2}
    for key, value in more.items():
        change(one / "profiles/pocket.yaml", f"train.{key}", value)
    for stage in ("prepare", "instructify", "mix"):
        run_in(one, "python", f"stages/{stage}.py")
    (one / "models").mkdir()
    (one / "models/base").symlink_to(toy_base)
    subprocess.run(["cp", "-r", one, two], check=True)
    change(one / "profiles/pocket.yaml", "train.gradient_accumulation", 2)
    change(two / "profiles/pocket.yaml", "launch", "launch/data_parallel.yaml")

    said = {
        study: run_in(study, "python", __file__, PYTHONPATH=str(study / "stages")).stdout
        for study in (one, two)
    }
    # The first process alone tells.
    assert said[two].count(f"train_mixed: goes on from step 4 of {STEPS}\n") == 1
    for curve in ("train", "validation"):
        (of_one, of_two) = (_losses(study, curve) for study in (one, two))
        assert of_two.keys() == of_one.keys()
        assert of_two == pytest.approx(of_one, abs=2e-6)  # the last of six digits may round apart
    assert _losses(one, "validation")[STEPS] < _losses(one, "train")[1] - 0.1
    assert _rows(two) == _rows(one)
    files = sorted(path.relative_to(one) for path in one.glob("predictions/*/*"))
    assert len(files) == 10
    for file in [*files, Path("metrics/evaluate/original_pretrained.json")]:
        assert (one / file).read_bytes() == (two / file).read_bytes(), file
    assert not list(two.glob("checkpoints/*"))
    # Each of the two processes answered a part of the rows.
    shares = json.loads((two / "shares.json").read_text(encoding="utf-8"))
    assert len(shares) == 2
    assert all(share > 50 for share in shares)


def _losses(study: Path, name: str) -> dict[int, float]:
    lines = (study / f"curves/mixed_fine_tuned/{name}.csv").read_text().splitlines()[1:]
    return {int(step): float(loss) for step, loss in (line.split(",") for line in lines)}


def _rows(study: Path) -> Any:
    metrics = json.loads((study / "metrics/train_mixed.json").read_text(encoding="utf-8"))
    return [metrics[key] for key in ("rows", "steps", "tokens", "trainable_parameters")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no such file"),
        ("two", "distributed_type = None; allowed: MULTI_GPU"),
        ("distributed_type: FSDP", "distributed_type = 'FSDP'; allowed: MULTI_GPU"),
        ("{distributed_type: MULTI_GPU, num_processes: 1}", "num_processes = 1; allowed: a number"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(
    tmp_path: Path, content: str | None, told: str
) -> None:
    import lm  # isort: skip  # before torch
    from lm.processes import launch, processes_of

    assert lm
    launch(None)
    path = tmp_path / "two.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    for refuses in (launch, processes_of):
        with pytest.raises(StudyError, match=f"two.yaml: {told}"):
            refuses(str(path))


@pytest.mark.parametrize("path", (REPO / "launch").glob("*.yaml"), ids=lambda path: path.name)
def test_shipped_configurations_are_read(path: Path) -> None:
    import lm  # isort: skip  # before torch
    from accelerate.commands.config import load_config_from_file

    from lm.processes import processes_of

    assert lm
    config = load_config_from_file(str(path))
    assert config.num_processes == processes_of(str(path)) >= 2


# --- the program ----------------------------------------------------------------------------------


def main() -> None:
    """Train, cut off in the second epoch, and train again to the end; then let the base model answer."""
    step, steps = AnswerTrainer.training_step, iter(range(5 if command.PROCESSES == 2 else 1000))

    def training_step(self: Any, *arguments: Any, **named: Any) -> Any:
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return step(self, *arguments, **named)

    sys.argv[1:] = ["mixed"]
    AnswerTrainer.training_step = training_step
    try:
        train.main()
    except KeyboardInterrupt:
        AnswerTrainer.training_step = step
        train.main()
    sys.argv[1:] = ["original_pretrained"]
    answered: dict[int, int] = {command.RANK: 0}
    bar = answering._bar

    def counting(total: int, name: str) -> Any:
        answered[command.RANK] += total
        return bar(total, name)

    answering._bar = counting
    evaluate.main()
    shares = sorted(gather(answered).items())
    command.write_text(Path("shares.json"), json.dumps([count for _, count in shares]))


if __name__ == "__main__":
    import lm  # isort: skip  # before torch
    import command
    import evaluate
    import train
    from lm import answering
    from lm.processes import gather
    from lm.training import AnswerTrainer

    assert lm
    command.run_stage(main)
