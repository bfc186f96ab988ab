"""The rows of predictions that a language model's answers give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from lm.answering import Answer, answer_log_likelihoods, answer_prompts
from prompts.encode import Encoder
from prompts.format import PromptFormat, write_prompt
from prompts.templates import Template
from rows.answers import (
    CheckedPrediction,
    GeneralPrediction,
    HiddenState,
    LabelledPrediction,
    Likelihood,
    Score,
    TokenCount,
)
from rows.instructions import InstructionRow, label_of
from settings.labels import Labels
from tasks.exact_match import is_exact
from tasks.instructions import CheckedInstruction

Rows = Sequence[InstructionRow]


@dataclass(frozen=True)
class Model:
    """A language model with one encoder for each task. An encoder holds the task's few-shot examples."""

    name: str
    model: Any
    encoders: Mapping[str, Encoder]
    batch_size: int

    def prompts(self, task: str, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of the prompts, few-shot examples included."""
        return [self.encoders[task].prompt(text) for text in texts]

    def answer(self, title: str, task: str, texts: Sequence[str], limit: int) -> list[Answer]:
        """Answer each prompt freely, in at most `limit` tokens. The progress bar shows `title`."""
        return self.score(title, task, texts, None, limit)

    def score(
        self,
        title: str,
        task: str,
        texts: Sequence[str],
        choices: Sequence[Sequence[str]] | None,
        limit: int = 0,
    ) -> list[Answer]:
        """Score the choices of each prompt, then answer freely in at most `limit` tokens.

        Every prompt has the same number of choices.
        """
        encoder, ids = self.encoders[task], None
        if choices is not None:
            of_choices = cache(encoder.choices)  # a wording's answers are those of many rows
            ids = [of_choices(tuple(row_choices)) for row_choices in choices]
        prompts, name = self.prompts(task, texts), f"{self.name} {title}"
        return answer_prompts(self.model, encoder, prompts, ids, limit, self.batch_size, name)


def score_rows(
    model: Model,
    title: str,
    rows: Rows,
    pool: Sequence[Template],
    labels: Labels,
    limit: int = 0,
) -> list[Answer]:
    """Score every label of every labelled row, then answer freely in at most `limit` tokens."""
    choices = [template.completions(labels.names) for template in _templates_of(rows, pool)]
    return model.score(title, "labelled", [row["prompt"] for row in rows], choices, limit)


def label_scores(rows: Rows, answers: Sequence[Answer], labels: Labels) -> list[Score]:
    """The log-likelihood of every label, and the most likely label, of each labelled row."""
    return [
        {
            "row_id": row["row_id"],
            "label": label_of(row),
            "template": str(row["template"]),
            "log_likelihoods": answer.log_likelihoods,
            "scored": labels.names[answer.log_likelihoods.index(max(answer.log_likelihoods))],
        }
        for row, answer in zip(rows, answers, strict=True)
    ]


def labelled_predictions(
    rows: Rows, answers: Sequence[Answer], pool: Sequence[Template], labels: Labels
) -> list[LabelledPrediction]:
    """Both readings of each labelled row's answer: the most likely label, and the free answer's label."""
    return [
        {
            "row_id": score["row_id"],
            "label": score["label"],
            "template": score["template"],
            "prompt": row["prompt"],
            "log_likelihoods": score["log_likelihoods"],
            "scored": score["scored"],
            "generated": answer.text,
            "parsed": template.label_in(answer.text, labels.names),
        }
        for row, score, answer, template in zip(
            rows,
            label_scores(rows, answers, labels),
            answers,
            _templates_of(rows, pool),
            strict=True,
        )
    ]


def token_counts(
    model: Model,
    rows: Rows,
    answers: Sequence[Answer],
    pool: Sequence[Template],
    labels: Labels,
) -> list[TokenCount]:
    """The cost of each labelled row: tokens of its prompt, examples included, and of its free answer."""
    encoder = model.encoders["labelled"]
    end_counts = {
        template.id: encoder.ends_count(template.completions(labels.names)) for template in pool
    }
    prompts = model.prompts("labelled", [row["prompt"] for row in rows])
    return [
        {
            "row_id": row["row_id"],
            "prompt_tokens": len(prompt),
            "generated_tokens": answer.tokens,
            "end_counts": end_counts[str(row["template"])],
        }
        for row, prompt, answer in zip(rows, prompts, answers, strict=True)
    ]


def hidden_states(rows: Rows, answers: Sequence[Answer]) -> list[HiddenState]:
    """The hidden state at the end of each row's prompt."""
    return [
        {"row_id": row["row_id"], "state": answer.state.tolist()}
        for row, answer in zip(rows, answers, strict=True)
    ]


def answer_general(model: Model, rows: Rows, limit: int) -> list[GeneralPrediction]:
    """Answer every general instruction freely; compare the answer where one answer is right."""
    answers = model.answer("general", "general", [row["prompt"] for row in rows], limit)
    return [
        {
            "row_id": row["row_id"],
            "family": row["family"],
            "prompt": row["prompt"],
            "expected": row["completion"],
            "generated": answer.text,
            "exact": None if row["family"] is None else is_exact(row["completion"], answer.text),
        }
        for row, answer in zip(rows, answers, strict=True)
    ]


def score_general(model: Model, rows: Rows) -> list[Likelihood]:
    """The log-likelihood of the expected answer of every general row without a family."""
    rows = [row for row in rows if row["family"] is None]
    encoder = model.encoders["general"]
    prompts = model.prompts("general", [row["prompt"] for row in rows])
    expected = [encoder.answer(row["completion"]) for row in rows]
    log_likelihoods = answer_log_likelihoods(
        model.model, encoder, prompts, expected, model.batch_size, f"{model.name} likelihoods"
    )
    return [
        {"row_id": row["row_id"], "log_likelihood": log_likelihood, "tokens": len(ids)}
        for row, log_likelihood, ids in zip(rows, log_likelihoods, expected, strict=True)
    ]


def answer_checked(
    model: Model,
    title: str,
    entries: Sequence[CheckedInstruction],
    prompt_format: PromptFormat,
    limit: int,
) -> list[CheckedPrediction]:
    """Answer every checked instruction freely."""
    prompts = [write_prompt(prompt_format, entry.instruction, entry.input) for entry in entries]
    answers = model.answer(title, "general", prompts, limit)
    return [
        {"instruction": entry.instruction, "input": entry.input, "generated": answer.text}
        for entry, answer in zip(entries, answers, strict=True)
    ]


def _templates_of(rows: Rows, pool: Sequence[Template]) -> list[Template]:
    """The template of each labelled row. Raises `KeyError` for a row without a template of the pool."""
    by_id = {template.id: template for template in pool}
    return [by_id[str(row["template"])] for row in rows]
