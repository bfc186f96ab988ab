"""Compare QLoRA on one GPU with other code: `PYTHONPATH=stages python benchmarks/gpu_qlora.py`.

The model is Mistral-7B at full width with random 4-bit weights; speed and memory are those of trained
weights. Training: this project's trainer and TRL's SFTTrainer. Evaluation: this project's batches
and `model.generate`, one row at a time. The script needs one GPU of 40 GB or more (with several GPUs, set
CUDA_VISIBLE_DEVICES=0), about 5 GB of temporary disk and no network. `--part` runs training or evaluation
only. `--tiny` runs the same code at toy width, also on the CPU. It prints Markdown for
benchmarks/RESULTS.md.

The useful work for a token is 4 N floating-point operations, where N is the number of weights in the
linear layers: 2 N forward and 2 N backward to the activations. (Kaplan et al. 2020 count 6 N; their other
2 N are the gradients of the weights, which QLoRA freezes.) Attention, adapter and LM head are not counted:
a few percent together. Recomputing activations in the backward pass costs 2 N more. This is not useful
work and is not counted.
"""

import argparse
import contextlib
import datetime
import gc
import importlib.metadata
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import runtime  # noqa: F401  # before torch
from runtime.yaml_file import read_yaml

import mistral_common
import pyarrow as pa
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    GenerationConfig,
    LlamaTokenizer,
    MistralConfig,
    MistralForCausalLM,
)
from trl import SFTConfig, SFTTrainer

from lm.answering import answer_prompts
from lm.base import load_base, load_system, make_repeatable
from lm.batches import IGNORED
from lm.choices import Choices
from lm.recipe import Recipe
from lm.training import fine_tune
from prompts.encode import Encoder, Example
from prompts.templates import read_templates
from settings.read import Profile
from tasks.words import ANIMALS, COLOURS, WORDS

REPO = Path(__file__).resolve().parents[1]
PROFILE = Profile.model_validate(read_yaml(REPO / "profiles/mistral-7b.yaml"))
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# The settings in TRL's documentation (PEFT integration, QLoRA) and in this project.
FOUR_BITS = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_compute_dtype=torch.bfloat16,
    bnb_4bit_use_double_quant=True,
)


@dataclass(frozen=True)
class Work:
    """The size of the model and of the measurements."""

    model: MistralConfig
    lengths: tuple[int, ...]  # tokens per training row
    batch_size: int  # rows per optimiser step
    warm_up: int  # optimiser steps before the clock starts
    steps: int  # timed optimiser steps
    repetitions: int
    rows: int  # rows answered in batches
    single_rows: int  # rows answered one at a time
    squares: tuple[int, ...]  # sizes of the square matrices that measure the peak rate


FULL = Work(
    model=MistralConfig(  # Mistral-7B-v0.1
        vocab_size=32_000,
        hidden_size=4096,
        intermediate_size=14_336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=32_768,
        sliding_window=4096,
    ),
    lengths=(128, 1024),
    batch_size=PROFILE.train.batch_size * PROFILE.train.gradient_accumulation,
    warm_up=2,
    steps=5,
    repetitions=3,
    rows=512,
    single_rows=24,
    squares=(4096, 8192, 16_384),
)
TINY = Work(
    model=MistralConfig(
        vocab_size=32_000,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
    ),
    lengths=(16, 32),
    batch_size=2 * PROFILE.train.gradient_accumulation,
    warm_up=1,
    steps=1,
    repetitions=1,
    rows=6,
    single_rows=2,
    squares=(64, 128),
)


def main() -> None:
    tiny, parts = _arguments()
    if DEVICE == "cpu" and not tiny:
        sys.exit("error: torch sees no GPU here; --tiny runs the same code on the CPU")
    work = TINY if tiny else FULL
    lines = [describe_machine(), ""]
    if tiny:
        lines += ["A toy model on this machine: its numbers only show that the code runs.", ""]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        base = Path(folder) / "base"
        encoder = write_base(work.model, base)
        if "train" in parts:
            lines += measure_training(work, base, encoder)
        if "evaluate" in parts:
            lines += measure_answering(work, base, encoder)
    print("\n".join(lines))


def write_base(config: MistralConfig, folder: Path) -> Encoder:
    """Write the model with random 4-bit weights as a Hugging Face folder; return its encoder.

    All layers share the same random matrices, so the whole model in 16 bits is neither on disk nor in
    memory.
    """
    torch.manual_seed(0)
    shared: dict[str, torch.Tensor] = {}
    weights = {}
    for name, weight in _on_meta(config).state_dict().items():
        key = name if weight.dim() == 1 else re.sub(r"layers\.\d+", "layers", name)
        if key not in shared:
            values = torch.randn(weight.shape, dtype=torch.bfloat16, device=DEVICE)
            shared[key] = torch.ones_like(values) if weight.dim() == 1 else 0.02 * values
        weights[name] = shared[key]
    MistralForCausalLM.from_pretrained(
        None,
        config=config,
        state_dict=weights,
        dtype=torch.bfloat16,
        quantization_config=FOUR_BITS,
        device_map=DEVICE,
    ).save_pretrained(folder)
    tokenizer = Path(mistral_common.__file__).parent / "data/tokenizer.model.v1"
    shutil.copyfile(tokenizer, folder / "tokenizer.model")
    return Encoder(LlamaTokenizer.from_pretrained(folder, add_bos_token=True), "alpaca")


# --- training -----------------------------------------------------------------------------------


def measure_training(work: Work, base: Path, encoder: Encoder) -> list[str]:
    """A Markdown table of tokens per second, share of the peak rate and memory; trainings alternate."""
    sides: dict[str, Callable[[Work, Path, Encoder, list[Example]], None]] = {
        "instruct-uplift": train_own,
        "instruct-uplift, not deterministic": partial(train_own, deterministic=False),
        "TRL's example": train_example,
        "TRL's, our adapter": train_example_with_our_adapter,
    }
    parameters = _on_meta(work.model).named_parameters()
    layers = [parameter for name, parameter in parameters if ".layers." in name]
    flops = 4 * sum(weight.numel() for weight in layers if weight.dim() == 2)  # per token
    peak = matmul_peak(work.squares)
    lines = [
        f"Training: batches of {work.batch_size} rows of exactly this length, a quarter of it the "
        f"answer; {work.steps} steps after {work.warm_up} warm-up steps, median of {work.repetitions} "
        f"alternating trainings. {flops / 1e9:,.3g} GFLOP per token; peak of square bf16 products on this "
        f"machine {peak / 1e12:,.3g} TFLOP/s. Memory is what torch's allocator counts, in 10^9 bytes.",
        "",
        "| tokens a row | training | tokens/s | to TRL's example | of the peak | peak memory, GB |",
        "|---|---|---|---|---|---|",
    ]
    for length in work.lengths:
        rows = random_rows(work.batch_size * (work.warm_up + work.steps), length, encoder.eos)
        runs: dict[str, list[Timed]] = {side: [] for side in sides}
        for _ in range(work.repetitions):
            for side, train in sides.items():
                with timed_steps(work.warm_up, work.steps) as timed:
                    train(work, base, encoder, rows)
                runs[side].append(timed)
        tokens = work.steps * work.batch_size * length
        rates = {
            side: tokens / statistics.median(run.seconds for run in timed)
            for side, timed in runs.items()
        }
        for side, rate in rates.items():
            ratio = rate / rates["TRL's example"]
            memory = statistics.median(run.peak_memory for run in runs[side]) / 1e9
            lines.append(
                f"| {length:,} | {side} | {rate:,.0f} | {ratio:.2f} | {rate * flops / peak:.0%} | "
                f"{f'{memory:.1f}' if memory else 'not measured'} |"
            )
    return [*lines, ""]


def train_own(
    work: Work, base: Path, encoder: Encoder, rows: list[Example], deterministic: bool = True
) -> None:
    """Train as stages/train.py with profiles/mistral-7b.yaml: one epoch, validated only at its end."""
    settings = PROFILE.train.model_copy(
        update={
            "epochs": 1,
            "batch_size": work.batch_size // PROFILE.train.gradient_accumulation,
            "validate_every": len(rows),
        }
    )
    make_repeatable(0, deterministic)
    model = load_base(base, PROFILE.precision)
    scratch = base.parent / "training"
    recipe = Recipe(rows, rows[:1], settings, PROFILE.precision, seed=0)
    fine_tune(model, encoder, recipe, scratch, "own")


def train_example(
    work: Work, base: Path, encoder: Encoder, rows: list[Example], adapter: Any = None
) -> None:
    """Train as TRL's documentation (PEFT integration, QLoRA), except for the batch size."""
    with _any_kernels():
        SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(
                base, quantization_config=FOUR_BITS, device_map=DEVICE
            ),
            args=SFTConfig(
                output_dir=str(base.parent / "training"),
                learning_rate=2e-4,
                num_train_epochs=1,
                per_device_train_batch_size=work.batch_size,
                save_strategy="no",
                report_to="none",
                use_cpu=DEVICE == "cpu",
            ),
            train_dataset=Dataset.from_dict(
                {
                    "input_ids": [row.input_ids for row in rows],
                    "labels": [[IGNORED] * len(row.prompt) + row.answer for row in rows],
                }
            ),
            processing_class=encoder.tokenizer,
            peft_config=adapter
            or LoraConfig(
                r=32, lora_alpha=16, lora_dropout=0.05, bias="none", task_type="CAUSAL_LM"
            ),
        ).train()


def train_example_with_our_adapter(
    work: Work, base: Path, encoder: Encoder, rows: list[Example]
) -> None:
    """The same trainer with this project's adapter (all linear layers): the same amount of work."""
    train_example(work, base, encoder, rows, our_adapter())


def our_adapter() -> LoraConfig:
    """The adapter of profiles/mistral-7b.yaml."""
    return LoraConfig(
        r=PROFILE.train.lora_rank,
        lora_alpha=PROFILE.train.lora_alpha,
        lora_dropout=PROFILE.train.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def random_rows(count: int, length: int, eos: int) -> list[Example]:
    """Rows of `length` random ids; the last quarter is the answer."""
    draws = random.Random(0)
    rows = [[draws.randrange(3, 32_000) for _ in range(length - 1)] + [eos] for _ in range(count)]
    return [Example(row[: -length // 4], row[-length // 4 :]) for row in rows]


@dataclass
class Timed:
    """Seconds of the timed steps; peak memory on the GPU in bytes, 0 without a GPU."""

    seconds: float = 0.0
    peak_memory: int = 0


@contextlib.contextmanager
def timed_steps(warm_up: int, steps: int) -> Iterator[Timed]:
    """Time `steps` optimiser steps after `warm_up`, with any trainer."""
    gc.collect()  # frees the previous trainer, which refers to itself
    timed, n_steps, started = Timed(), 0, 0.0
    before = 0
    if DEVICE == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()

    def count(*_: Any) -> None:
        nonlocal n_steps, started
        n_steps += 1
        if n_steps == warm_up:
            started = _now()
        elif n_steps == warm_up + steps:
            timed.seconds = _now() - started
            if DEVICE == "cuda":
                timed.peak_memory = torch.cuda.max_memory_allocated() - before

    hook = register_optimizer_step_post_hook(count)
    try:
        yield timed
    finally:
        hook.remove()
    assert n_steps == warm_up + steps, f"{n_steps} optimiser steps ran, not {warm_up + steps}"


def matmul_peak(sides: tuple[int, ...]) -> float:
    """The highest measured rate of square bf16 matrix products on this machine, in FLOP/s."""
    best = 0.0
    for side in sides:
        left, right = (
            torch.randn(side, side, dtype=torch.bfloat16, device=DEVICE) for _ in range(2)
        )
        for _ in range(5):
            started = _now()
            for _ in range(10):
                left @ right
            best = max(best, 10 * 2 * side**3 / (_now() - started))
    return best


# --- evaluation ---------------------------------------------------------------------------------


def measure_answering(work: Work, base: Path, encoder: Encoder) -> list[str]:
    """A Markdown table of rows per second with an unmerged adapter on 4-bit weights; the ways alternate."""
    gc.collect()
    make_repeatable(0)
    adapter = base.parent / "adapter"
    get_peft_model(load_base(base, PROFILE.precision), our_adapter()).save_pretrained(adapter)
    model = load_system(base, adapter, PROFILE.precision)
    prompts, choices = labelled_prompts(work.rows, encoder)
    limit, batch_size = PROFILE.evaluate.max_new_tokens_labelled, PROFILE.evaluate.batch_size
    inner = model.get_base_model()
    inner.generation_config = GenerationConfig(
        max_new_tokens=limit, do_sample=False, eos_token_id=encoder.eos, pad_token_id=encoder.pad
    )

    def in_batches(count: int) -> None:
        answer_prompts(
            model, encoder, prompts[:count], choices[:count], limit, batch_size, "own answers"
        )

    def one_at_a_time(count: int) -> None:
        with _any_kernels(), torch.inference_mode():
            for ids in prompts[:count]:
                inner.generate(torch.tensor([ids], device=DEVICE))

    ways = {
        "instruct-uplift, every label scored too": (in_batches, work.rows),
        "model.generate, a row at a time": (one_at_a_time, work.single_rows),
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(1 + work.repetitions):
        for way, (answer, count) in ways.items():
            started = _now()
            answer(count if turn else min(count, 8))
            if turn:  # turn 0 is the warm-up
                rates[way].append(count / (_now() - started))
    return [
        f"Evaluation: prompts of {statistics.mean(map(len, prompts)):.0f} tokens on average, at most "
        f"{limit} tokens generated, batches of at most {batch_size}; median of {work.repetitions} "
        f"turns of {work.rows} rows and {work.single_rows} rows.",
        "",
        "| evaluation | rows/s |",
        "|---|---|",
        *(f"| {way} | {statistics.median(rate):,.2f} |" for way, rate in rates.items()),
        "",
    ]


def labelled_prompts(count: int, encoder: Encoder) -> tuple[list[list[int]], list[Choices]]:
    """Token ids of prompts (about 100 tokens, all of the project's templates) and of their choices."""
    draws, words = random.Random(0), [*WORDS, *ANIMALS, *COLOURS]
    labels = PROFILE.labels.names
    pool = read_templates(REPO / "templates/sentiment.yaml", labels)
    prompts, choices = [], []
    for at in range(count):
        template = pool[at % len(pool)]
        tweet = " ".join(draws.choices(words, k=draws.randint(40, 80)))
        (prompt,) = template.prompts(pa.array([tweet]), labels, "alpaca").to_pylist()
        prompts.append(encoder.prompt(prompt))
        choices.append(encoder.choices(template.completions(labels)))
    return prompts, choices


# --- the machine --------------------------------------------------------------------------------


def describe_machine() -> str:
    """Date, GPU, driver and versions in one line."""
    hardware = ["no GPU"]
    if DEVICE == "cuda":
        memory = torch.cuda.get_device_properties(0).total_memory / 1e9
        hardware = [
            f"{torch.cuda.get_device_name()} ({memory:.0f} GB)",
            f"CUDA {torch.version.cuda}",
        ]
        if shutil.which("nvidia-smi"):
            query = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
            output = subprocess.run(query, capture_output=True, text=True, check=False).stdout
            hardware.append(f"driver {output.partition(chr(10))[0]}")
    names = ("torch", "transformers", "trl", "peft", "accelerate", "bitsandbytes")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in names]
    return ", ".join([datetime.date.today().isoformat(), *hardware, *versions])


def _on_meta(config: MistralConfig) -> Any:
    with torch.device("meta"):
        return MistralForCausalLM(config)


@contextlib.contextmanager
def _any_kernels() -> Iterator[None]:
    """Let torch use any kernel, deterministic or not: its default."""
    repeatable = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(repeatable)


def _now() -> float:
    """Seconds on the clock after the GPU has finished all its work."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _arguments() -> tuple[bool, tuple[str, ...]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="a toy model, also on the CPU")
    parser.add_argument("--part", choices=("train", "evaluate"), help="run only this part")
    arguments = parser.parse_args()
    parts = (arguments.part,) if arguments.part else ("train", "evaluate")
    return arguments.tiny, parts


if __name__ == "__main__":
    main()
