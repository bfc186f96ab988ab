"""What a training will need is counted from the real architecture, and near what it then takes."""

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.autograd.graph import saved_tensors_hooks
from transformers import LlamaConfig, MistralConfig, MistralForCausalLM

from lm.budget import (
    matmul_peak,
    shape_of,
    training_memory,
    training_operations,
    weights_bytes,
)
from settings.model import Precision, Train

NF4 = Precision(dtype="bfloat16", quantization="nf4")
FP32 = Precision(dtype="float32", quantization="none")


@pytest.fixture
def train(train_settings: Callable[..., Train]) -> Train:
    return train_settings(
        epochs=1, gradient_accumulation=1, lora_rank=16, lora_dropout=0.0, max_length=512
    )


def mistral_7b() -> MistralConfig:
    return MistralConfig(
        vocab_size=32000,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
    )


def test_the_counts_are_mistrals_published_ones() -> None:
    shape = shape_of(mistral_7b(), None)
    assert shape.parameters == 7_241_732_096
    assert 16 * shape.adapted == 41_943_040  # LoRA of rank 16 on all linear modules
    assert 14.4e9 < weights_bytes(shape, Precision(dtype="bfloat16", quantization="none")) < 14.5e9
    assert 4.0e9 < weights_bytes(shape, NF4) < 4.3e9


def test_of_weights_that_are_shared_out_each_holds_its_part_and_two_layers(train: Train) -> None:
    shape = shape_of(mistral_7b(), None)
    whole, part = weights_bytes(shape, NF4), weights_bytes(shape, NF4, 8)
    assert whole - part == pytest.approx(shape.linear / 2 * (1 - 1 / 8 - 2 / 32), rel=1e-6)
    memory = training_memory(shape, NF4, train, 512, 8, 8)
    assert memory.weights == part
    toy = shape_of(LlamaConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2), None)
    assert weights_bytes(toy, FP32, 2) == weights_bytes(toy, FP32)


def test_adapters_on_the_last_layers_alone_are_fewer() -> None:
    every, last = shape_of(mistral_7b(), None), shape_of(mistral_7b(), 8)
    assert last.adapted == every.adapted // 4
    assert last.linear == every.linear


def test_tied_embeddings_count_once() -> None:
    sizes = {"vocab_size": 100, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    tied = shape_of(LlamaConfig(**sizes, num_attention_heads=2, tie_word_embeddings=True), None)
    apart = shape_of(LlamaConfig(**sizes, num_attention_heads=2, tie_word_embeddings=False), None)
    assert apart.parameters - tied.parameters == 100 * 16


def test_the_activations_are_near_those_that_a_step_keeps(train: Train) -> None:
    config = MistralConfig(
        vocab_size=64,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    torch.manual_seed(0)
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(MistralForCausalLM(config), lora)
    own = {each.data_ptr() for each in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.randint(64, (4, 96))
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        model(input_ids=ids, logits_to_keep=1).logits.sum().backward()
    told = training_memory(
        shape_of(config, None), FP32, train.model_copy(update={"lora_rank": 4}), 96, 1
    )
    assert told.activations == pytest.approx(sum(kept.values()), rel=0.25)


def test_checkpointing_trades_memory_for_operations(train: Train) -> None:
    shape = shape_of(mistral_7b(), None)
    checkpointed = train.model_copy(update={"gradient_checkpointing": True})
    plain, less = (training_memory(shape, NF4, each, 512, 8) for each in (train, checkpointed))
    assert less.activations < plain.activations / 8
    assert less.weights == plain.weights
    operations = [training_operations(shape, each, 1000) for each in (train, checkpointed)]
    assert operations[1] == 1.5 * operations[0]
    assert operations[0] == pytest.approx(4 * 6.98e9 * 1000, rel=0.01)


def test_nothing_flows_back_below_the_adapted_layers(train: Train) -> None:
    every, last = shape_of(mistral_7b(), None), shape_of(mistral_7b(), 8)
    whole, part = (training_operations(shape, train, 1000) for shape in (every, last))
    assert part == (2 + 2 / 4) / 4 * whole
    memory = [training_memory(shape, NF4, train, 512, 8) for shape in (every, last)]
    assert memory[1].activations < memory[0].activations / 3


def test_the_matmul_peak_is_that_of_a_machine() -> None:
    assert 1e8 < matmul_peak("float32", 256) < 1e17
