"""Merge a tuned model's adapter into a model folder of its own: `export.py SYSTEM [--rows N]`.

`exports/SYSTEM/` is then an ordinary Hugging Face folder (config, tokenizer, safetensors, card) that
vLLM takes, or llama.cpp's converter. It is put there only if the model survived: the first N test rows
are scored by the adapter, kept apart from the base that it was evaluated over, and by the folder, loaded
from disk as anyone would. Their log-likelihoods may differ by no more than `TOLERANCE`, and hardly a
row may change its most likely label. Otherwise the exit status is 1 and the folder stays as
`exports/SYSTEM.failed/`; an earlier export goes, its GGUF file too. `exports/SYSTEM.json`
tells either.
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

from evaluate import ADAPTERS, BASE, INSTRUCTIONS_DIR, Rows, System, score_rows
from lm.base import load_tokenizer, make_repeatable
from lm.merging import load_merged, load_unmerged, write_merged
from pages.cards import merged
from prompts.encode import Encoder
from prompts.templates import read_templates
from rows.instructions import INSTRUCTIONS
from rows.tables import read_table
from settings.model import Precision
from settings.read import Settings, read_settings

EXPORTS = Path("exports")
CARDS = Path("reports/cards")
ADAPTERS_OF = {name: adapter for name, adapter in ADAPTERS.items() if adapter is not None}
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
    system, count = _arguments()
    settings = read_settings(
        "seed", "prompt_format", "instructify", "labels", "precision", "evaluate"
    )
    card = CARDS / f"{system}.md"
    for path in (BASE, ADAPTERS_OF[system], card):
        if not path.exists():
            raise StudyError(f"{path}: does not exist; `dvc repro` makes it")
    make_repeatable(settings.seed)

    rows = read_rows(count)
    folder, failed = EXPORTS / system, EXPORTS / f"{system}.failed"
    partial = EXPORTS / f".{system}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        write_merged(BASE, ADAPTERS_OF[system], settings.precision, partial)
        print(f"{system}: {len(rows)} rows are scored by the adapter, then by the merged model")
        expected = score_adapter(system, rows, settings)
        found = score(load_merged(partial), partial, f"{system} merged", rows, settings)
        proof = compare(rows, expected, found, settings, TOLERANCE[settings.precision.dtype])
        told = describe(system, settings.precision, proof)
        text = merged(card.read_text(encoding="utf-8"), str(folder), told)
        write_text(partial / "README.md", text)
        for old in (folder, failed):
            shutil.rmtree(old, ignore_errors=True)
        for of_old in EXPORTS.glob(f"{system}*.gguf*"):
            of_old.unlink()
        os.replace(partial, folder if proof.passed else failed)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    write_json(EXPORTS / f"{system}.json", {"passed": proof.passed, **asdict(proof)})
    print("\n".join([*flip_lines(proof), told]))
    if not proof.passed:
        sys.exit(f"error: this is not the model that was evaluated; it stays in {failed}/")
    print(f"{folder}/: a whole model")


def read_rows(count: int) -> Rows:
    """The first `count` test rows."""
    table = read_table(INSTRUCTIONS_DIR / "labelled/test.parquet", INSTRUCTIONS)
    rows: Rows = table.slice(0, count).to_pylist()
    return rows


def score_adapter(system: str, rows: Rows, settings: Settings) -> Scores:
    """Score the rows by the adapter, beside its base as that was evaluated."""
    adapter = load_unmerged(BASE, ADAPTERS_OF[system], settings.precision)
    return score(adapter, BASE, f"{system} adapter", rows, settings)


def score(model: Any, tokenizer: Path, name: str, rows: Rows, settings: Settings) -> Scores:
    """Score the rows by a model, with the tokenizer of a folder."""
    labels = settings.labels
    pool = read_templates(Path(settings.instructify.templates), labels.names)
    encoder = Encoder(load_tokenizer(tokenizer), settings.prompt_format)
    system = System(name, model, {"labelled": encoder}, settings.evaluate.batch_size)
    answers = score_rows(system, "rows", rows, pool, labels)
    completions = {template.id: template.completions(labels.names) for template in pool}
    return Scores(
        system.prompts("labelled", [row["prompt"] for row in rows]),
        [[encoder.answer(text) for text in completions[row["template"]]] for row in rows],
        [answer.log_likelihoods for answer in answers],
    )


def compare(
    rows: Rows, expected: Scores, found: Scores, settings: Settings, tolerance: float
) -> Proof:
    """Hold the export's scores against the adapter's."""
    names = settings.labels.names
    before, after = np.array(expected.log_likelihoods), np.array(found.log_likelihoods)
    largest = float(np.abs(after - before).max())
    flips = [
        Flip(rows[at]["row_id"], names[was], names[now], _numbers(before[at]), _numbers(after[at]))
        for at, (was, now) in enumerate(zip(before.argmax(1), after.argmax(1), strict=True))
        if was != now
    ]
    other_tokens = [
        row["row_id"]
        for at, row in enumerate(rows)
        if expected.prompts[at] != found.prompts[at] or expected.choices[at] != found.choices[at]
    ]
    return Proof(
        len(rows), tolerance, largest if np.isfinite(largest) else None, flips, other_tokens
    )


def flip_lines(proof: Proof) -> list[str]:
    """A line for each row that flipped."""
    return [
        f"row {each.row_id}: {each.adapter} by the adapter "
        f"{_shown(each.adapter_log_likelihoods)}, {each.exported} by the export "
        f"{_shown(each.exported_log_likelihoods)}"
        for each in proof.flips
    ]


def describe(system: str, precision: Precision, proof: Proof) -> str:
    """What was made, and what the proof found, in a paragraph."""
    base = (
        "its base" if precision.quantization == "none" else "its base's dequantised 4-bit weights"
    )
    return (
        f"This model is the adapter {system} merged into {base}, in {precision.dtype}. "
        f"{described(proof)}"
    )


def described(proof: Proof) -> str:
    """What the proof found."""
    largest = "no number" if proof.largest is None else f"{proof.largest:.1e} nats"
    told = (
        f"Held against the adapter on {proof.rows} test rows it {'passed' if proof.passed else 'FAILED'}: "
        f"{len(proof.flips)} of them change their most likely label, log-likelihoods differ by at most "
        f"{largest}; {proof.tolerance:g} nats and {FLIPS:.0%} of the rows were allowed."
    )
    if proof.other_tokens:
        told += f" Its tokenizer reads {len(proof.other_tokens)} rows otherwise."
    return told


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _shown(log_likelihoods: Sequence[float | None]) -> str:
    return f"({', '.join('-' if each is None else f'{each:.4f}' for each in log_likelihoods)})"


def _arguments() -> tuple[str, int]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", help=f"one of {', '.join(ADAPTERS_OF)}")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"to prove it on; {ROWS} by default")
    given = parser.parse_args()
    require_tuned(given.system, given.rows)
    return given.system, given.rows


def require_tuned(system: str, rows: int) -> None:
    """Raise `StudyError` where there is no such tuned model, or nothing to prove it on."""
    if system not in ADAPTERS_OF:
        raise StudyError(f"{system}: no tuned model; there is {', '.join(ADAPTERS_OF)}")
    if rows < 1:
        raise StudyError(f"--rows {rows}: must be 1 or more")


if __name__ == "__main__":
    run_stage(main)
