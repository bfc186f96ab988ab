"""Training: loss on answers alone, the loss that plain code computes, the same bytes twice, NF4."""

import copy
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import pytest
import torch

from lm.base import load_base, make_repeatable
from lm.batches import IGNORED, collate
from lm.training import Trained, fine_tune, optimizer_name
from prompts.encode import Encoder, Example
from settings.model import Precision, Train

FULL = Precision(dtype="float32", quantization="none")
SETTINGS = Train(
    epochs=4,
    learning_rate=0.01,
    warmup_steps=1,
    batch_size=4,
    gradient_accumulation=2,
    gradient_checkpointing=False,
    lora_layers=None,
    lora_rank=4,
    lora_alpha=8,
    lora_dropout=0.0,
    max_length=64,
    validate_every=3,
    checkpoint_every=100,
)


@pytest.fixture(scope="module")
def encoder(mistral_tokenizer: Any) -> Encoder:
    return Encoder(mistral_tokenizer, "alpaca")


def _examples(encoder: Encoder, count: int) -> list[Example]:
    answers = ["positive", "negative", "It is both of them, or neither."]  # of unequal lengths
    return [
        encoder.example(f"Row {at}: {'good ' * (at % 5)}?", answers[at % 3]) for at in range(count)
    ]


def _tune(
    base: Path, encoder: Encoder, tmp_path: Path, settings: Train = SETTINGS, precision: Any = FULL
) -> tuple[Any, Trained]:
    make_repeatable(7)
    return fine_tune(
        load_base(base, precision),
        encoder,
        _examples(encoder, 22),
        _examples(encoder, 9),
        settings,
        precision,
        7,
        tmp_path / "scratch",
        "test",
    )


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
    toy_base: Path, encoder: Encoder, tmp_path: Path
) -> None:
    before = _plain_loss(load_base(toy_base, FULL), _examples(encoder, 9))
    model, account = _tune(toy_base, encoder, tmp_path)
    after = _plain_loss(model, _examples(encoder, 9))
    assert account.validation_losses[-1][1] == pytest.approx(after, rel=1e-4)
    assert after < before - 0.2
    assert account.steps == 4 * 3  # 22 rows in batches of 4 with 2 gathered: 3 updates an epoch
    assert account.tokens == 4 * sum(len(e.input_ids) for e in _examples(encoder, 22))
    adapter = [each for name, each in model.named_parameters() if "lora_" in name]
    assert account.trainable_parameters == sum(each.numel() for each in adapter)
    assert account.trainable_parameters < account.total_parameters
    assert not any("lm_head" in name for name, _ in model.named_parameters() if "lora_" in name)


def test_the_first_loss_is_the_plain_loss_of_its_rows(
    toy_base: Path, encoder: Encoder, tmp_path: Path
) -> None:
    # One step over all rows, its adapter still zero: the mean over all answer tokens of the base.
    one = SETTINGS.model_copy(update={"epochs": 1, "batch_size": 8, "gradient_accumulation": 3})
    _, account = _tune(toy_base, encoder, tmp_path, one)
    plain = _plain_loss(load_base(toy_base, FULL), _examples(encoder, 22))
    assert account.train_losses[0][1] == pytest.approx(plain, rel=1e-4)


def test_two_trainings_give_the_same_bits(toy_base: Path, encoder: Encoder, tmp_path: Path) -> None:
    states = []
    for _ in range(2):
        model, _ = _tune(toy_base, encoder, tmp_path)
        states.append({name: each.clone() for name, each in model.state_dict().items()})
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_checkpointing_changes_memory_not_losses(
    toy_base: Path, encoder: Encoder, tmp_path: Path
) -> None:
    checkpointed = SETTINGS.model_copy(update={"gradient_checkpointing": True})
    _, plain = _tune(toy_base, encoder, tmp_path)
    model, other = _tune(toy_base, encoder, tmp_path, checkpointed)
    assert [loss for _, loss in other.train_losses] == pytest.approx(
        [loss for _, loss in plain.train_losses], rel=1e-3
    )
    (how,) = {
        tuple(module._gradient_checkpointing_func.keywords.items())
        for module in model.modules()
        if getattr(module, "gradient_checkpointing", False)
    }
    assert how == (("use_reentrant", False),)


def test_adapters_on_the_last_layers_alone(
    toy_base: Path, encoder: Encoder, tmp_path: Path
) -> None:
    model, account = _tune(
        toy_base, encoder, tmp_path, SETTINGS.model_copy(update={"lora_layers": 1})
    )
    every, of_all = _tune(toy_base, encoder, tmp_path)

    def adapted(tuned: Any) -> set[str]:
        return {name for name, each in tuned.named_parameters() if "lora_" in name}

    assert adapted(model) == {name for name in adapted(every) if ".layers.1." in name}
    assert 2 * account.trainable_parameters == of_all.trainable_parameters
    assert account.validation_losses[-1][1] < account.train_losses[0][1] - 0.2


def test_more_layers_than_the_base_has_are_refused(
    toy_base: Path, encoder: Encoder, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match=r"train.lora_layers = 3: the base model has 2 layers"):
        _tune(toy_base, encoder, tmp_path, SETTINGS.model_copy(update={"lora_layers": 3}))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_nf4_trains_on_the_cpu(
    toy_base: Path, encoder: Encoder, tmp_path: Path, dtype: Any
) -> None:
    precision = Precision(dtype=dtype, quantization="nf4")
    model, account = _tune(toy_base, encoder, tmp_path, precision=precision)
    kinds = {type(module).__name__ for module in model.modules()}
    assert "Linear4bit" in kinds
    assert account.validation_losses[-1][1] < account.train_losses[0][1] - 0.2
    # The base computes as it will in evaluation; the adapter's small updates need all their digits.
    types = {name: each.dtype for name, each in model.named_parameters() if "norm" in name}
    assert set(types.values()) == {getattr(torch, dtype)}
    adapter = {each.dtype for name, each in model.named_parameters() if "lora_" in name}
    assert adapter == {torch.float32}


def test_the_first_loss_over_4_bit_weights_is_their_plain_loss(
    toy_base: Path, encoder: Encoder, tmp_path: Path
) -> None:
    precision = Precision(dtype="bfloat16", quantization="nf4")
    one = SETTINGS.model_copy(update={"epochs": 1, "batch_size": 8, "gradient_accumulation": 3})
    _, account = _tune(toy_base, encoder, tmp_path, one, precision)
    plain = _plain_loss(load_base(toy_base, precision), _examples(encoder, 22))
    assert account.train_losses[0][1] == pytest.approx(plain, rel=1e-3)


def test_a_gpu_keeps_the_optimizer_of_a_4_bit_base_in_8_bits() -> None:
    nf4 = Precision(dtype="bfloat16", quantization="nf4")
    assert optimizer_name(nf4, cuda=True) == "paged_adamw_8bit"
    others = [(nf4, False), (FULL, True), (FULL, False)]
    assert {optimizer_name(*other) for other in others} == {"adamw_torch_fused"}


def test_a_batch_whose_labels_are_all_masked_stops_the_training(
    toy_base: Path, encoder: Encoder, tmp_path: Path
) -> None:
    masked = [Example(example.input_ids, []) for example in _examples(encoder, 9)]
    batch = collate([row.prompt for row in masked], [row.answer for row in masked], encoder.pad, 0)
    assert set(batch["labels"].flatten().tolist()) == {IGNORED}
    with pytest.raises(StudyError, match="every label is masked"):
        fine_tune(
            load_base(toy_base, FULL),
            encoder,
            masked,
            _examples(encoder, 9),
            copy.deepcopy(SETTINGS),
            FULL,
            7,
            tmp_path / "scratch",
            "test",
        )
