"""Print the size, time and memory of the study; stop if it cannot run, before weights are fetched."""

import sys
from dataclasses import dataclass
from pathlib import Path

from runtime.clock import write_log
from runtime.errors import StudyError
from runtime.files import write_json
from runtime.process import run_stage
from runtime.progress import in_words

import pyarrow.compute as pc

from lm.budget import (
    Device,
    Memory,
    Shape,
    estimated_seconds,
    shape_of,
    this_device,
    training_memory,
    training_operations,
)
from lm.processes import is_sharded, processes_of
from lm.source import BASE, ENCODER, ModelInfo, look_up
from rows.instructions import INSTRUCTIONS
from rows.tables import read_table
from settings.model import Precision, Train
from settings.read import read_settings
from systems import systems_of

TEST_ROWS = Path("data/instructions/labelled/test.parquet")
CHARACTERS = 3.5  # in a token, about: the tokenizer is not fetched yet
MAX_HOURS = 72  # without a GPU: a longer training is a mistake
GIB = 2**30


@dataclass(frozen=True)
class Work:
    """One training. `tokens`: of all epochs; `longest`: of a row; `answer`: of an answer; all estimates."""

    name: str
    rows: int
    steps: int
    tokens: int
    longest: int
    answer: int


def main() -> None:
    settings = read_settings(
        "task", "base_model", "encoder.base", "encoder.max_length", "precision", "train", "launch"
    )
    train, precision = settings.train, settings.precision
    processes = processes_of(settings.launch)
    sharers = processes if is_sharded(settings.launch) else 1

    base = look_up(settings.base_model, BASE.partial)
    encoder = look_up(settings.encoder.base, ENCODER.partial, ENCODER.setting)
    require_positions(encoder, settings.encoder.max_length)
    shape = shape_of(base.config, train.lora_layers)
    device = this_device(precision.dtype)
    works = [
        work_of(system.train_stage, system.rows, train, processes)
        for system in systems_of(settings.task).tuned
    ]
    memory = max(
        (
            training_memory(shape, precision, train, work.longest, work.answer, sharers)
            for work in works
        ),
        key=lambda estimate: estimate.total,
    )
    seconds = {
        work.name: estimated_seconds(training_operations(shape, train, work.tokens), device)
        / processes
        for work in works
    }

    print(
        f"base model: {base.name}, {shape.parameters / 1e6:,.0f}M parameters, "
        f"{base.missing_bytes / 1e9:.2f} GB to download"
    )
    print(f"encoder: {encoder.name}, {encoder.missing_bytes / 1e9:.2f} GB to download")
    for work in works:
        print(
            f"{work.name}: {work.rows:,} rows, about {work.tokens:,} tokens, {work.steps:,} steps; "
            f"about {in_words(seconds[work.name])}"
        )
    print(f"test: {len(read_table(TEST_ROWS, INSTRUCTIONS)):,} rows, answered by every model")
    print(
        f"memory: about {memory.total / GIB:.1f} of {device.memory / GIB:.1f} GiB (weights "
        f"{memory.weights / GIB:.1f}, adapter {memory.adapter / GIB:.1f}, a step's activations "
        f"{memory.activations / GIB:.1f})"
    )
    print(
        f"device: {device.name}, {device.peak / 1e9:,.0f} GFLOP/s in matrix products; all trainings "
        f"take about {processes * sum(seconds.values()) / 3600:.2f} device hours"
        + (f", shared by {processes} processes" if processes > 1 else "")
    )
    require_fit(memory, device, precision, train)
    require_time(sum(seconds.values()), device, shape)

    write_json(BASE.identity, base.identity)
    write_json(ENCODER.identity, encoder.identity)
    write_log(
        "preflight",
        estimated_memory_gib=memory.total / GIB,
        **{f"{name}_estimated_seconds": value for name, value in seconds.items()},
    )


def work_of(name: str, path: Path, train: Train, processes: int) -> Work:
    """Count the rows and steps of a training; estimate its tokens from the characters of its texts.

    Raises `StudyError` if the table has no row.
    """
    rows = read_table(path, INSTRUCTIONS)
    if not len(rows):
        raise StudyError(f"{path}: contains no row to train on")
    answers = pc.utf8_length(rows["completion"])
    lengths = pc.add(pc.utf8_length(rows["prompt"]), answers)
    batches = -(-len(rows) // (train.batch_size * processes))  # of each process
    updates = -(-batches // train.gradient_accumulation)
    return Work(
        name,
        rows=len(rows),
        steps=max(1, round(updates * train.epochs)),
        tokens=round(pc.sum(lengths).as_py() * train.epochs / CHARACTERS),
        longest=round(pc.max(lengths).as_py() / CHARACTERS),
        answer=round(pc.max(answers).as_py() / CHARACTERS) + 1,
    )


def require_positions(encoder: ModelInfo, max_length: int) -> None:
    """Raise `StudyError` if texts may be longer than the encoder has positions for."""
    limit = getattr(encoder.config, "max_position_embeddings", max_length)
    if max_length > limit:
        raise StudyError(
            f"encoder.max_length = {max_length}: {encoder.name} reads at most {limit} tokens: lower "
            "encoder.max_length"
        )


def require_fit(memory: Memory, device: Device, precision: Precision, train: Train) -> None:
    """Raise `StudyError` if a step needs more memory than the device has; warn above 90% of it."""
    if memory.total <= 0.9 * device.memory:
        return
    ways = [
        way
        for way, helps in (
            ("precision.quantization: nf4", precision.quantization == "none"),
            ("precision.dtype: bfloat16", precision.dtype == "float32"),
            ("train.gradient_checkpointing: true", not train.gradient_checkpointing),
            ("a smaller train.batch_size with more gradient_accumulation", train.batch_size > 1),
            ("launch: launch/fsdp.yaml over several GPUs", device.is_gpu),
            ("a smaller base model or a larger device", True),
        )
        if helps
    ]
    message = (
        f"a training step needs about {memory.total / GIB:.1f} GiB, {device.name} has "
        f"{device.memory / GIB:.1f} GiB: set, in the profile, " + ", or ".join(ways)
    )
    if memory.total > device.memory:
        raise StudyError(message)
    print(f"WARNING: {message}", file=sys.stderr)


def require_time(seconds: float, device: Device, shape: Shape) -> None:
    """Raise `StudyError` if the trainings would take more than `MAX_HOURS` without a GPU."""
    if not device.is_gpu and seconds > MAX_HOURS * 3600:
        raise StudyError(
            f"torch sees no GPU, and training {shape.parameters / 1e9:.1f}B parameters takes "
            f"{in_words(seconds)} without a GPU: run the study on a machine with a GPU, choose profile: "
            "laptop or a smaller base_model, or take fewer rows (sources.*.take)"
        )


if __name__ == "__main__":
    run_stage(main)
