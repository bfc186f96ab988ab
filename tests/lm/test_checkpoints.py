"""Checkpoints: a training that was cut off goes on and ends with the bits of one that nobody disturbed."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import pytest
import torch

from lm import trainer
from lm.checkpoints import CHECKPOINTS, hold_checkpoints, newest_checkpoint, place_checkpoint
from lm.recipe import Recipe
from lm.trainer import AnswerTrainer
from lm.training import Trained
from settings.model import Precision

FULL = Precision(dtype="float32", quantization="none")
STEPS = 9  # 22 rows, 3 epochs of 3 steps; losses are logged at steps 1 and 5

Outcome = tuple[dict[str, torch.Tensor], Trained]
Adapt = Callable[[Path, Recipe], Outcome]
MakeRecipe = Callable[..., Recipe]


@pytest.fixture(scope="module")
def adapt(tune: Callable[[Path, Recipe], tuple[Any, Trained]]) -> Adapt:
    """Train with checkpoints in a folder: the adapter's tensors and the account."""

    def adapt(folder: Path, recipe: Recipe) -> Outcome:
        tuned, account = tune(folder, recipe)
        adapter = {name: weights for name, weights in tuned.state_dict().items() if "lora_" in name}
        assert adapter
        return adapter, account

    return adapt


@pytest.fixture(scope="module")
def undisturbed(
    adapt: Adapt, recipe: MakeRecipe, tmp_path_factory: pytest.TempPathFactory
) -> Outcome:
    return adapt(tmp_path_factory.mktemp("undisturbed"), recipe())


@contextmanager
def _cut_off(after: int) -> Iterator[None]:
    """A training in here is interrupted, as by Ctrl-C, in the midst of the step after `after` steps."""
    step = AnswerTrainer.training_step
    halves = iter(range(2))

    def interrupted(self: AnswerTrainer, *arguments: Any, **named: Any) -> Any:
        if self.state.global_step == after and next(halves):
            raise KeyboardInterrupt
        return step(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AnswerTrainer, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            yield


def _assert_same(outcome: Outcome, expected: Outcome) -> None:
    (adapter, account), (other, undisturbed) = outcome, expected
    assert adapter.keys() == other.keys()
    assert all(torch.equal(adapter[name], other[name]) for name in adapter)
    assert account.train_losses == undisturbed.train_losses
    assert account.validation_losses == undisturbed.validation_losses
    assert (account.steps, account.tokens) == (undisturbed.steps, undisturbed.tokens)


@pytest.mark.parametrize(
    ("changes", "precision"),
    [
        ({}, FULL),
        ({"gradient_checkpointing": True}, FULL),
        ({}, Precision(dtype="bfloat16", quantization="nf4")),
    ],
    ids=["full precision", "gradient checkpointing", "nf4 in bfloat16"],
)
def test_a_training_cut_off_twice_ends_with_the_same_bits(
    adapt: Adapt,
    recipe: MakeRecipe,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    precision: Precision,
) -> None:
    undisturbed = adapt(tmp_path / "undisturbed", recipe(precision, **changes))
    often = recipe(precision, **changes, checkpoint_every=2)
    for after in (3, 7):  # in the first epoch, in the last
        with _cut_off(after):
            adapt(tmp_path / "cut", often)
    resumed = adapt(tmp_path / "cut", often)
    lines = [line for line in capsys.readouterr().out.splitlines() if "goes on" in line]
    assert lines == [f"test: goes on from step {step} of {STEPS}" for step in (2, 6)]
    _assert_same(resumed, undisturbed)


def test_a_training_cut_off_at_the_end_of_an_epoch_ends_with_the_same_bits(
    adapt: Adapt, recipe: MakeRecipe, undisturbed: Outcome, tmp_path: Path
) -> None:
    with _cut_off(6):
        adapt(tmp_path, recipe(checkpoint_every=3))
    assert newest_checkpoint(tmp_path) == tmp_path / "checkpoint-6"
    # Another number of steps between checkpoints is still the same training.
    _assert_same(adapt(tmp_path, recipe(checkpoint_every=5)), undisturbed)


def test_a_half_written_checkpoint_is_never_taken_for_a_whole_one(
    adapt: Adapt,
    recipe: MakeRecipe,
    undisturbed: Outcome,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def cut_off(written: Path, folder: Path) -> None:
        if written.name == "checkpoint-4":
            (written / "optimizer.pt").unlink()
            raise KeyboardInterrupt
        place_checkpoint(written, folder)

    often = recipe(checkpoint_every=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "place_checkpoint", cut_off)
        with pytest.raises(KeyboardInterrupt):
            adapt(tmp_path, often)
    assert (tmp_path / ".partial/checkpoint-4").is_dir()
    _assert_same(adapt(tmp_path, often), undisturbed)
    assert f"test: goes on from step 2 of {STEPS}\n" in capsys.readouterr().out
    # Only the newest whole one is kept, and none is written after the last step.
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-8"]
    assert {path.name for path in (tmp_path / "checkpoint-8").iterdir()} == {
        *("adapter_model.safetensors", "adapter_config.json", "README.md", "training_args.bin"),
        *("optimizer.pt", "scheduler.pt", "rng_state.pth", "unlogged_0.pt", "trainer_state.json"),
    }


def test_the_newest_is_the_one_of_the_most_steps(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    for step in (80, 120):  # both whole: cut off before the older one was removed
        (tmp_path / f"checkpoint-{step}").mkdir()
    assert newest_checkpoint(tmp_path) == tmp_path / "checkpoint-120"
    written = tmp_path / ".partial/checkpoint-160"
    written.mkdir(parents=True)
    place_checkpoint(written, tmp_path)
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-160"]


def test_checkpoints_of_another_key_are_not_seen_and_go_with_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with suppress(KeyboardInterrupt), hold_checkpoints("train_mixed", "one") as folder:
        (folder / "checkpoint-4").mkdir()
        raise KeyboardInterrupt
    with suppress(StudyError), hold_checkpoints("train_mixed", "other") as folder:
        assert newest_checkpoint(folder) is None
        raise StudyError("the loss is no number any more")
    with hold_checkpoints("train_mixed", "one") as folder:
        assert newest_checkpoint(folder) == folder / "checkpoint-4"
    assert list(CHECKPOINTS.iterdir()) == []


def test_the_second_of_two_trainers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = (
        f"checkpoints/train_mixed: process {os.getpid()} is training on these checkpoints: "
        rf"let it end, or end it \(kill {os.getpid()}\), then run this again"
    )
    with hold_checkpoints("train_mixed", "one") as folder:
        for key in ("one", "other"):
            with pytest.raises(StudyError, match=refused), hold_checkpoints("train_mixed", key):
                pass
        with hold_checkpoints("train_sentiment", "one"):
            pass
        assert folder.is_dir()
    with hold_checkpoints("train_mixed", "one"):
        pass
