"""Checkpoints: a training that was cut off goes on and ends with the bits of one that nobody disturbed."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import pytest
import torch

from lm import training
from lm.base import load_base, make_repeatable
from lm.checkpoints import (
    CHECKPOINTS,
    hold_checkpoints,
    keep_checkpoint,
    newest_checkpoint,
    training_key,
)
from lm.training import AnswerTrainer, Trained, fine_tune
from prompts.encode import Encoder, Example
from settings.model import Precision, Train

FULL = Precision(dtype="float32", quantization="none")
SETTINGS = Train(
    epochs=3,
    learning_rate=0.01,
    warmup_steps=1,
    batch_size=4,
    gradient_accumulation=2,
    gradient_checkpointing=False,
    lora_layers=None,
    lora_rank=4,
    lora_alpha=8,
    lora_dropout=0.1,  # so that the generators matter
    max_length=64,
    validate_every=3,
    checkpoint_every=2,
)
STEPS = 9  # 22 rows, 3 steps an epoch; losses are logged at steps 1 and 5


@pytest.fixture(scope="module")
def encoder(mistral_tokenizer: Any) -> Encoder:
    return Encoder(mistral_tokenizer, "alpaca")


@pytest.fixture(scope="module")
def rows(encoder: Encoder) -> list[Example]:
    answers = ["positive", "negative", "It is both of them, or neither."]  # of unequal lengths
    return [
        encoder.example(f"Row {at}: {'good ' * (at % 5)}?", answers[at % 3]) for at in range(22)
    ]


@pytest.fixture(scope="module")
def tune(toy_base: Path, encoder: Encoder, rows: list[Example]) -> Callable[..., Any]:
    """Train with checkpoints in a folder; give the adapter's tensors and the account."""

    def tune(
        folder: Path, settings: Train = SETTINGS, precision: Precision = FULL
    ) -> tuple[dict[str, torch.Tensor], Trained]:
        make_repeatable(7)
        model = load_base(toy_base, precision)
        tuned, account = fine_tune(
            model, encoder, rows, rows[:9], settings, precision, 7, folder, "test"
        )
        adapter = {name: each for name, each in tuned.state_dict().items() if "lora_" in name}
        assert adapter
        return adapter, account

    return tune


@pytest.fixture(scope="module")
def undisturbed(
    tune: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, torch.Tensor], Trained]:
    """What the settings as they are end with."""
    found: tuple[dict[str, torch.Tensor], Trained] = tune(tmp_path_factory.mktemp("undisturbed"))
    return found


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


def _assert_same(
    found: tuple[dict[str, torch.Tensor], Trained], expected: tuple[dict[str, Any], Trained]
) -> None:
    (adapter, account), (other, undisturbed) = found, expected
    assert adapter.keys() == other.keys()
    assert all(torch.equal(adapter[name], other[name]) for name in adapter)
    assert account.train_losses == undisturbed.train_losses
    assert account.validation_losses == undisturbed.validation_losses
    assert (account.steps, account.tokens) == (undisturbed.steps, undisturbed.tokens)


@pytest.mark.parametrize(
    ("settings", "precision"),
    [
        ({}, FULL),
        ({"gradient_checkpointing": True}, FULL),
        ({}, Precision(dtype="bfloat16", quantization="nf4")),
    ],
    ids=["full precision", "gradient checkpointing", "nf4 in bfloat16"],
)
def test_a_training_cut_off_twice_ends_with_the_same_bits(
    tune: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, Any],
    precision: Precision,
) -> None:
    without = SETTINGS.model_copy(update={**settings, "checkpoint_every": 100})
    undisturbed = tune(tmp_path / "undisturbed", without, precision)
    often = without.model_copy(update={"checkpoint_every": 2})
    for after in (3, 7):  # in the first epoch, in the last
        with _cut_off(after):
            tune(tmp_path / "cut", often, precision)
    resumed = tune(tmp_path / "cut", often, precision)
    told = [line for line in capsys.readouterr().out.splitlines() if "goes on" in line]
    assert told == [f"test: goes on from step {step} of {STEPS}" for step in (2, 6)]
    _assert_same(resumed, undisturbed)


def test_a_training_cut_off_at_the_end_of_an_epoch_ends_with_the_same_bits(
    tune: Callable[..., Any], undisturbed: Any, tmp_path: Path
) -> None:
    with _cut_off(6):
        tune(tmp_path, SETTINGS.model_copy(update={"checkpoint_every": 3}))
    assert newest_checkpoint(tmp_path) == tmp_path / "checkpoint-6"
    # Another number of steps between checkpoints is still the same training.
    _assert_same(tune(tmp_path, SETTINGS.model_copy(update={"checkpoint_every": 5})), undisturbed)


def test_a_half_written_checkpoint_is_never_taken_for_a_whole_one(
    tune: Callable[..., Any],
    undisturbed: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def cut_off(written: Path, folder: Path) -> None:
        if written.name == "checkpoint-4":
            (written / "optimizer.pt").unlink()
            raise KeyboardInterrupt
        keep_checkpoint(written, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "keep_checkpoint", cut_off)
        with pytest.raises(KeyboardInterrupt):
            tune(tmp_path)
    assert (tmp_path / ".partial/checkpoint-4").is_dir()
    _assert_same(tune(tmp_path), undisturbed)
    assert f"test: goes on from step 2 of {STEPS}\n" in capsys.readouterr().out
    # Only the newest whole one is kept, and none is written after the last step.
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-8"]
    assert {path.name for path in (tmp_path / "checkpoint-8").iterdir()} == {
        *("adapter_model.safetensors", "adapter_config.json", "README.md"),
        *("optimizer.pt", "scheduler.pt", "rng_state.pth", "unlogged_0.pt", "trainer_state.json"),
    }


def test_the_newest_is_the_one_of_the_most_steps(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    for step in (80, 120):  # both whole: cut off before the older one was removed
        (tmp_path / f"checkpoint-{step}").mkdir()
    assert newest_checkpoint(tmp_path) == tmp_path / "checkpoint-120"
    written = tmp_path / ".partial/checkpoint-160"
    written.mkdir(parents=True)
    keep_checkpoint(written, tmp_path)
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-160"]


def test_the_key_changes_with_all_that_decides_the_result_and_with_nothing_else(
    toy_base: Path, rows: list[Example], tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(toy_base, base)
    recipe: dict[str, Any] = {
        "base": base,
        "train": rows,
        "validation": rows[:9],
        "settings": SETTINGS,
        "precision": FULL,
        "seed": 7,
    }
    key = training_key(**recipe)
    others = [
        *({**recipe, "train": rows[::-1]}, {**recipe, "validation": rows[:8]}),
        # The same ids, but where the prompt ends is another place.
        {**recipe, "train": [Example(rows[0].input_ids[:-1], [2]), *rows[1:]]},
        {**recipe, "settings": SETTINGS.model_copy(update={"learning_rate": 0.02})},
        {**recipe, "precision": Precision(dtype="bfloat16", quantization="none")},
        {**recipe, "seed": 8},
        {**recipe, "sharded": True},
    ]
    keys = {training_key(**other) for other in others}
    same = {**recipe, "settings": SETTINGS.model_copy(update={"checkpoint_every": 3})}
    assert training_key(**same) == key
    weights = base / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    keys.add(training_key(**recipe))
    assert len(keys - {key}) == len(others) + 1


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
