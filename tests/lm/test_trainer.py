"""The hooks of TRL and transformers that a training relies on: each is called and has its effect."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments
from trl import SFTConfig, SFTTrainer

from lm import training
from lm.base import load_base
from lm.batches import IGNORED, LengthBatches, answer_losses
from lm.recipe import Recipe
from lm.trainer import AnswerTrainer, Arguments, Checkpoints, collator
from lm.training import Trained
from prompts.encode import Example
from settings.model import Precision

BATCHES, STEPS = 6, 9  # an epoch has 22 rows in 6 batches of 4; 3 epochs have 3 updates each

Tune = Callable[[Path, Recipe], tuple[Any, Trained]]
MakeRecipe = Callable[..., Recipe]


def test_only_public_methods_are_overridden() -> None:
    own = {name for name, part in vars(AnswerTrainer).items() if callable(part)}
    assert own == {"get_train_dataloader", "compute_loss", "evaluate"}
    assert all(callable(getattr(SFTTrainer, name)) for name in own)
    hooks = {name for name in vars(Checkpoints) if name.startswith("on_")}
    assert hooks == {"on_train_begin", "on_epoch_begin", "on_step_end", "on_save"}
    assert all(hasattr(TrainerCallback, name) for name in hooks)
    for name in ("place_model_on_device", "n_gpu"):
        assert isinstance(vars(Arguments)[name], property)
        assert isinstance(vars(TrainingArguments)[name], property)


def test_the_trainer_takes_batches_loss_and_validation_from_the_overrides(
    rows: list[Example],
    tune: Tune,
    recipe: MakeRecipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trainers: list[AnswerTrainer] = []
    batches: list[Tensor] = []
    totals: list[int] = []
    validated: list[int] = []
    load, loss = AnswerTrainer.get_train_dataloader, AnswerTrainer.compute_loss
    evaluate = AnswerTrainer.evaluate

    def get_train_dataloader(self: AnswerTrainer) -> Any:
        trainers.append(self)
        return load(self)

    def compute_loss(self: AnswerTrainer, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
        batches.append(inputs["labels"])
        totals.append(int(named["num_items_in_batch"]))
        return loss(self, model, inputs, *rest, **named)

    def evaluate_(self: AnswerTrainer, *rest: Any, **named: Any) -> Any:
        validated.append(self.state.global_step)
        return evaluate(self, *rest, **named)

    monkeypatch.setattr(AnswerTrainer, "get_train_dataloader", get_train_dataloader)
    monkeypatch.setattr(AnswerTrainer, "compute_loss", compute_loss)
    monkeypatch.setattr(AnswerTrainer, "evaluate", evaluate_)
    _, account = tune(tmp_path, recipe(validate_every=4))

    assert len(trainers) == 1
    assert validated == [4, 8, STEPS]
    assert [step for step, _ in account.validation_losses] == validated
    # The rows come in the order of LengthBatches, in another one each epoch.
    order = LengthBatches([row.input_ids for row in rows], 4, 7)
    expected = []
    for epoch in range(3):
        order.set_epoch(epoch)
        expected += [sorted(rows[at].answer for at in batch) for batch in order]
    answers = [sorted(row[row != IGNORED].tolist() for row in labels) for labels in batches]
    assert answers == expected
    # The trainer counts the answer tokens of both batches of an update.
    sizes = [int((labels != IGNORED).sum()) for labels in batches]
    pairs = [sizes[at] + sizes[at + 1] for at in range(0, 3 * BATCHES, 2)]
    assert totals == [total for total in pairs for _ in range(2)]


def test_a_resumed_training_sees_the_rows_that_were_left(
    rows: list[Example],
    tune: Tune,
    recipe: MakeRecipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs: list[list[list[int]]] = []
    loss = AnswerTrainer.compute_loss

    def compute_loss(self: AnswerTrainer, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
        if self.state.global_step == 5 and len(runs) == 2:
            raise KeyboardInterrupt
        labels = inputs["labels"]
        runs[-1].append(sorted(row[row != IGNORED].tolist() for row in labels))
        return loss(self, model, inputs, *rest, **named)

    monkeypatch.setattr(AnswerTrainer, "compute_loss", compute_loss)
    runs.append([])
    tune(tmp_path / "whole", recipe())
    runs.append([])
    with pytest.raises(KeyboardInterrupt):
        tune(tmp_path / "cut", recipe(checkpoint_every=4))
    runs.append([])
    tune(tmp_path / "cut", recipe(checkpoint_every=4))
    whole, cut, resumed = runs
    assert cut == whole[: 2 * 5]
    assert resumed == whole[2 * 4 :]


def test_the_trainer_leaves_the_model_where_it_is(
    tune: Tune, recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class MovedError(Exception):
        pass

    def move(self: Any, model: Any, device: Any) -> None:
        raise MovedError

    monkeypatch.setattr(Trainer, "_move_model_to_device", move)
    tune(tmp_path / "own", recipe(epochs=1))
    # With TRL's own arguments the trainer would move the model.
    monkeypatch.setattr(training, "Arguments", SFTConfig)
    with pytest.raises(MovedError):
        tune(tmp_path / "theirs", recipe(epochs=1))
    assert issubclass(Arguments, SFTConfig)


def test_one_process_computes_on_one_gpu(tmp_path: Path) -> None:
    sizes = {}
    for arguments in (Arguments, SFTConfig):
        config = arguments(output_dir=str(tmp_path), per_device_train_batch_size=4, use_cpu=True)
        config._n_gpu = 2  # as transformers sets it where a process sees two GPUs
        sizes[arguments] = (config.n_gpu, config.train_batch_size, config.eval_batch_size // 8)
    assert sizes == {Arguments: (1, 4, 1), SFTConfig: (2, 8, 2)}


def test_a_batch_of_padding_has_no_loss_and_a_gradient_of_zeros(
    toy_base: Path, full: Precision
) -> None:
    lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(load_base(toy_base, full), lora)
    batch = collator(pad=2, share=True)([])
    assert set(batch["labels"].flatten().tolist()) == {IGNORED}
    losses = answer_losses(model, batch)
    assert losses.shape == (0,)
    losses.sum().backward()
    # Each trained weight has a gradient: torch's DistributedDataParallel waits for all of them.
    gradients = [weights.grad for weights in model.parameters() if weights.requires_grad]
    assert len(gradients) == 2 * 7 * 2  # layers, linear modules, factors
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_the_bar_shows_losses_speed_and_time_left(
    tune: Tune, recipe: MakeRecipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, account = tune(tmp_path, recipe())
    bar = capsys.readouterr().err.rpartition("\r")[2]
    assert f"test: 100%|██████████| {STEPS}/{STEPS} [" in bar
    assert "<00:00" in bar  # the time left
    assert f"loss={account.train_losses[-1][1]:.3f}" in bar
    assert f"validation={account.validation_losses[-1][1]:.3f}" in bar
    assert "tokens/s=" in bar
