"""The tables that a system's answers are written to, in `predictions/SYSTEM/`."""

from typing import Annotated, TypedDict

import pyarrow as pa

from rows.tables import row_schema


class LabelledPrediction(TypedDict):
    """The answer to a labelled test row.

    `log_likelihoods`: in nats, in the order of the labels. `scored`: the most likely label.
    `generated`: the free answer. `parsed`: the label that the free answer names. A system that reads
    no prompt has neither template nor prompt nor free answer.
    """

    row_id: str
    label: str
    template: str | None
    prompt: str | None
    log_likelihoods: list[float] | None
    scored: str | None
    generated: str | None
    parsed: str | None


class GeneralPrediction(TypedDict):
    """The answer to a general instruction. `exact`: None where many answers are right."""

    row_id: str
    family: str | None
    prompt: str
    expected: str
    generated: str
    exact: bool | None


class CheckedPrediction(TypedDict):
    """The answer to one of the ten or hundred checked instructions."""

    instruction: str
    input: str
    generated: str


class Score(TypedDict):
    """Scored labels without a free answer: of a validation row, or of a test row in another wording."""

    row_id: str
    label: str
    template: str
    log_likelihoods: list[float]
    scored: str


class Likelihood(TypedDict):
    """The log-likelihood, in nats, of a general instruction's own answer, and the answer's tokens."""

    row_id: str
    log_likelihood: float
    tokens: int


class HiddenState(TypedDict):
    """The hidden state at the end of a prompt. Shape of `state`: (hidden size,)."""

    row_id: str
    state: Annotated[list[float], pa.list_(pa.float32())]


class TokenCount(TypedDict):
    """The tokens of a prompt, examples included, and of the free answer.

    `end_counts`: whether the labels' log-likelihoods include the end of the answer.
    """

    row_id: str
    prompt_tokens: int
    generated_tokens: int
    end_counts: bool


class FewShotExample(TypedDict):
    """An example in every prompt of a task. `label`: None for a general instruction."""

    task: str
    label: str | None
    prompt: str
    completion: str


LABELLED_PREDICTIONS = row_schema(LabelledPrediction)
GENERAL_PREDICTIONS = row_schema(GeneralPrediction)
TEN_PREDICTIONS = row_schema(CheckedPrediction)
SCORES = row_schema(Score)
LIKELIHOODS = row_schema(Likelihood)
STATES = row_schema(HiddenState)
TOKENS = row_schema(TokenCount)
EXAMPLES = row_schema(FewShotExample)
