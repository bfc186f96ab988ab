"""Let one model system answer the test rows: `evaluate.py SYSTEM`.

It scores every label of every sentiment row and answers freely; it answers the general test
instructions and the ten out-of-sample instructions.
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from command import run_stage, write_json, write_log
from lm.answering import answer_prompts
from lm.base import load_system, load_tokenizer, make_repeatable
from prompts.checks import load_ten
from prompts.encode import Encoder
from prompts.format import write_prompt
from prompts.templates import Template, read_templates
from rows.predictions import PREDICTIONS, write_sentiment_predictions
from rows.tables import (
    GENERAL_PREDICTIONS,
    INSTRUCTIONS,
    TEN_PREDICTIONS,
    read_table,
    table_of,
    write_table,
)
from rows.tasks import FAMILIES, is_exact
from settings import Labels, read_settings
from stats.classification import classification_metrics

BASE = Path("models/base")
INSTRUCTIONS_DIR = Path("data/instructions")
ADAPTERS = {
    "original_pretrained": None,
    "original_few_shot": None,
    "sentiment_fine_tuned": Path("models/sentiment_fine_tuned"),
    "mixed_fine_tuned": Path("models/mixed_fine_tuned"),
}
Shots = Sequence[tuple[str, str]]


def main() -> None:
    system = _arguments()
    settings = read_settings(
        "seed", "prompt_format", "instructify", "labels", "precision", "evaluate"
    )
    make_repeatable(settings.seed)
    labels, limits = settings.labels, settings.evaluate
    pool = read_templates(Path(settings.instructify.templates), labels.names)
    model = load_system(BASE, ADAPTERS[system], settings.precision)
    shots: dict[str, Shots] = {"sentiment": (), "general": ()}
    if system == "original_few_shot":
        shots = draw_shots(limits.few_shot_examples, labels, settings.seed)
    tokenizer = load_tokenizer(BASE)
    encoders = {
        task: Encoder(tokenizer, settings.prompt_format, examples)
        for task, examples in shots.items()
    }

    def answer(rows: list[str], task: str, choices: Any, limit: int, name: str) -> list[Any]:
        encoder, size = encoders[task], limits.batch_size
        prompts = [encoder.prompt(prompt) for prompt in rows]
        return answer_prompts(model, encoder, prompts, choices, limit, size, f"{system} {name}")

    # The labelled rows: the log-likelihood of every label, and a free answer read strictly.
    rows = read_table(INSTRUCTIONS_DIR / "sentiment/test.parquet", INSTRUCTIONS).to_pylist()
    by_id = {template.id: template for template in pool}
    choices = [
        _choices(by_id[row["template"]], labels.names, encoders["sentiment"]) for row in rows
    ]
    answers = answer(
        [row["prompt"] for row in rows],
        "sentiment",
        choices,
        limits.max_new_tokens_sentiment,
        "sentiment",
    )
    sentiment = [
        {
            **{key: row[key] for key in ("row_id", "label", "template", "prompt")},
            "log_likelihoods": given.log_likelihoods,
            "scored": labels.names[given.log_likelihoods.index(max(given.log_likelihoods))],
            "generated": given.text,
            "parsed": by_id[row["template"]].label_in(given.text, labels.names),
        }
        for row, given in zip(rows, answers, strict=True)
    ]

    # The general instructions: those with one right answer are right or wrong.
    rows = read_table(INSTRUCTIONS_DIR / "general/test.parquet", INSTRUCTIONS).to_pylist()
    limit = limits.max_new_tokens_general
    answers = answer([row["prompt"] for row in rows], "general", None, limit, "general")
    general = [
        {
            **{key: row[key] for key in ("row_id", "family", "prompt")},
            "expected": row["completion"],
            "generated": given.text,
            "exact": None if row["family"] is None else is_exact(row["completion"], given.text),
        }
        for row, given in zip(rows, answers, strict=True)
    ]

    # The ten out-of-sample instructions.
    entries = load_ten(Path("data/raw/ten_instructions.yaml"))
    asked = [
        write_prompt(settings.prompt_format, entry.instruction, entry.input) for entry in entries
    ]
    limit = limits.max_new_tokens_ten
    answers = answer(asked, "general", None, limit, "ten instructions")
    ten = [
        {"instruction": entry.instruction, "input": entry.input, "generated": given.text}
        for entry, given in zip(entries, answers, strict=True)
    ]

    write_sentiment_predictions(system, sentiment)
    write_table(PREDICTIONS / system / "general.parquet", table_of(general, GENERAL_PREDICTIONS))
    write_table(PREDICTIONS / system / "ten.parquet", table_of(ten, TEN_PREDICTIONS))
    metrics = measure(sentiment, general, labels, pool)
    write_json(Path(f"metrics/evaluate/{system}.json"), metrics)
    write_log(f"evaluate_{system}")
    print(f"{system}: accuracy {metrics['accuracy']:.3f} on {metrics['n']} rows")


def draw_shots(count: int, labels: Labels, seed: int) -> dict[str, Shots]:
    """Examples from the training rows, `count` a task, those of the labelled rows balanced."""
    generator = random.Random(f"{seed}:shots")
    shots: dict[str, Shots] = {}
    for task in ("sentiment", "general"):
        rows = read_table(INSTRUCTIONS_DIR / task / "train.parquet", INSTRUCTIONS)
        groups = [labels.names[turn % len(labels.names)] for turn in range(count)]
        drawn: list[tuple[str, str]] = []
        for group in groups if task == "sentiment" else [None] * count:
            of_group = [
                (prompt, completion)
                for prompt, completion, label in zip(
                    rows["prompt"].to_pylist(),
                    rows["completion"].to_pylist(),
                    rows["label"].to_pylist(),
                    strict=True,
                )
                if label == group and (prompt, completion) not in drawn
            ]
            drawn.append(generator.choice(of_group))
        generator.shuffle(drawn)
        shots[task] = drawn
    return shots


def measure(
    sentiment: list[dict[str, Any]],
    general: list[dict[str, Any]],
    labels: Labels,
    pool: Sequence[Template],
) -> dict[str, Any]:
    """The figures of `metrics/evaluate/SYSTEM.json`, from the predictions alone."""
    expected = [row["label"] for row in sentiment]
    parsed = [row["parsed"] for row in sentiment]
    held_out = {template.id for template in pool if template.held_out}
    wordings = {
        name: [row for row in sentiment if (row["template"] in held_out) == is_held_out]
        for name, is_held_out in (("seen", False), ("held_out", True))
    }
    trained = {family.name for family in FAMILIES if not family.held_out}
    seen = [row["exact"] for row in general if row["family"] in trained]
    unseen = [row["exact"] for row in general if row["family"] and row["family"] not in trained]
    bare = [
        any(template.label_in(row["generated"], labels.names) for template in pool)
        for row in general
    ]
    return {
        **classification_metrics(expected, [row["scored"] for row in sentiment], labels),
        "templates": {
            f"accuracy_{name}": _share([row["scored"] == row["label"] for row in rows])
            for name, rows in wordings.items()
        },
        "generated": {
            **classification_metrics(expected, parsed, labels),
            "invalid_rate": _share([label is None for label in parsed]),
        },
        "general": {
            "exact_seen": _share(seen),
            "n_seen": len(seen),
            "exact_held_out": _share(unseen),
            "n_held_out": len(unseen),
            "bare_label_rate": _share(bare),
            "n": len(general),
        },
    }


def _choices(template: Template, labels: Sequence[str], encoder: Encoder) -> list[list[int]]:
    return [encoder.answer(completion) for completion in template.completions(labels)]


def _share(truths: Sequence[bool]) -> float | None:
    """The share that is true; None of nothing."""
    return sum(truths) / len(truths) if truths else None


def _arguments() -> str:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=ADAPTERS)
    system: str = parser.parse_args().system
    return system


if __name__ == "__main__":
    run_stage(main)
