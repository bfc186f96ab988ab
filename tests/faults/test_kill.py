"""kill -9, Ctrl-C and a full disk at any moment of any stage: no half-written file, the same bytes."""

import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from faulty import OLD, Stages, draw, left_over
from sitecustomize import Fault

pytestmark = pytest.mark.faults

REPO = Path(__file__).resolve().parents[2]
KILLS = 3  # per stage with a language model; `MORE` lists the faster stages
MORE = {
    "prepare": 6,
    "instructify": 6,
    "mix": 4,
    "preflight": 5,
    "base_model": 8,
    "encoder": 6,
    "baselines": 6,
}


def _names() -> list[str]:
    content = yaml.safe_load((REPO / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    keys_of = {name: stage.get("foreach") for name, stage in content.items()}
    return [
        title
        for name, keys in keys_of.items()
        for title in ([name] if keys is None else [f"{name}@{key}" for key in keys])
    ]


NAMES = _names()


@pytest.fixture
def aside(stages: Stages, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Give the stage old outputs, and hard-link them into this folder: a link shows a write in place."""
    stage = request.node.callspec.params["stage"]
    stages.make(stage)
    for at, name in enumerate(stages.undisturbed[stage]):
        path = stages.folder / name
        path.unlink(missing_ok=True)
        path.write_bytes(OLD)
        (tmp_path / str(at)).hardlink_to(path)
    return tmp_path


@pytest.mark.parametrize("stage", NAMES)
def test_a_stage_killed_again_and_again_ends_with_the_same_bytes(
    stages: Stages, aside: Path, stage: str
) -> None:
    faults = draw(stage, len(stages.events[stage]), MORE.get(stage, KILLS))
    killed = 0
    for fault in faults:
        _from_the_start(stages)
        code, output = stages.run(stage, fault)
        assert code in (-signal.SIGKILL, 0 if fault.delay else -signal.SIGKILL), (fault, output)
        killed += code != 0
        _nothing_is_half_written(stages, stage)
    assert killed >= len(faults) - 1
    _from_the_start(stages)
    code, output = stages.run(stage, replace(faults[0], signal=signal.SIGINT))
    assert code == 130, output
    assert "Traceback" not in output
    _nothing_is_half_written(stages, stage)
    _recovers(stages, stage, aside)


@pytest.mark.parametrize("stage", NAMES)
def test_a_stage_on_a_full_disk_reports_it_and_keeps_the_old_outputs(
    stages: Stages, aside: Path, stage: str
) -> None:
    code, output = stages.run(stage, file_size=16)
    assert code == 1
    (message,) = re.findall("^error: .*", output, re.MULTILINE)
    path, _, why = message.removeprefix("error: ").partition(": ")
    assert path.startswith((*stages.outs[stage], "checkpoints/"))
    assert why.startswith("cannot be written: ")
    assert "File too large: allow larger files (ulimit -f)" in why or "the disk may be full" in why
    assert "Traceback" not in output
    assert left_over(stages.folder) == []
    _nothing_is_half_written(stages, stage)
    _recovers(stages, stage, aside)


@pytest.mark.parametrize("stage", ["train_sentiment", "train_encoder"])
def test_a_training_goes_on_from_its_last_checkpoint(stages: Stages, stage: str) -> None:
    stages.make(stage)
    moves = [
        (at, match[1])
        for at, event in enumerate(stages.events[stage], start=1)
        if (match := re.fullmatch(r"os.rename checkpoints/.*/checkpoint-(\d+)", event))
    ]
    at, step = moves[-1]
    code, output = stages.run(stage, Fault("", at + 2))
    assert code == -signal.SIGKILL, output
    code, output = stages.run(stage)
    assert re.search(
        rf"^{stage}: (goes on|continues) from step {step} of [89]$", output, re.MULTILINE
    )
    assert stages.outputs(stage) == stages.undisturbed[stage]


@pytest.mark.parametrize("stage", NAMES)
def test_a_stage_opens_no_file_that_is_in_place(stages: Stages, stage: str) -> None:
    stages.make(stage)
    opened = {event[5:] for event in stages.events[stage] if event.startswith("open ")}
    assert opened.isdisjoint(stages.undisturbed[stage])
    # The folder of the lock files is opened too, by filelock; a folder's content is not written so.
    locks = re.compile(r"\.cache/locks/|checkpoints(/\w+(\.lock|/process))?$")
    assert not [path for path in opened if "partial" not in path and not locks.match(path)]


def _from_the_start(stages: Stages) -> None:
    """Remove checkpoints: a training that continues from one would have fewer events."""
    shutil.rmtree(stages.folder / "checkpoints", ignore_errors=True)


def _nothing_is_half_written(stages: Stages, stage: str) -> None:
    """Every output is missing, old, or complete; a model's folder is entirely old or entirely complete."""
    whole = stages.undisturbed[stage]
    for name, content in stages.outputs(stage).items():
        assert content in (OLD, whole[name]), name
    for out in stages.outs[stage]:
        if out.startswith("models/"):
            files = stages.outputs(stage).items()
            model = {path: content for path, content in files if path.startswith(out)}
            old = {path: OLD for path in whole if path.startswith(out)}
            assert model in ({}, old, {path: whole[path] for path in old})


def _recovers(stages: Stages, stage: str, aside: Path) -> None:
    code, output = stages.run(stage)
    assert code == 0, output
    assert stages.outputs(stage) == stages.undisturbed[stage]
    assert left_over(stages.folder) == []
    assert {path.read_bytes() for path in aside.iterdir()} == {OLD}  # nothing is written in place
    shutil.rmtree(aside)
