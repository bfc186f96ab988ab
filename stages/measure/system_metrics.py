"""All metrics of one system, computed from its tables in `predictions/`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import numpy as np
from numpy.typing import NDArray

from prompts.bare_labels import bare_labels
from prompts.templates import Template
from rows.answers import (
    EXAMPLES,
    GENERAL_PREDICTIONS,
    LABELLED_PREDICTIONS,
    LIKELIHOODS,
    SCORES,
    TEN_PREDICTIONS,
    TOKENS,
)
from rows.predictions import PREDICTIONS
from rows.tables import read_table
from settings.labels import Labels
from stats.bootstrap import Values, metric_intervals
from stats.calibration import Bin, calibration_error, reliability_bins
from stats.confusion import absent_labels, most_confused
from stats.estimate import Estimate, share
from stats.intervals import ratio_difference_interval
from stats.noise import accuracy_by_band
from stats.readings import chosen_shift, commonest_invalid, label_probabilities, shifted
from stats.wordings import Wordings, by_wording
from tasks.families import FAMILIES
from tasks.instructions import CheckedInstruction, followed

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Labelled:
    """Metrics of any system on the labelled test rows.

    `scored` (n): the most likely label of each row. `n_ties`: rows with several most likely labels, whose
    prediction is the first of these labels. `metrics`: every metric of `METRICS` by key.
    `absent_labels`: labels that no test row has; macro averages leave these labels out. `confused`: the
    commonest wrong predictions, as (label, prediction, rows). `by_agreement`:
    accuracy and number of rows by band of human agreement. `probabilities` (n, K): the labels'
    probabilities, None for a system without probabilities. `bins`: reliability bins of these.
    """

    scored: list[str | None]
    n_ties: int
    metrics: Mapping[str, Estimate]
    absent_labels: Sequence[str]
    confused: Sequence[tuple[str, str | None, int]]
    by_agreement: Mapping[str, tuple[Estimate | None, int]]
    probabilities: NDArray[np.float64] | None
    bins: Sequence[Bin]

    @property
    def n(self) -> int:
        return len(self.scored)

    @property
    def accuracy(self) -> Estimate:
        return self.metrics["accuracy"]

    @property
    def calibration_error(self) -> float | None:
        return calibration_error(self.bins) if self.bins else None


@dataclass(frozen=True)
class Answering:
    """Further metrics of a language model's answers.

    `end_counts`: share of rows whose labels were scored with the end of the answer. `example_labels`: the
    labels of the few-shot examples in the prompt. `free`: accuracy of the free answers, read strictly.
    `invalid`: share of free answers without a label. `shift`: nats added to each label's score (K),
    chosen on the validation rows. `shifted`: accuracy with these shifted scores. `wordings`: metrics of
    held-out templates (True) and templates in training. `exact_seen`, `exact_held_out`: share of exact
    answers to tasks of families in training and held out. `bare_label`: share of answers to general
    instructions that are bare labels (`prompts.bare_labels`). `nats`: negative log-likelihood a token of
    the reference answers to free-form general rows. `forgotten`: the difference of `nats` to the
    original's. `ten`: the number of `n_ten` instructions that are followed. `hundred`: the share of
    `n_hundred` further instructions that are followed.
    """

    tokens_per_row: float
    end_counts: float
    example_labels: Sequence[str]
    free: Estimate
    invalid: Estimate
    commonest_invalid: Sequence[tuple[str, int]]
    shift: Sequence[float]
    shifted: Estimate
    wordings: Mapping[bool, Wordings]
    exact_seen: Estimate | None
    exact_held_out: Estimate | None
    bare_label: Estimate
    nats: float | None
    forgotten: Estimate | None
    ten: int
    n_ten: int
    hundred: Estimate
    n_hundred: int


@dataclass(frozen=True)
class SystemMetrics:
    """All metrics of one system; `answering` is None unless the system is a language model."""

    labelled: Labelled
    answering: Answering | None


def read_labelled(system: str, test: Rows) -> Rows:
    """A system's predictions of the test rows. Raises `StudyError` if they are for other rows."""
    path = PREDICTIONS / system / "labelled.parquet"
    rows: Rows = read_table(path, LABELLED_PREDICTIONS).to_pylist()
    if [(row["row_id"], row["label"]) for row in rows] != [
        (row["row_id"], row["label"]) for row in test
    ]:
        raise StudyError(f"{path}: its rows differ from the test split: run `dvc repro`")
    return rows


def measure_labelled(
    rows: Rows, test: Rows, resampled: Mapping[str, Values], labels: Labels, confidence: float
) -> Labelled:
    """The metrics of the most likely label; `resampled` are the system's `resampled_metrics`."""
    expected, scored = [row["label"] for row in rows], [row["scored"] for row in rows]
    is_right = _equal(scored, expected)
    accuracy = share(is_right, confidence)
    assert accuracy is not None
    probabilities = None
    if all(row["log_likelihoods"] is not None for row in rows):
        probabilities = label_probabilities([row["log_likelihoods"] for row in rows])
    return Labelled(
        scored=scored,
        n_ties=sum(_is_tie(row["log_likelihoods"] or []) for row in rows),
        metrics={**metric_intervals(resampled, confidence), "accuracy": accuracy},
        absent_labels=absent_labels(expected, labels),
        confused=most_confused(expected, scored),
        by_agreement=accuracy_by_band([row["agreement"] for row in test], is_right, confidence),
        probabilities=probabilities,
        bins=[] if probabilities is None else reliability_bins(probabilities, expected, labels),
    )


def measure_answering(
    system: str,
    rows: Rows,
    pool: Sequence[Template],
    ten: Sequence[CheckedInstruction],
    hundred: Sequence[CheckedInstruction],
    original: str,
    labels: Labels,
    confidence: float,
) -> Answering:
    """The metrics of a language model's answers, from all tables in its folder in `predictions/`."""
    folder = PREDICTIONS / system
    parsed = [row["parsed"] for row in rows]
    expected = [row["label"] for row in rows]
    tokens = read_table(folder / "tokens.parquet", TOKENS).to_pylist()
    validation = read_table(folder / "validation.parquet", SCORES).to_pylist()
    shift = chosen_shift(
        [row["log_likelihoods"] for row in validation], [row["label"] for row in validation], labels
    )
    shifted_labels = shifted([row["log_likelihoods"] for row in rows], shift, labels)
    general = read_table(folder / "general.parquet", GENERAL_PREDICTIONS).to_pylist()
    families_in_training = {family.name for family in FAMILIES if not family.held_out}
    tasks = [row for row in general if row["family"] is not None]
    nats, forgotten = _forgetting(folder, PREDICTIONS / original, confidence)
    return Answering(
        tokens_per_row=sum(row["prompt_tokens"] + row["generated_tokens"] for row in tokens)
        / len(tokens),
        end_counts=sum(row["end_counts"] for row in tokens) / len(tokens),
        example_labels=_example_labels(folder),
        free=_share(_equal(parsed, expected), confidence),
        invalid=_share([label is None for label in parsed], confidence),
        commonest_invalid=commonest_invalid([row["generated"] for row in rows], parsed),
        shift=shift,
        shifted=_share(_equal(shifted_labels, expected), confidence),
        wordings=_wordings(folder, rows, pool, confidence),
        exact_seen=share(
            [row["exact"] for row in tasks if row["family"] in families_in_training], confidence
        ),
        exact_held_out=share(
            [row["exact"] for row in tasks if row["family"] not in families_in_training], confidence
        ),
        bare_label=_share(bare_labels(general, pool, labels.names), confidence),
        nats=nats,
        forgotten=forgotten,
        ten=sum(_followed(folder / "ten.parquet", ten)),
        n_ten=len(ten),
        hundred=_share(_followed(folder / "hundred.parquet", hundred), confidence),
        n_hundred=len(hundred),
    )


def _wordings(
    folder: Path, rows: Rows, pool: Sequence[Template], confidence: float
) -> dict[bool, Wordings]:
    """Metrics of the rows of wordings.parquet in every wording.

    wordings.parquet contains these rows in every wording but their own, `rows` contains them in their
    own wording.
    """
    in_other_wordings = read_table(folder / "wordings.parquet", SCORES).to_pylist()
    row_ids = {row["row_id"] for row in in_other_wordings}
    in_own_wording = [row for row in rows if row["row_id"] in row_ids]
    right: dict[str, dict[str, bool]] = {template.id: {} for template in pool}
    for row in [*in_other_wordings, *in_own_wording]:
        right[row["template"]][row["row_id"]] = row["scored"] == row["label"]
    held_out = {template.id for template in pool if template.held_out}
    return by_wording(
        {name: [by_id[row_id] for row_id in sorted(row_ids)] for name, by_id in right.items()},
        held_out,
        confidence,
    )


def _forgetting(
    folder: Path, original: Path, confidence: float
) -> tuple[float | None, Estimate | None]:
    """Negative log-likelihood a token in nats, and its difference to the original's; (None, None) for
    no row."""
    own_rows, original_rows = (
        read_table(place / "likelihoods.parquet", LIKELIHOODS).to_pylist()
        for place in (folder, original)
    )
    if not own_rows:
        return None, None
    tokens = [row["tokens"] for row in own_rows]
    own_nats, original_nats = (
        [-row["log_likelihood"] for row in rows] for rows in (own_rows, original_rows)
    )
    change = ratio_difference_interval(own_nats, original_nats, tokens, confidence)
    return sum(own_nats) / sum(tokens), Estimate(*change)


def _followed(path: Path, entries: Sequence[CheckedInstruction]) -> list[bool]:
    answers = read_table(path, TEN_PREDICTIONS)["generated"].to_pylist()
    return [followed(entry, answer) for entry, answer in zip(entries, answers, strict=True)]


def _example_labels(folder: Path) -> list[str]:
    path = folder / "examples.parquet"
    if not path.is_file():  # a system without examples
        return []
    examples = read_table(path, EXAMPLES).to_pylist()
    return [example["label"] for example in examples if example["label"] is not None]


def _is_tie(log_likelihoods: Sequence[float]) -> bool:
    """Whether two labels are most likely."""
    return log_likelihoods.count(max(log_likelihoods)) > 1 if log_likelihoods else False


def _equal(predicted: Sequence[str | None], expected: Sequence[str]) -> list[bool]:
    return [prediction == label for prediction, label in zip(predicted, expected, strict=True)]


def _share(truths: Sequence[bool], confidence: float) -> Estimate:
    estimate = share(truths, confidence)
    assert estimate is not None
    return estimate
