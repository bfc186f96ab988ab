"""Let one language model answer the test rows: `evaluate.py SYSTEM`.

Labelled rows: every label is scored, and the model answers freely. General and checked instructions: the
model answers freely. General instructions with many right answers: the expected answer is scored.
"""

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.clock import write_log
from runtime.files import write_json
from runtime.process import run_stage

from lm.answer_rows import (
    Model,
    answer_checked,
    answer_general,
    hidden_states,
    label_scores,
    labelled_predictions,
    score_general,
    score_rows,
    token_counts,
)
from lm.base import load_system, load_tokenizer, make_repeatable
from lm.processes import is_sharded, launch
from prompts.bare_labels import bare_labels
from prompts.encode import Encoder
from prompts.format import PromptFormat
from prompts.templates import POOL, Template, read_templates
from rows.answers import (
    EXAMPLES,
    GENERAL_PREDICTIONS,
    LIKELIHOODS,
    SCORES,
    STATES,
    TEN_PREDICTIONS,
    TOKENS,
    FewShotExample,
    GeneralPrediction,
    LabelledPrediction,
    TokenCount,
)
from rows.instructions import InstructionRow
from rows.predictions import PREDICTIONS, write_labelled_predictions
from rows.tables import read_typed_rows, table_of, write_table
from settings.labels import Labels
from settings.model import Evaluate
from settings.read import read_settings
from stats.confusion import classification_metrics
from systems import System, Trained, systems_of
from tasks.families import FAMILIES
from tasks.instructions import HUNDRED, TEN, load_instructions

BASE = Path("models/base")
INSTRUCTIONS_DIR = Path("data/instructions")


def main() -> None:
    settings = read_settings(
        "task", "seed", "prompt_format", "labels", "precision", "evaluate", "launch"
    )
    system = _system(settings.task)
    name, folder = system.name, PREDICTIONS / system.name
    # One GPU may be too small for a sharded model: one process then spreads it over all GPUs.
    spread = is_sharded(settings.launch)
    launch(None if spread else settings.launch)
    make_repeatable(settings.seed, settings.precision.deterministic)
    labels, limits = settings.labels, settings.evaluate
    pool = read_templates(POOL, labels.names)
    # Read before the model answers: a mistake in these files must not cost minutes.
    checked = (
        ("ten", load_instructions(TEN), limits.max_new_tokens_ten),
        ("hundred", load_instructions(HUNDRED), limits.max_new_tokens_hundred),
    )
    tokenizer = load_tokenizer(BASE)
    rows = read_typed_rows(INSTRUCTIONS_DIR / "labelled/test.parquet", InstructionRow)
    limit = label_limit(Encoder(tokenizer, settings.prompt_format), pool, labels, limits)
    general_rows = read_typed_rows(INSTRUCTIONS_DIR / "general/test.parquet", InstructionRow)
    shots: dict[str, list[FewShotExample]] = {"labelled": [], "general": []}
    if system.examples:
        drawn = draw_examples(limits.few_shot_examples, labels, settings.seed)
        for task, task_rows, longest in (
            ("labelled", rows, limit),
            ("general", general_rows, limits.max_new_tokens_general),
        ):
            prompts = [row["prompt"] for row in task_rows]
            shots[task] = fitting_examples(
                drawn[task], tokenizer, settings.prompt_format, prompts, longest
            )
        write_table(
            folder / "examples.parquet", table_of([*shots["labelled"], *shots["general"]], EXAMPLES)
        )
    adapter = system.folder if isinstance(system, Trained) else None
    model = Model(
        name,
        load_system(BASE, adapter, settings.precision, "auto" if spread else None),
        {
            task: encoder_of(tokenizer, settings.prompt_format, examples)
            for task, examples in shots.items()
        },
        limits.batch_size,
    )

    # Labelled test rows: the log-likelihood of every label, and a free answer.
    started = time.perf_counter()
    answers = score_rows(model, "labelled", rows, pool, labels, limit)
    milliseconds = 1000 * (time.perf_counter() - started) / len(rows)
    labelled = labelled_predictions(rows, answers, pool, labels)
    tokens = token_counts(model, rows, answers, pool, labels)
    write_labelled_predictions(name, labelled)
    write_table(folder / "tokens.parquet", table_of(tokens, TOKENS))
    if system.kind == "original":  # the probe reads the hidden states
        write_table(folder / "states.parquet", table_of(hidden_states(rows, answers), STATES))

    # Log-likelihoods alone: validation rows, which set a threshold, and test rows in every wording.
    for split in ("validation", "wordings"):
        rows = read_typed_rows(INSTRUCTIONS_DIR / f"labelled/{split}.parquet", InstructionRow)
        scores = label_scores(rows, score_rows(model, split, rows, pool, labels), labels)
        write_table(folder / f"{split}.parquet", table_of(scores, SCORES))

    # General test instructions: exact match where one answer is right. Where many answers are right, the
    # log-likelihood of the expected answer measures forgetting.
    general = answer_general(model, general_rows, limits.max_new_tokens_general)
    write_table(folder / "general.parquet", table_of(general, GENERAL_PREDICTIONS))
    write_table(
        folder / "likelihoods.parquet", table_of(score_general(model, general_rows), LIKELIHOODS)
    )

    # Checked instructions: no training row contains one, and programs check the answers.
    for file, entries, limit in checked:
        title = f"{file} instructions"
        predictions = answer_checked(model, title, entries, settings.prompt_format, limit)
        write_table(folder / f"{file}.parquet", table_of(predictions, TEN_PREDICTIONS))

    metrics = measure(labelled, tokens, general, labels, pool)
    write_json(Path(f"metrics/evaluate/{name}.json"), metrics)
    write_log(f"evaluate_{name}", milliseconds_per_test_row=milliseconds)
    print(f"{name}: accuracy {metrics['accuracy']:.3f} on {metrics['n']} rows")


def label_limit(
    encoder: Encoder, pool: Sequence[Template], labels: Labels, limits: Evaluate
) -> int:
    """The most tokens of a free answer to a labelled row: enough for the longest label and its end."""
    longest = max(
        len(encoder.answer(answer)) + 1
        for template in pool
        for answer in template.completions(labels.names)
    )
    if longest > limits.max_new_tokens_labelled:
        print(
            f"evaluate.max_new_tokens_labelled = {limits.max_new_tokens_labelled}: the longest label "
            f"needs {longest} tokens, so {longest} are generated"
        )
    return max(longest, limits.max_new_tokens_labelled)


def draw_examples(count: int, labels: Labels, seed: int) -> dict[str, list[FewShotExample]]:
    """Draw at most `count` training rows for each task as few-shot examples.

    Labelled examples are balanced: every label has equally many, or, with more labels than examples,
    `count` labels that the seed draws have one each. A label with too few training rows has fewer.
    """
    generator = random.Random(f"{seed}:shots")
    names = labels.names
    shown = names if len(names) <= count else generator.sample(names, count)
    wanted: dict[str, list[str | None]] = {
        "labelled": [*shown * (count // len(shown))],
        "general": [None] * count,
    }
    examples: dict[str, list[FewShotExample]] = {}
    for task, wanted_labels in wanted.items():
        rows = read_typed_rows(INSTRUCTIONS_DIR / task / "train.parquet", InstructionRow)
        drawn: list[FewShotExample] = []
        for label in wanted_labels:
            candidates: list[FewShotExample] = [
                {
                    "task": task,
                    "label": label,
                    "prompt": row["prompt"],
                    "completion": row["completion"],
                }
                for row in rows
                if row["label"] == label
            ]
            candidates = [candidate for candidate in candidates if candidate not in drawn]
            if candidates:
                drawn.append(generator.choice(candidates))
            else:
                print(f"few-shot examples: no further training row has the label {label}")
        generator.shuffle(drawn)
        examples[task] = drawn
    return examples


def encoder_of(
    tokenizer: Any, prompt_format: PromptFormat, examples: Sequence[FewShotExample]
) -> Encoder:
    """The encoder whose prompts begin with these examples."""
    shots = [(example["prompt"], example["completion"]) for example in examples]
    return Encoder(tokenizer, prompt_format, shots)


def fitting_examples(
    examples: list[FewShotExample],
    tokenizer: Any,
    prompt_format: PromptFormat,
    prompts: Sequence[str],
    limit: int,
) -> list[FewShotExample]:
    """The first examples with which the longest prompt and its answer fit into the base model's context.

    `limit`: the most tokens of an answer.
    """
    config = json.loads((BASE / "config.json").read_text(encoding="utf-8"))
    positions = config.get("text_config", config).get("max_position_embeddings", float("inf"))
    plain = encoder_of(tokenizer, prompt_format, [])
    longest = max((len(plain.prompt(prompt)) for prompt in prompts), default=0) + limit
    n_fitting = len(examples)
    while n_fitting:
        encoder = encoder_of(tokenizer, prompt_format, examples[:n_fitting])
        if len(encoder.prompt("")) + longest <= positions:
            break
        n_fitting -= 1
    if n_fitting < len(examples):
        print(
            f"few-shot examples: only {n_fitting} of {len(examples)} fit into the {positions:,} tokens that "
            "the base model reads"
        )
    return examples[:n_fitting]


def measure(
    labelled: Sequence[LabelledPrediction],
    tokens: Sequence[TokenCount],
    general: Sequence[GeneralPrediction],
    labels: Labels,
    pool: Sequence[Template],
) -> dict[str, Any]:
    """The metrics of `metrics/evaluate/SYSTEM.json`, computed from the predictions alone."""
    expected = [row["label"] for row in labelled]
    parsed = [row["parsed"] for row in labelled]
    trained_families = {family.name for family in FAMILIES if not family.held_out}
    checked = [row for row in general if row["family"] is not None]
    seen = [row["exact"] for row in checked if row["family"] in trained_families]
    held_out = [row["exact"] for row in checked if row["family"] not in trained_families]
    n_tokens = [row["prompt_tokens"] + row["generated_tokens"] for row in tokens]
    return {
        **classification_metrics(expected, [row["scored"] for row in labelled], labels),
        "tokens_per_row": sum(n_tokens) / len(n_tokens),
        "generated": {
            **classification_metrics(expected, parsed, labels),
            "invalid_rate": _share([label is None for label in parsed]),
        },
        "general": {
            "exact_seen": _share(seen),
            "n_seen": len(seen),
            "exact_held_out": _share(held_out),
            "n_held_out": len(held_out),
            "bare_label_rate": _share(bare_labels(general, pool, labels.names)),
            "n": len(general),
        },
    }


def _share(values: Sequence[bool | None]) -> float | None:
    """The share of values that are true; None if there is no value."""
    return sum(value is True for value in values) / len(values) if values else None


def _system(task: str) -> System:
    """The language model that the command line names."""
    models = {system.name: system for system in systems_of(task).language_models}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=models)
    return models[parser.parse_args().system]


if __name__ == "__main__":
    run_stage(main)
