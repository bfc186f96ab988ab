"""Merge a tuned system's adapter into a model folder of its own: `export.py SYSTEM [--rows N]`.

`exports/SYSTEM/` is an ordinary Hugging Face folder (config, tokenizer, safetensors, card) for vLLM or
llama.cpp's converter. The script checks the export on the first N test rows. It scores them twice: by the
adapter on its base model, and by the folder, loaded from disk as users load it. Log-likelihoods may differ
by at most `TOLERANCE`. At most a share `FLIPS` of the rows may change their most likely label. If the check
fails, the exit status is 1 and the folder's name is `exports/SYSTEM.failed/`. The script removes an earlier
export and its GGUF file. `exports/SYSTEM.json` contains the result of the check.
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
# In nats. In float32 only the order of sums differs. In bfloat16 (8 significant bits) merging rounds the
# weights of every layer once more; 0.5 is an estimate, not measured on a large model.
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.5}
FLIPS = 0.02  # share of rows that may change their most likely label (ties)


@dataclass(frozen=True)
class Scores:
    """For each row: token ids of the prompt, token ids of each label, log-likelihood (nats) of each label."""

    prompts: list[list[int]]
    choices: list[list[list[int]]]
    log_likelihoods: list[list[float]]


@dataclass(frozen=True)
class Flip:
    """A row whose most likely label differs between adapter and export; None replaces NaN and infinity."""

    row_id: str
    adapter: str
    exported: str
    adapter_log_likelihoods: list[float | None]
    exported_log_likelihoods: list[float | None]


@dataclass(frozen=True)
class Proof:
    """The result of scoring the same rows by the adapter and by the export.

    `largest` is the largest difference of a log-likelihood in nats, None if one is not finite.
    """

    rows: int
    tolerance: float
    largest: float | None
    flips: list[Flip]
    other_tokens: list[str]  # ids of rows that the export's tokenizer encodes differently

    @property
    def passed(self) -> bool:
        is_close = self.largest is not None and self.largest <= self.tolerance
        return is_close and len(self.flips) <= FLIPS * self.rows and not self.other_tokens


def main() -> None:
    settings = read_settings("task", "seed", "prompt_format", "labels", "precision", "evaluate")
    system, count = _arguments(settings.task)
    name = system.name
    card = CARDS / f"{name}.md"
    for path in (BASE, system.folder, POOL, card):
        if not path.exists():
            raise StudyError(f"{path}: does not exist; `dvc repro` writes it")
    make_repeatable(settings.seed)

    rows = read_rows(count)
    folder, failed = EXPORTS / name, EXPORTS / f"{name}.failed"
    partial = EXPORTS / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        write_merged(BASE, system.folder, settings.precision, partial)
        print(f"{name}: scoring {len(rows)} rows with the adapter, then with the merged model")
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
        sys.exit(f"error: the export does not match the evaluated model; it is in {failed}/")
    print(f"{folder}/: the complete model")


def read_rows(count: int) -> list[InstructionRow]:
    """The first `count` test rows."""
    return read_typed_rows(INSTRUCTIONS_DIR / "labelled/test.parquet", InstructionRow)[:count]


def score_adapter(system: Trained, rows: list[InstructionRow], settings: Settings) -> Scores:
    """Score the rows with the adapter on its base model, unmerged, as in evaluation."""
    adapter = load_unmerged(BASE, system.folder, settings.precision)
    return score(adapter, BASE, f"{system.name} adapter", rows, settings)


def score(
    model: Any, tokenizer: Path, name: str, rows: list[InstructionRow], settings: Settings
) -> Scores:
    """Score the rows with a model, and with the tokenizer in the folder `tokenizer`."""
    labels = settings.labels
    pool = read_templates(POOL, labels.names)
    encoder = Encoder(load_tokenizer(tokenizer), settings.prompt_format)
    named_model = Model(name, model, {"labelled": encoder}, settings.evaluate.batch_size)
    answers = score_rows(named_model, "rows", rows, pool, labels)
    completions: dict[str | None, list[str]] = {
        template.id: template.completions(labels.names) for template in pool
    }
    return Scores(
        named_model.prompts("labelled", [row["prompt"] for row in rows]),
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
    """Compare the export's scores (`actual`) with the adapter's (`expected`); `tolerance` is in nats."""
    names = settings.labels.names
    before, after = np.array(expected.log_likelihoods), np.array(actual.log_likelihoods)
    largest = float(np.abs(after - before).max())
    flips = [
        Flip(rows[at]["row_id"], names[old], names[new], _numbers(before[at]), _numbers(after[at]))
        for at, (old, new) in enumerate(zip(before.argmax(1), after.argmax(1), strict=True))
        if old != new
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
    """A line for each row whose most likely label changed."""
    return [
        f"row {flip.row_id}: {flip.adapter} by the adapter "
        f"{_formatted(flip.adapter_log_likelihoods)}, {flip.exported} by the export "
        f"{_formatted(flip.exported_log_likelihoods)}"
        for flip in proof.flips
    ]


def describe(system: str, precision: Precision, proof: Proof) -> str:
    """A paragraph: what was merged, and the result of the check."""
    base = (
        "its base" if precision.quantization == "none" else "its base's dequantised 4-bit weights"
    )
    return (
        f"This model is the adapter {system} merged into {base}, in {precision.dtype}. "
        f"{described(proof)}"
    )


def described(proof: Proof) -> str:
    """The result of the check in words."""
    largest = "not a number" if proof.largest is None else f"{proof.largest:.1e} nats"
    result = (
        f"Compared with the adapter on {proof.rows} test rows it {'passed' if proof.passed else 'FAILED'}: "
        f"{len(proof.flips)} rows change their most likely label (allowed: {FLIPS:.0%}), and "
        f"log-likelihoods differ by at most {largest} (allowed: {proof.tolerance:g} nats)."
    )
    if proof.other_tokens:
        result += f" Its tokenizer encodes {len(proof.other_tokens)} rows differently."
    return result


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _formatted(log_likelihoods: Sequence[float | None]) -> str:
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
        "--rows", type=int, default=ROWS, help=f"rows to check the export on; {ROWS} by default"
    )


def tuned_system(name: str, task: str, rows: int) -> Trained:
    """The tuned system called `name`.

    Raises `StudyError` if the system is not tuned or `rows` is less than 1.
    """
    systems = systems_of(task)
    tuned = {system.name: system for system in systems.tuned}
    if name == systems.encoder.name:
        raise StudyError(
            f"{name}: needs no export: {systems.encoder.folder} is a complete model; `make publish` pushes it"
        )
    if name not in tuned:
        raise StudyError(f"{name}: not a tuned model; choose from {', '.join(tuned)}")
    if rows < 1:
        raise StudyError(f"--rows {rows}: must be 1 or more")
    return tuned[name]


if __name__ == "__main__":
    run_stage(main)
