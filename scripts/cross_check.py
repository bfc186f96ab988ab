"""Compare `scored` with lm-evaluation-harness: `cross_check.py [SYSTEM] [--rows N]`.

This is an independent check. The script writes a task file, and lm_eval scores the same rows with the same
model folder in an environment of its own. Both must predict the same label for each row. The script prints a
line for each row that differs; exit status 1 if there is one. Two labels less than 1e-4 apart on both
sides are a tie: rounding decides it. The project merges an adapter into the base's weights, lm_eval
does not.

lm_eval moves white space at the end of a prompt (Alpaca's last newline) into the answer. Its
log-likelihoods include this token, which is the same for every label of a row. Therefore the script
compares differences between the labels of a row.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import StudyError
from runtime.process import run_stage

import yaml

from lm.base import load_tokenizer
from prompts.encode import Encoder
from prompts.templates import POOL, read_templates, text_columns_of
from rows.answers import LABELLED_PREDICTIONS, TOKENS
from rows.predictions import PREDICTIONS
from rows.tables import read_table
from settings.read import read_settings
from systems import System, Trained, systems_of

BASE = Path("models/base")
LM_EVAL = Path(".venv-lm-eval/bin/lm_eval")
TASK = "cross_check"
TIE = 1e-4  # nats
BATCH_SIZE = 16  # lm_eval keeps the logits of every position of a batch in memory


@dataclass(frozen=True, slots=True)
class Row:
    """A labelled row and one system's log-likelihoods in nats, one for each choice.

    `gold` is the index of the row's label in `choices`, `scored` that of the predicted label.
    """

    row_id: str
    prompt: str
    choices: list[str]
    gold: int
    scored: int
    log_likelihoods: list[float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A line for each row whose predicted label differs, ties apart; the largest difference in nats."""

    differing: list[str]
    ties: list[str]
    largest: float


def main() -> None:
    systems, count = _arguments()
    if not LM_EVAL.is_file():
        raise StudyError(f"{LM_EVAL}: no such file; `make cross-check` installs it")
    differing = sum(cross_check(system, count) for system in systems)
    if differing:
        sys.exit(f"{differing} rows have a different label in lm_eval and are not ties")


def cross_check(system: System, count: int | None) -> int:
    """Compare the first `count` rows (None: all), print the result, return the number that differ."""
    name = system.name
    rows = read_rows(name, count)
    with tempfile.TemporaryDirectory() as scratch:
        write_task(Path(scratch), rows)
        print(f"{name}: lm_eval scores {len(rows)} rows", flush=True)
        run_lm_eval(Path(scratch), system)
        theirs, accuracy = read_samples(Path(scratch), rows)
    comparison = compare(rows, theirs)
    ours = sum(row.scored == row.gold for row in rows) / len(rows)
    for line in (*comparison.ties, *comparison.differing):
        print(f"{name}: {line}")
    print(
        f"{name}: accuracy {ours:.4f} here, {accuracy:.4f} in lm_eval, on {len(rows)} rows; "
        f"{len(comparison.differing)} rows differ, {len(comparison.ties)} are ties; "
        f"log-likelihoods differ by at most {comparison.largest:.1e} nats"
    )
    return len(comparison.differing)


def read_rows(system: str, count: int | None) -> list[Row]:
    """Those of a system's first `count` predictions (None: all) that lm_eval encodes to the same ids.

    Raises `StudyError` if the settings, the system or the predictions cannot be compared.
    """
    settings = read_settings("prompt_format", "instructify", "labels", "precision")
    if settings.prompt_format != "alpaca":
        raise StudyError(
            "params.yaml: prompt_format = 'chat': predictions contain the message without the chat "
            "template; the cross-check needs alpaca"
        )
    if (settings.precision.dtype, settings.precision.quantization) != ("float32", "none"):
        raise StudyError(
            f"profiles: precision is {settings.precision.dtype}, quantization "
            f"{settings.precision.quantization}: this rounding swaps labels of similar likelihood; the "
            "cross-check needs float32 and none"
        )
    names = settings.labels.names
    templates = read_templates(Path(settings.instructify.templates), names, text_columns_of(POOL))
    pool = {template.id: template for template in templates}
    path = PREDICTIONS / system / "labelled.parquet"
    table = read_table(path, LABELLED_PREDICTIONS).slice(0, count)
    if not pool.keys() >= set(table["template"].to_pylist()):
        raise StudyError(
            f"{path}: uses a template that no longer exists; `dvc repro` writes new predictions"
        )
    tokens = read_table(PREDICTIONS / system / "tokens.parquet", TOKENS).slice(0, count)
    if any(tokens["end_counts"].to_pylist()):
        raise StudyError(
            f"{system}: the tokens of one label begin the tokens of another label, so the end of the answer "
            "counts in every score; lm_eval does not count the end, and the cross-check needs other labels"
        )
    rows = [
        Row(
            row["row_id"],
            row["prompt"],
            pool[row["template"]].completions(names),
            names.index(row["label"]),
            names.index(row["scored"]),
            row["log_likelihoods"],
        )
        for row in table.to_pylist()
    ]
    if not BASE.is_dir():
        raise StudyError(f"{BASE}: no such folder; `dvc repro` writes it")
    tokenizer = load_tokenizer(BASE)
    encoder = Encoder(tokenizer, settings.prompt_format)
    comparable = [row for row in rows if is_encoded_alike(row, tokenizer, encoder)]
    if len(comparable) < len(rows):
        print(
            f"{system}: {len(rows) - len(comparable)} of {len(rows)} rows are skipped: lm_eval encodes "
            "them to different token ids (it parses special tokens inside a text, and encodes prompt "
            "and answer together)"
        )
    if not comparable:
        raise StudyError(f"{system}: no row is left to compare")
    return comparable


def is_encoded_alike(row: Row, tokenizer: Any, encoder: Encoder) -> bool:
    """Whether lm_eval and the project encode the row to the same ids, for every choice.

    lm_eval encodes prompt and answer together. It splits them after as many ids as the prompt has
    without its last white space.
    """
    context = tokenizer(row.prompt.rstrip()).input_ids
    return all(
        context + tokenizer(row.prompt + choice).input_ids[len(context) :]
        == encoder.prompt(row.prompt) + encoder.answer(choice)
        for choice in row.choices
    )


def write_task(folder: Path, rows: Sequence[Row]) -> None:
    """Write a task file for lm_eval and the rows that the file names.

    Every `doc_to_...` is the name of a column. lm_eval would parse any other text as a Jinja template,
    and a row's text must not be parsed.
    """
    data = folder / "rows.jsonl"
    lines = [
        {"row_id": row.row_id, "prompt": row.prompt, "choices": row.choices, "gold": row.gold}
        for row in rows
    ]
    data.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    task = {
        "task": TASK,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "prompt",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    (folder / f"{TASK}.yaml").write_text(yaml.safe_dump(task, sort_keys=False), encoding="utf-8")


def run_lm_eval(folder: Path, system: System) -> None:
    """Run lm_eval offline on the task in `folder`; its results are in `folder/found`."""
    model = f"pretrained={BASE},dtype=float32"
    if isinstance(system, Trained):
        model += f",peft={system.folder}"
    command: list[str | Path] = [
        LM_EVAL,
        "run",
        "--model",
        "hf",
        "--model_args",
        model,
        "--tasks",
        TASK,
    ]
    command += ["--include_path", folder, "--output_path", folder / "found", "--log_samples"]
    command += ["--device", "cpu", "--batch_size", str(BATCH_SIZE)]
    # Without PYTHONPATH: lm_eval must not import stages/evaluate.py instead of its package evaluate.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "cache")}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if process.returncode:
        last_line = (process.stderr.strip().splitlines() or ["no message"])[-1]
        raise StudyError(
            f"lm_eval failed on {system.name} with status {process.returncode}: {last_line}"
        )


def read_samples(folder: Path, rows: Sequence[Row]) -> tuple[list[list[float]], float]:
    """lm_eval's log-likelihoods in nats, (row, choice) in the order of `rows`, and its accuracy."""
    results, samples = (
        sorted((folder / "found").rglob(f"{name}*")) for name in ("results_", "samples_")
    )
    if len(results) != 1 or len(samples) != 1:
        raise StudyError(
            f"lm_eval wrote {len(results)} result files and {len(samples)} sample files; expected one each"
        )
    summary: Mapping[str, Any] = json.loads(results[0].read_text(encoding="utf-8"))
    scores = {}
    with samples[0].open(encoding="utf-8") as lines:  # a text may contain other line separators
        for sample in map(json.loads, lines):
            responses = sample["filtered_resps"]
            scores[sample["doc"]["row_id"]] = [float(response[0]) for response in responses]
    missing = [row.row_id for row in rows if len(scores.get(row.row_id, ())) != len(row.choices)]
    if missing:
        raise StudyError(
            f"lm_eval wrote no score for some label of {len(missing)} of {len(rows)} rows, "
            f"first for row {missing[0]}"
        )
    return [scores[row.row_id] for row in rows], summary["results"][TASK]["acc,none"]


def compare(rows: Sequence[Row], theirs: Sequence[Sequence[float]]) -> Comparison:
    """Compare log-likelihoods with lm_eval's, (row, choice); an offset shared by a row's labels cancels."""
    pairs = list(zip(rows, theirs, strict=True))
    comparison = Comparison([], [], max(_largest_difference(row, other) for row, other in pairs))
    for row, other in pairs:
        ours = row.scored
        lm_eval = other.index(max(other))
        if ours == lm_eval:
            continue
        is_tie = all(abs(side[ours] - side[lm_eval]) < TIE for side in (row.log_likelihoods, other))
        (comparison.ties if is_tie else comparison.differing).append(
            f"row {row.row_id}: {row.choices[ours]!r} here {_formatted(row.log_likelihoods)}, "
            f"{row.choices[lm_eval]!r} in lm_eval {_formatted(other)}{', a tie' if is_tie else ''}"
        )
    return comparison


def _largest_difference(row: Row, other: Sequence[float]) -> float:
    differences = [a - b for a, b in zip(row.log_likelihoods, other, strict=True)]
    return max(differences) - min(differences)


def _formatted(log_likelihoods: Sequence[float]) -> str:
    return f"({', '.join(f'{value:.5f}' for value in log_likelihoods)})"


def _arguments() -> tuple[list[System], int | None]:
    """The systems to check and the number of rows of each. Raises `StudyError` for a wrong argument."""
    systems = systems_of(read_settings("task").task)
    # lm_eval would need the examples before a prompt, but predictions do not contain them.
    checked = {system.name: system for system in systems.language_models if not system.examples}
    choices = ", ".join(checked)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", nargs="?", help=f"one of {choices}; all by default")
    parser.add_argument("--rows", type=int, help="how many rows to check; all by default")
    arguments = parser.parse_args()
    name: str | None = arguments.system
    if arguments.rows is not None and arguments.rows < 1:
        raise StudyError(f"--rows {arguments.rows}: must be 1 or more")
    if name is None:
        return list(checked.values()), arguments.rows
    if name not in checked:
        if name in {system.name for system in systems if system.examples}:
            raise StudyError(
                f"{name}: its predictions do not contain the examples before each prompt; choose from "
                f"{choices}"
            )
        raise StudyError(f"{name}: not a language model of this study; choose from {choices}")
    return [checked[name]], arguments.rows


if __name__ == "__main__":
    run_stage(main)
