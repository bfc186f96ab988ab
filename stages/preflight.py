"""Print the size, time and memory of the study; stop if it cannot run, before weights are fetched."""

import sys
from dataclasses import dataclass
from pathlib import Path

from runtime.clock import write_log
from runtime.errors import StudyError
from runtime.files import write_json
from runtime.process import run_stage
from runtime.progress import in_words

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

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
from prompts.encode import Encoder
from rows.instructions import INSTRUCTIONS
from rows.tables import read_table
from settings.model import Precision, Train
from settings.read import read_settings
from systems import systems_of

INSTRUCTIONS_DIR = Path("data/instructions")
MOST_COUNTED = 20_000  # rows of a table whose tokens are counted; of a larger table, a sample
MAX_HOURS = 72  # without a GPU: a longer training is a mistake
GIB = 2**30


@dataclass(frozen=True)
class Work:
    """One training. `tokens`: of all epochs; `longest`: of a row; `answer`: of an answer, in tokens."""

    name: str
    rows: int
    steps: int
    tokens: int
    longest: int
    answer: int


def main() -> None:
    settings = read_settings(
        "task",
        "prompt_format",
        "base_model",
        "encoder.base",
        "encoder.max_length",
        "precision",
        "train",
        "evaluate.max_new_tokens_general",
        "launch",
    )
    train, precision = settings.train, settings.precision
    processes = processes_of(settings.launch)
    sharers = processes if is_sharded(settings.launch) else 1

    base = look_up(settings.base_model, BASE.partial)
    encoder = look_up(settings.encoder.base, ENCODER.partial, ENCODER.setting)
    require_positions(encoder, settings.encoder.max_length)
    shape = shape_of(base.config, train.lora_layers)
    device = this_device(precision.dtype)
    text_encoder = Encoder(base.tokenizer, settings.prompt_format)
    works = [
        work_of(system.train_stage, system.rows, text_encoder, train, processes)
        for system in systems_of(settings.task).tuned
    ]
    require_context(base, text_encoder, settings.evaluate.max_new_tokens_general)
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
    n_test = len(read_table(INSTRUCTIONS_DIR / "labelled/test.parquet", INSTRUCTIONS))
    print(f"test: {n_test:,} rows, answered by every model")
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


def work_of(name: str, path: Path, encoder: Encoder, train: Train, processes: int) -> Work:
    """Count the rows, steps and tokens of a training.

    Raises `StudyError` if the table has no row, and for rows longer than `train.max_length`.
    """
    lengths = token_lengths(path, encoder)
    if not lengths.n_rows:
        raise StudyError(f"{path}: contains no row to train on")
    too_long = lengths.rows > train.max_length
    if too_long.any():
        raise StudyError(
            f"{name}: {too_long.sum():,} of {len(too_long):,} rows have more than train.max_length = "
            f"{train.max_length} tokens; the longest, row {lengths.row_ids[lengths.rows.argmax()]}, has "
            f"{lengths.rows.max():,}: raise train.max_length, or shorten the texts or leave them out"
        )
    batches = -(-lengths.n_rows // (train.batch_size * processes))  # of each process
    updates = -(-batches // train.gradient_accumulation)
    return Work(
        name,
        rows=lengths.n_rows,
        steps=max(1, round(updates * train.epochs)),
        tokens=round(lengths.mean * lengths.n_rows * train.epochs),
        longest=int(lengths.rows.max()),
        answer=int(lengths.answers.max()),
    )


@dataclass(frozen=True)
class Lengths:
    """The tokens of counted rows (n): of prompt and answer, and of the answer with its end.

    `n_rows`: all rows of the table, of which n are counted. `mean`: the tokens of a row of the table.
    """

    n_rows: int
    mean: float
    row_ids: list[str]
    rows: NDArray[np.int64]
    answers: NDArray[np.int64]


def token_lengths(path: Path, encoder: Encoder) -> Lengths:
    """Count the tokens of a table's rows: of all, or of `MOST_COUNTED` rows at equal distances.

    A tenth of the counted rows of a large table are those with the most characters.
    """
    table = read_table(path, INSTRUCTIONS)
    n_rows = n_spread = len(table)
    if n_rows > MOST_COUNTED:
        n_longest = MOST_COUNTED // 10
        n_spread = MOST_COUNTED - n_longest
        characters = pc.add(pc.utf8_length(table["prompt"]), pc.utf8_length(table["completion"]))
        longest = np.argsort(-characters.to_numpy())[:n_longest]
        spread = np.linspace(0, n_rows - 1, n_spread).astype(int)
        table = table.take(np.concatenate([spread, longest]))
    prompts = [len(encoder.prompt(prompt)) for prompt in table["prompt"].to_pylist()]
    answers = [len(encoder.answer(answer)) + 1 for answer in table["completion"].to_pylist()]
    rows = np.array(prompts, np.int64) + np.array(answers, np.int64)
    mean = float(rows[:n_spread].mean()) if n_rows else 0.0
    return Lengths(n_rows, mean, table["row_id"].to_pylist(), rows, np.array(answers, np.int64))


def require_context(base: ModelInfo, encoder: Encoder, max_new_tokens_general: int) -> None:
    """Raise `StudyError` if a row that the models answer is longer than the base model reads."""
    limit = getattr(base.config.get_text_config(), "max_position_embeddings", None)
    if limit is None:
        return
    tables = [f"labelled/{split}.parquet" for split in ("validation", "test", "wordings")]
    for name in (*tables, "general/test.parquet"):
        lengths = token_lengths(INSTRUCTIONS_DIR / name, encoder)
        needed = lengths.rows
        if name.startswith("general"):
            needed = needed - lengths.answers + max_new_tokens_general
        n_too_long = int((needed > limit).sum())
        if n_too_long:
            raise StudyError(
                f"{INSTRUCTIONS_DIR / name}: {n_too_long:,} of {len(needed):,} rows do not fit into the "
                f"{limit:,} tokens that {base.name} reads; row {lengths.row_ids[needed.argmax()]} needs "
                f"{needed.max():,} with its answer: shorten the texts or leave them out, or choose another "
                "base model"
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
