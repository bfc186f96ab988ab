"""Merge a tuned system's adapter into a model folder of its own: `export.py SYSTEM [--rows N]`.

`exports/SYSTEM/` is an ordinary Hugging Face folder (config, tokenizer, safetensors, card) for vLLM or
llama.cpp's converter. The script writes it only if the model passes a proof. The first N test rows are
scored twice: by the adapter beside its base model, and by the folder, loaded from disk as users load it.
Log-likelihoods may differ by at most `TOLERANCE`, and at most a share `FLIPS` of the rows may change
their most likely label. Where the proof fails, the exit status is 1 and the folder stays as
`exports/SYSTEM.failed/`. An earlier export and its GGUF file are removed. `exports/SYSTEM.json` holds
the proof.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runtime.errors import StudyError
from runtime.files import write_json, write_text
from runtime.process import run_stage

import numpy as np
from numpy.typing import NDArray

from evaluate import BASE, INSTRUCTIONS_DIR
from lm.answer_rows import Model, score_rows
from lm.base import load_tokenizer, make_repeatable
from lm.merging import load_merged, load_unmerged, write_merged
from pages.cards import merged
from prompts.encode import Encoder
from prompts.templates import POOL, read_templates
from rows.instructions import InstructionRow
from rows.tables import read_typed_rows
from settings.model import Precision
from settings.read import Settings, read_settings
from systems import Trained, systems_of

EXPORTS = Path("exports")
CARDS = Path("reports/cards")
ROWS = 200
# In nats. float32 leaves what the order of sums decides. bfloat16 has 8 bits: merged weights are rounded
# to them once more, in every layer; this much is a judgement, not a measurement at full width.
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.5}
FLIPS = 0.02  # the share of rows that may change their most likely label, being ties


@dataclass(frozen=True)
class Scores:
    """Of each row: the token ids of its prompt and of every label, these' log-likelihoods in nats."""

    prompts: list[list[int]]
    choices: list[list[list[int]]]
    log_likelihoods: list[list[float]]


@dataclass(frozen=True)
class Flip:
    """A row whose most likely label is another one by the exported folder; None is no number."""

    row_id: str
    adapter: str
    exported: str
    adapter_log_likelihoods: list[float | None]
    exported_log_likelihoods: list[float | None]


@dataclass(frozen=True)
class Proof:
    """What scoring the same rows by the adapter and by the exported folder showed.

    `largest` is the largest difference of a log-likelihood in nats, None where one is no number.
    """

    rows: int
    tolerance: float
    largest: float | None
    flips: list[Flip]
    other_tokens: list[str]  # ids of rows that the export's tokenizer reads otherwise

    @property
    def passed(self) -> bool:
        near = self.largest is not None and self.largest <= self.tolerance
        return near and len(self.flips) <= FLIPS * self.rows and not self.other_tokens


def main() -> None:
    settings = read_settings("task", "seed", "prompt_format", "labels", "precision", "evaluate")
    system, count = _arguments(settings.task)
    name = system.name
    card = CARDS / f"{name}.md"
    for path in (BASE, system.folder, POOL, card):
        if not path.exists():
            raise StudyError(f"{path}: does not exist; `dvc repro` makes it")
    make_repeatable(settings.seed)

    rows = read_rows(count)
    folder, failed = EXPORTS / name, EXPORTS / f"{name}.failed"
    partial = EXPORTS / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        write_merged(BASE, system.folder, settings.precision, partial)
        print(f"{name}: {len(rows)} rows are scored by the adapter, then by the merged model")
        expected = score_adapter(system, rows, settings)
        actual = score(load_merged(partial), partial, f"{name} merged", rows, settings)
        proof = compare(rows, expected, actual, settings, TOLERANCE[settings.precision.dtype])
        description = describe(name, settings.precision, proof)
        text = merged(card.read_text(encoding="utf-8"), str(folder), description)
        write_text(partial / "README.md", text)
        for old in (folder, failed):
            shutil.rmtree(old, ignore_errors=True)
        for old_gguf in EXPORTS.glob(f"{name}*.gguf*"):
            old_gguf.unlink()
        os.replace(partial, folder if proof.passed else failed)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    write_json(EXPORTS / f"{name}.json", {"passed": proof.passed, **asdict(proof)})
    print("\n".join([*flip_lines(proof), description]))
    if not proof.passed:
        sys.exit(f"error: this is not the model that was evaluated; it stays in {failed}/")
    print(f"{folder}/: a whole model")


def read_rows(count: int) -> list[InstructionRow]:
    """The first `count` test rows."""
    return read_typed_rows(INSTRUCTIONS_DIR / "labelled/test.parquet", InstructionRow)[:count]


def score_adapter(system: Trained, rows: list[InstructionRow], settings: Settings) -> Scores:
    """Score the rows by the adapter beside the base model that the adapter was evaluated over."""
    adapter = load_unmerged(BASE, system.folder, settings.precision)
    return score(adapter, BASE, f"{system.name} adapter", rows, settings)


def score(
    model: Any, tokenizer: Path, name: str, rows: list[InstructionRow], settings: Settings
) -> Scores:
    """Score the rows by a model, with the tokenizer of a folder."""
    labels = settings.labels
    pool = read_templates(POOL, labels.names)
    encoder = Encoder(load_tokenizer(tokenizer), settings.prompt_format)
    answering = Model(name, model, {"labelled": encoder}, settings.evaluate.batch_size)
    answers = score_rows(answering, "rows", rows, pool, labels)
    completions: dict[str | None, list[str]] = {
        template.id: template.completions(labels.names) for template in pool
    }
    return Scores(
        answering.prompts("labelled", [row["prompt"] for row in rows]),
        [[encoder.answer(text) for text in completions[str(row["template"])]] for row in rows],
        [answer.log_likelihoods for answer in answers],
    )


def compare(
    rows: list[InstructionRow],
    expected: Scores,
    actual: Scores,
    settings: Settings,
    tolerance: float,
) -> Proof:
    """Compare the export's scores, `actual`, with the adapter's."""
    names = settings.labels.names
    before, after = np.array(expected.log_likelihoods), np.array(actual.log_likelihoods)
    largest = float(np.abs(after - before).max())
    flips = [
        Flip(rows[at]["row_id"], names[was], names[now], _numbers(before[at]), _numbers(after[at]))
        for at, (was, now) in enumerate(zip(before.argmax(1), after.argmax(1), strict=True))
        if was != now
    ]
    other_tokens = [
        row["row_id"]
        for at, row in enumerate(rows)
        if expected.prompts[at] != actual.prompts[at] or expected.choices[at] != actual.choices[at]
    ]
    return Proof(
        len(rows), tolerance, largest if np.isfinite(largest) else None, flips, other_tokens
    )


def flip_lines(proof: Proof) -> list[str]:
    """A line for each row that flipped."""
    return [
        f"row {flip.row_id}: {flip.adapter} by the adapter "
        f"{_shown(flip.adapter_log_likelihoods)}, {flip.exported} by the export "
        f"{_shown(flip.exported_log_likelihoods)}"
        for flip in proof.flips
    ]


def describe(system: str, precision: Precision, proof: Proof) -> str:
    """What was merged into what, and the proof's result, in a paragraph."""
    base = (
        "its base" if precision.quantization == "none" else "its base's dequantised 4-bit weights"
    )
    return (
        f"This model is the adapter {system} merged into {base}, in {precision.dtype}. "
        f"{described(proof)}"
    )


def described(proof: Proof) -> str:
    """The proof's result in words."""
    largest = "no number" if proof.largest is None else f"{proof.largest:.1e} nats"
    result = (
        f"Held against the adapter on {proof.rows} test rows it {'passed' if proof.passed else 'FAILED'}: "
        f"{len(proof.flips)} of them change their most likely label, log-likelihoods differ by at most "
        f"{largest}; {proof.tolerance:g} nats and {FLIPS:.0%} of the rows were allowed."
    )
    if proof.other_tokens:
        result += f" Its tokenizer reads {len(proof.other_tokens)} rows otherwise."
    return result


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _shown(log_likelihoods: Sequence[float | None]) -> str:
    return f"({', '.join('-' if value is None else f'{value:.4f}' for value in log_likelihoods)})"


def _arguments(task: str) -> tuple[Trained, int]:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser, task)
    arguments = parser.parse_args()
    return tuned_system(arguments.system, task, arguments.rows), arguments.rows


def add_arguments(parser: argparse.ArgumentParser, task: str) -> None:
    """Add the arguments of both export scripts: SYSTEM and --rows."""
    names = ", ".join(system.name for system in systems_of(task).tuned)
    parser.add_argument("system", help=f"one of {names}")
    parser.add_argument(
        "--rows", type=int, default=ROWS, help=f"rows to prove the export on; {ROWS} by default"
    )


def tuned_system(name: str, task: str, rows: int) -> Trained:
    """The tuned system called `name`.

    Raises `StudyError` for a system that is not tuned, and for a proof on less than one row.
    """
    systems = systems_of(task)
    tuned = {system.name: system for system in systems.tuned}
    if name == systems.encoder.name:
        raise StudyError(
            f"{name}: needs no export: {systems.encoder.folder} is a whole model; `make publish` pushes it"
        )
    if name not in tuned:
        raise StudyError(f"{name}: no tuned model; there is {', '.join(tuned)}")
    if rows < 1:
        raise StudyError(f"--rows {rows}: must be 1 or more")
    return tuned[name]


if __name__ == "__main__":
    run_stage(main)
