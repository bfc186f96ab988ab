"""Compare `scored` with lm-evaluation-harness: `cross_check.py [SYSTEM] [--rows N]`.

An outside check: lm_eval, in an environment of its own, scores the same rows with the same model
folder from a task file that is written here, and must find the same label the most likely, row by
row. Exit status 1, and a line for each row, where it does not. Two labels less than 1e-4 apart on both
sides are a tie, which the order of the model's sums decides: the project adds an adapter into the
base's weights, lm_eval keeps it apart.

lm_eval moves white space that ends a prompt (Alpaca's last newline) into the answer, so its
log-likelihoods hold that token's as well, the same for every label of a row: log-likelihoods are
compared as differences between the labels of a row.
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
from rows.answers import LABELLED_PREDICTIONS
from rows.predictions import PREDICTIONS
from rows.tables import read_table
from settings.read import read_settings
from systems import System, Trained, systems_of

BASE = Path("models/base")
LM_EVAL = Path(".venv-lm-eval/bin/lm_eval")
TASK = "cross_check"
TIE = 1e-4  # nats
BATCH_SIZE = 16  # lm_eval holds the logits of every position of a batch


@dataclass(frozen=True, slots=True)
class Row:
    """A labelled row as one system answered it: log-likelihoods in nats, one for each choice.

    `gold` and `scored`, the row's label and the one predicted, are places among the choices.
    """

    row_id: str
    prompt: str
    choices: list[str]
    gold: int
    scored: int
    log_likelihoods: list[float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows whose most likely label differs, ties apart, and the largest difference in nats."""

    differing: list[str]
    ties: list[str]
    largest: float


def main() -> None:
    systems, count = _arguments()
    if not LM_EVAL.is_file():
        raise StudyError(f"{LM_EVAL}: no such file; `make cross-check` makes its environment")
    differing = sum(cross_check(system, count) for system in systems)
    if differing:
        sys.exit(f"{differing} rows have another label in lm_eval, and are no ties")


def cross_check(system: System, count: int | None) -> int:
    """Compare the first `count` rows, print what was found; the number of rows that differ."""
    name = system.name
    rows = read_rows(name, count)
    with tempfile.TemporaryDirectory() as scratch:
        write_task(Path(scratch), rows)
        print(f"{name}: lm_eval scores {len(rows)} rows", flush=True)
        run_lm_eval(Path(scratch), system)
        theirs, accuracy = read_samples(Path(scratch), rows)
    found = compare(rows, theirs)
    ours = sum(row.scored == row.gold for row in rows) / len(rows)
    for line in (*found.ties, *found.differing):
        print(f"{name}: {line}")
    print(
        f"{name}: accuracy {ours:.4f} here, {accuracy:.4f} in lm_eval, on {len(rows)} rows; "
        f"{len(found.differing)} rows differ, {len(found.ties)} are ties; "
        f"log-likelihoods at most {found.largest:.1e} nats apart"
    )
    return len(found.differing)


def read_rows(system: str, count: int | None) -> list[Row]:
    """The first `count` rows of a system's predictions (None: all) that lm_eval encodes alike.

    Raises `StudyError` where settings, system or predictions allow no comparison.
    """
    settings = read_settings("prompt_format", "instructify", "labels", "precision")
    if settings.prompt_format != "alpaca":
        raise StudyError(
            "params.yaml: prompt_format = 'chat': predictions hold the message without the chat "
            "template; the cross-check is for alpaca"
        )
    if (settings.precision.dtype, settings.precision.quantization) != ("float32", "none"):
        raise StudyError(
            f"profiles: precision is {settings.precision.dtype}, quantization "
            f"{settings.precision.quantization}: rounded so, near labels change places; the "
            "cross-check is for float32 and none"
        )
    names = settings.labels.names
    templates = read_templates(Path(settings.instructify.templates), names, text_columns_of(POOL))
    pool = {each.id: each for each in templates}
    path = PREDICTIONS / system / "labelled.parquet"
    table = read_table(path, LABELLED_PREDICTIONS).slice(0, count)
    if not pool.keys() >= set(table["template"].to_pylist()):
        raise StudyError(f"{path}: has a template that is no more; `dvc repro` makes it anew")
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
        raise StudyError(f"{BASE}: no such folder; `dvc repro` makes it")
    tokenizer = load_tokenizer(BASE)
    encoder = Encoder(tokenizer, settings.prompt_format)
    alike = [row for row in rows if is_encoded_alike(row, tokenizer, encoder)]
    if len(alike) < len(rows):
        print(
            f"{system}: {len(rows) - len(alike)} of {len(rows)} rows are left out: lm_eval gives "
            "them other token ids (it reads special tokens in a text as such, and encodes prompt and "
            "answer together)"
        )
    if not alike:
        raise StudyError(f"{system}: no row is left to compare")
    return alike


def is_encoded_alike(row: Row, tokenizer: Any, encoder: Encoder) -> bool:
    """Whether lm_eval gives the model the ids that the project gave it, for every choice.

    It encodes prompt and answer together, and takes for the answer what follows as many ids as the
    prompt without its last white space has.
    """
    context = tokenizer(row.prompt.rstrip()).input_ids
    return all(
        context + tokenizer(row.prompt + choice).input_ids[len(context) :]
        == encoder.prompt(row.prompt) + encoder.answer(choice)
        for choice in row.choices
    )


def write_task(folder: Path, rows: Sequence[Row]) -> None:
    """Write a task file of lm_eval, and the rows that it names.

    Each `doc_to_...` is the name of a column: lm_eval takes any other text for a Jinja template, and
    a row's text is never to be parsed as one.
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
    """Let lm_eval answer the task in `folder`, offline; what it finds is left below `folder`."""
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
    # The stages are not for lm_eval to import: it needs another module that is called evaluate.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "cache")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise StudyError(f"lm_eval failed on {system.name} with status {done.returncode}: {last}")


def read_samples(folder: Path, rows: Sequence[Row]) -> tuple[list[list[float]], float]:
    """lm_eval's log-likelihoods in the order of `rows`, a number for each choice, and its accuracy."""
    results, samples = (
        sorted((folder / "found").rglob(f"{name}*")) for name in ("results_", "samples_")
    )
    if len(results) != 1 or len(samples) != 1:
        raise StudyError(f"lm_eval left {len(results)} results and {len(samples)} lists of samples")
    found: Mapping[str, Any] = json.loads(results[0].read_text(encoding="utf-8"))
    scores = {}
    with samples[0].open(encoding="utf-8") as lines:  # a text may hold what else ends a line
        for sample in map(json.loads, lines):
            scores[sample["doc"]["row_id"]] = [
                float(given[0]) for given in sample["filtered_resps"]
            ]
    missing = [row.row_id for row in rows if len(scores.get(row.row_id, ())) != len(row.choices)]
    if missing:
        raise StudyError(
            f"lm_eval left {len(missing)} of {len(rows)} rows without a score for each label, "
            f"{missing[0]} first"
        )
    return [scores[row.row_id] for row in rows], found["results"][TASK]["acc,none"]


def compare(rows: Sequence[Row], theirs: Sequence[Sequence[float]]) -> Comparison:
    """Hold each row's log-likelihoods against lm_eval's; what all labels of a row share falls out."""
    found = Comparison(
        [], [], max(_apart(row, other) for row, other in zip(rows, theirs, strict=True))
    )
    for row, other in zip(rows, theirs, strict=True):
        here, there = row.scored, other.index(max(other))
        if here == there:
            continue
        is_tie = all(abs(each[here] - each[there]) < TIE for each in (row.log_likelihoods, other))
        (found.ties if is_tie else found.differing).append(
            f"row {row.row_id}: {row.choices[here]!r} here {_shown(row.log_likelihoods)}, "
            f"{row.choices[there]!r} in lm_eval {_shown(other)}{', a tie' if is_tie else ''}"
        )
    return found


def _apart(row: Row, other: Sequence[float]) -> float:
    differences = [a - b for a, b in zip(row.log_likelihoods, other, strict=True)]
    return max(differences) - min(differences)


def _shown(log_likelihoods: Sequence[float]) -> str:
    return f"({', '.join(f'{each:.5f}' for each in log_likelihoods)})"


def _arguments() -> tuple[list[System], int | None]:
    """The systems to check and how many rows of each. Raises `StudyError` for a wrong argument."""
    systems = systems_of(read_settings("task").task)
    # Predictions do not hold the examples before a prompt, which lm_eval would need.
    checked = {system.name: system for system in systems.language_models if not system.examples}
    choices = ", ".join(checked)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", nargs="?", help=f"one of {choices}; all by default")
    parser.add_argument("--rows", type=int, help="how many of its rows; all by default")
    arguments = parser.parse_args()
    name: str | None = arguments.system
    if arguments.rows is not None and arguments.rows < 1:
        raise StudyError(f"--rows {arguments.rows}: must be 1 or more")
    if name is None:
        return list(checked.values()), arguments.rows
    if name not in checked:
        if name in {system.name for system in systems if system.examples}:
            raise StudyError(
                f"{name} reads examples before each prompt, which its predictions do not hold; the "
                f"cross-check is for {choices}"
            )
        raise StudyError(f"{name}: is no language model of this study: choose from {choices}")
    return [checked[name]], arguments.rows


if __name__ == "__main__":
    run_stage(main)
