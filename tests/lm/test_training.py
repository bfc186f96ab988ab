"""Training: loss on answers alone, the loss that plain code computes, the same bytes twice, NF4."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import pytest
import torch

from lm.base import load_base
from lm.batches import IGNORED, collate
from lm.recipe import Recipe
from lm.training import Trained, optimizer_name
from prompts.encode import Encoder, Example
from settings.model import Precision

FULL = Precision(dtype="float32", quantization="none")
ONE_STEP = {"epochs": 1, "batch_size": 8, "gradient_accumulation": 3}

Tune = Callable[[Path, Recipe], tuple[Any, Trained]]
MakeRecipe = Callable[..., Recipe]


@pytest.fixture(scope="module")
def recipe(recipe: MakeRecipe) -> MakeRecipe:
    """A toy recipe without dropout, whose losses plain code computes too."""

    def change(precision: Precision = FULL, **changes: Any) -> Recipe:
        return recipe(precision, **{"epochs": 4, "lora_dropout": 0.0} | changes)

    return change


def _plain_loss(model: Any, examples: list[Example]) -> float:
    total, count = 0.0, 0
    model.eval()
    for example in examples:
        labels = torch.tensor([[IGNORED] * len(example.prompt) + example.answer])
        with torch.no_grad():
            loss = model(torch.tensor([example.input_ids]), labels=labels).loss
        total += float(loss) * len(example.answer)
        count += len(example.answer)
    return total / count


def test_training_learns_and_its_account_is_true(
    toy_base: Path, rows: list[Example], tune: Tune, recipe: MakeRecipe, tmp_path: Path
) -> None:
    before = _plain_loss(load_base(toy_base, FULL), rows[:9])
    model, account = tune(tmp_path, recipe())
    after = _plain_loss(model, rows[:9])
    assert account.validation_losses[-1][1] == pytest.approx(after, rel=1e-4)
    assert after < before - 0.2
    assert account.steps == 4 * 3  # 22 rows in batches of 4 with 2 gathered: 3 updates an epoch
    assert account.tokens == 4 * sum(len(row.input_ids) for row in rows)
    adapter = [weights for name, weights in model.named_parameters() if "lora_" in name]
    assert account.trainable_parameters == sum(weights.numel() for weights in adapter)
    assert account.trainable_parameters < account.total_parameters
    assert not any("lm_head" in name for name, _ in model.named_parameters() if "lora_" in name)


def test_the_first_loss_is_the_plain_loss_of_its_rows(
    toy_base: Path, rows: list[Example], tune: Tune, recipe: MakeRecipe, tmp_path: Path
) -> None:
    # One step over all rows, its adapter still zero: the mean over all answer tokens of the base.
    _, account = tune(tmp_path, recipe(**ONE_STEP))
    plain = _plain_loss(load_base(toy_base, FULL), rows)
    assert account.train_losses[0][1] == pytest.approx(plain, rel=1e-4)


def test_two_trainings_give_the_same_bits(tune: Tune, recipe: MakeRecipe, tmp_path: Path) -> None:
    states = []
    for _ in range(2):
        model, _ = tune(tmp_path, recipe())
        states.append({name: weights.clone() for name, weights in model.state_dict().items()})
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_checkpointing_changes_memory_not_losses(
    tune: Tune, recipe: MakeRecipe, tmp_path: Path
) -> None:
    _, plain = tune(tmp_path, recipe())
    model, other = tune(tmp_path, recipe(gradient_checkpointing=True))
    assert [loss for _, loss in other.train_losses] == pytest.approx(
        [loss for _, loss in plain.train_losses], rel=1e-3
    )
    (how,) = {
        tuple(module._gradient_checkpointing_func.keywords.items())
        for module in model.modules()
        if getattr(module, "gradient_checkpointing", False)
    }
    assert how == (("use_reentrant", False),)


def test_adapters_on_the_last_layers_alone(tune: Tune, recipe: MakeRecipe, tmp_path: Path) -> None:
    model, account = tune(tmp_path, recipe(lora_layers=1))
    every, of_all = tune(tmp_path, recipe())

    def adapted(tuned: Any) -> set[str]:
        return {name for name, _ in tuned.named_parameters() if "lora_" in name}

    assert adapted(model) == {name for name in adapted(every) if ".layers.1." in name}
    assert 2 * account.trainable_parameters == of_all.trainable_parameters
    assert account.validation_losses[-1][1] < account.train_losses[0][1] - 0.2


def test_more_layers_than_the_base_has_are_refused(
    tune: Tune, recipe: MakeRecipe, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match=r"train.lora_layers = 3: the base model has 2 layers"):
        tune(tmp_path, recipe(lora_layers=3))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_nf4_trains_on_the_cpu(tune: Tune, recipe: MakeRecipe, tmp_path: Path, dtype: Any) -> None:
    model, account = tune(tmp_path, recipe(Precision(dtype=dtype, quantization="nf4")))
    kinds = {type(module).__name__ for module in model.modules()}
    assert "Linear4bit" in kinds
    assert account.validation_losses[-1][1] < account.train_losses[0][1] - 0.2
    # The base computes as it will in evaluation; the adapter's small updates need all their digits.
    types = {name: weights.dtype for name, weights in model.named_parameters() if "norm" in name}
    assert set(types.values()) == {getattr(torch, dtype)}
    adapter = {weights.dtype for name, weights in model.named_parameters() if "lora_" in name}
    assert adapter == {torch.float32}


def test_the_first_loss_over_4_bit_weights_is_their_plain_loss(
    toy_base: Path, rows: list[Example], tune: Tune, recipe: MakeRecipe, tmp_path: Path
) -> None:
    precision = Precision(dtype="bfloat16", quantization="nf4")
    _, account = tune(tmp_path, recipe(precision, **ONE_STEP))
    plain = _plain_loss(load_base(toy_base, precision), rows)
    assert account.train_losses[0][1] == pytest.approx(plain, rel=1e-3)


def test_a_gpu_keeps_the_optimizer_of_a_4_bit_base_in_8_bits() -> None:
    nf4 = Precision(dtype="bfloat16", quantization="nf4")
    assert optimizer_name(nf4, cuda=True) == "paged_adamw_8bit"
    others = [(nf4, False), (FULL, True), (FULL, False)]
    assert {optimizer_name(*other) for other in others} == {"adamw_torch_fused"}


def test_a_batch_whose_labels_are_all_masked_stops_the_training(
    rows: list[Example], encoder: Encoder, tune: Tune, recipe: MakeRecipe, tmp_path: Path
) -> None:
    masked = [Example(row.input_ids, []) for row in rows[:9]]
    batch = collate([row.prompt for row in masked], [row.answer for row in masked], encoder.pad, 0)
    assert set(batch["labels"].flatten().tolist()) == {IGNORED}
    with pytest.raises(StudyError, match="every label is masked"):
        tune(tmp_path, replace(recipe(), train=masked))
