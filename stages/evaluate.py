"""Let one model system answer the test rows: `evaluate.py SYSTEM`.

It scores every label of every labelled row and answers freely; it answers the general test
instructions and the checked out-of-sample instructions, and tells how likely it finds
the general instructions' own answers.
"""

import argparse
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.clock import write_log
from runtime.files import write_json
from runtime.process import run_stage

from lm.answering import Answer, answer_log_likelihoods, answer_prompts
from lm.base import load_system, load_tokenizer, make_repeatable
from lm.processes import is_sharded, launch
from prompts.encode import Encoder
from prompts.format import write_prompt
from prompts.templates import POOL, Template, read_templates
from rows.answers import GENERAL_PREDICTIONS, LIKELIHOODS, SCORES, STATES, TEN_PREDICTIONS, TOKENS
from rows.instructions import INSTRUCTIONS
from rows.predictions import PREDICTIONS, write_labelled_predictions
from rows.tables import read_table, table_of, write_table
from settings.labels import Labels
from settings.read import read_settings
from stats.classification import classification_metrics
from systems import System, Trained, systems_of
from tasks.families import FAMILIES, is_exact
from tasks.instructions import HUNDRED, TEN, CheckedInstruction, load_instructions

BASE = Path("models/base")
INSTRUCTIONS_DIR = Path("data/instructions")
Shots = Sequence[tuple[str, str]]
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Model:
    """A model that answers, with the encoder of each task: a few-shot prompt has its examples there."""

    name: str
    model: Any
    encoders: Mapping[str, Encoder]
    batch_size: int

    def prompts(self, task: str, texts: Sequence[str]) -> list[list[int]]:
        return [self.encoders[task].prompt(text) for text in texts]

    def answer(self, what: str, task: str, texts: Sequence[str], limit: int) -> list[Answer]:
        """Answer freely, in at most `limit` tokens."""
        return self.score(what, task, texts, None, limit)

    def score(
        self, what: str, task: str, texts: Sequence[str], choices: Any, limit: int = 0
    ) -> list[Answer]:
        """Score the choices, the same number of texts for each prompt, and answer freely."""
        encoder = self.encoders[task]
        if choices is not None:
            choices = [[encoder.answer(choice) for choice in each] for each in choices]
        prompts, name = self.prompts(task, texts), f"{self.name} {what}"
        return answer_prompts(self.model, encoder, prompts, choices, limit, self.batch_size, name)


def main() -> None:
    settings = read_settings(
        "task", "seed", "prompt_format", "labels", "precision", "evaluate", "launch"
    )
    system = _system(settings.task)
    name = system.name
    # A model that one GPU may not hold answers in one process, its layers spread over all GPUs.
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
    shots: dict[str, Shots] = {"labelled": (), "general": ()}
    if system.examples:
        shots = draw_shots(limits.few_shot_examples, labels, settings.seed)
    tokenizer = load_tokenizer(BASE)
    adapter = system.folder if isinstance(system, Trained) else None
    model = Model(
        name,
        load_system(BASE, adapter, settings.precision, "auto" if spread else None),
        {task: Encoder(tokenizer, settings.prompt_format, each) for task, each in shots.items()},
        limits.batch_size,
    )

    # The labelled rows: the log-likelihood of every label, and a free answer read strictly.
    rows = read_table(INSTRUCTIONS_DIR / "labelled/test.parquet", INSTRUCTIONS).to_pylist()
    answers = score_rows(model, "labelled", rows, pool, labels, limits.max_new_tokens_labelled)
    labelled = read_answers(rows, answers, pool, labels)
    tokens = count_tokens(model, rows, answers)
    write_labelled_predictions(name, labelled)
    write_table(PREDICTIONS / name / "tokens.parquet", table_of(tokens, TOKENS))
    if system.kind == "original":  # what the probe reads
        states = [
            {"row_id": row["row_id"], "state": answer.state.tolist()}
            for row, answer in zip(rows, answers, strict=True)
        ]
        write_table(PREDICTIONS / name / "states.parquet", table_of(states, STATES))

    # Scores alone: of rows that may set a threshold, and of some test rows in every wording.
    for split in ("validation", "wordings"):
        rows = read_table(INSTRUCTIONS_DIR / f"labelled/{split}.parquet", INSTRUCTIONS).to_pylist()
        scores = read_answers(rows, score_rows(model, split, rows, pool, labels), pool, labels)
        write_table(PREDICTIONS / name / f"{split}.parquet", table_of(scores, SCORES))

    # The general instructions: those with one right answer are right or wrong, and how likely the
    # model finds the answer of others tells what it has forgotten.
    rows = read_table(INSTRUCTIONS_DIR / "general/test.parquet", INSTRUCTIONS).to_pylist()
    general = answer_general(model, rows, limits.max_new_tokens_general)
    write_table(PREDICTIONS / name / "general.parquet", table_of(general, GENERAL_PREDICTIONS))
    likelihoods = find_likelihoods(model, rows)
    write_table(PREDICTIONS / name / "likelihoods.parquet", table_of(likelihoods, LIKELIHOODS))

    # The out-of-sample instructions, which no training row contains and programs check.
    for what, entries, limit in checked:
        asked = [
            write_prompt(settings.prompt_format, entry.instruction, entry.input)
            for entry in entries
        ]
        answers = model.answer(f"{what} instructions", "general", asked, limit)
        said = [_said(entry, answer) for entry, answer in zip(entries, answers, strict=True)]
        write_table(PREDICTIONS / name / f"{what}.parquet", table_of(said, TEN_PREDICTIONS))

    metrics = measure(labelled, tokens, general, labels, pool)
    write_json(Path(f"metrics/evaluate/{name}.json"), metrics)
    write_log(f"evaluate_{name}")
    print(f"{name}: accuracy {metrics['accuracy']:.3f} on {metrics['n']} rows")


def score_rows(
    model: Model,
    what: str,
    rows: Rows,
    pool: Sequence[Template],
    labels: Labels,
    limit: int = 0,
) -> list[Answer]:
    """The log-likelihood of every label of every row, and a free answer of at most `limit` tokens."""
    by_id = {template.id: template for template in pool}
    choices = [by_id[row["template"]].completions(labels.names) for row in rows]
    return model.score(what, "labelled", [row["prompt"] for row in rows], choices, limit)


def read_answers(
    rows: Rows, answers: Sequence[Answer], pool: Sequence[Template], labels: Labels
) -> Rows:
    """Both readings of the answers: the most likely label, and the one that the free answer names."""
    by_id = {template.id: template for template in pool}
    return [
        {
            **{key: row[key] for key in ("row_id", "label", "template", "prompt")},
            "log_likelihoods": given.log_likelihoods,
            "scored": labels.names[given.log_likelihoods.index(max(given.log_likelihoods))],
            "generated": given.text,
            "parsed": by_id[row["template"]].label_in(given.text, labels.names),
        }
        for row, given in zip(rows, answers, strict=True)
    ]


def count_tokens(model: Model, rows: Rows, answers: Sequence[Answer]) -> Rows:
    """What each row costs: the tokens of its prompt, examples included, and of the free answer."""
    prompts = model.prompts("labelled", [row["prompt"] for row in rows])
    return [
        {
            "row_id": row["row_id"],
            "prompt_tokens": len(prompt),
            "generated_tokens": given.tokens,
        }
        for row, prompt, given in zip(rows, prompts, answers, strict=True)
    ]


def answer_general(model: Model, rows: Rows, limit: int) -> Rows:
    """A free answer to every general instruction, judged where there is one right answer."""
    answers = model.answer("general", "general", [row["prompt"] for row in rows], limit)
    return [
        {
            **{key: row[key] for key in ("row_id", "family", "prompt")},
            "expected": row["completion"],
            "generated": given.text,
            "exact": None if row["family"] is None else is_exact(row["completion"], given.text),
        }
        for row, given in zip(rows, answers, strict=True)
    ]


def find_likelihoods(model: Model, rows: Rows) -> Rows:
    """The log-likelihood of the own answer of every general row that no program made."""
    rows = [row for row in rows if row["family"] is None]
    encoder = model.encoders["general"]
    prompts = model.prompts("general", [row["prompt"] for row in rows])
    answers = [encoder.answer(row["completion"]) for row in rows]
    found = answer_log_likelihoods(
        model.model, encoder, prompts, answers, model.batch_size, f"{model.name} likelihoods"
    )
    return [
        {
            "row_id": row["row_id"],
            "log_likelihood": log_likelihood,
            "tokens": len(answer),
        }
        for row, log_likelihood, answer in zip(rows, found, answers, strict=True)
    ]


def draw_shots(count: int, labels: Labels, seed: int) -> dict[str, Shots]:
    """Examples from the training rows, `count` a task, those of the labelled rows balanced."""
    generator = random.Random(f"{seed}:shots")
    shots: dict[str, Shots] = {}
    for task in ("labelled", "general"):
        rows = read_table(INSTRUCTIONS_DIR / task / "train.parquet", INSTRUCTIONS)
        groups = [labels.names[turn % len(labels.names)] for turn in range(count)]
        drawn: list[tuple[str, str]] = []
        for group in groups if task == "labelled" else [None] * count:
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
    labelled: Rows, tokens: Rows, general: Rows, labels: Labels, pool: Sequence[Template]
) -> dict[str, Any]:
    """The figures of `metrics/evaluate/SYSTEM.json`, from the predictions alone."""
    expected = [row["label"] for row in labelled]
    parsed = [row["parsed"] for row in labelled]
    trained = {family.name for family in FAMILIES if not family.held_out}
    seen = [row["exact"] for row in general if row["family"] in trained]
    unseen = [row["exact"] for row in general if row["family"] and row["family"] not in trained]
    bare = [
        any(template.label_in(row["generated"], labels.names) for template in pool)
        for row in general
    ]
    spent = [row["prompt_tokens"] + row["generated_tokens"] for row in tokens]
    return {
        **classification_metrics(expected, [row["scored"] for row in labelled], labels),
        "tokens_per_row": sum(spent) / len(spent),
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


def _said(entry: CheckedInstruction, answer: Answer) -> dict[str, str]:
    return {"instruction": entry.instruction, "input": entry.input, "generated": answer.text}


def _share(truths: Sequence[bool]) -> float | None:
    """The share that is true; None of nothing."""
    return sum(truths) / len(truths) if truths else None


def _system(task: str) -> System:
    """The language model that the command line names."""
    models = {system.name: system for system in systems_of(task).language_models}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=models)
    return models[parser.parse_args().system]


if __name__ == "__main__":
    run_stage(main)
