"""Confusion counts of predicted labels, and the metrics from these counts, listed in `METRICS`."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from settings.labels import Labels

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Confusion:
    """The counts of R tables of predictions that every metric needs, for K labels.

    `hits` (R, K): correct predictions by label. `expected` (R, K): rows by expected label. `predicted`
    (R, K + 1): rows by predicted label; the last column counts predictions that are not a label, which
    every metric counts as wrong. A ratio with denominator 0 is 0. Macro averages run over the labels that
    occur as expected label in at least one of the tables. Resamples are stacked with the observed table,
    so they use its labels.
    """

    hits: Values
    expected: Values
    predicted: Values
    labels: Labels

    @classmethod
    def of_tables(cls, counts: NDArray[Any], labels: Labels) -> "Confusion":
        """From tables of counts (R, K, K + 1): expected label by predicted label."""
        hits = np.diagonal(counts, axis1=1, axis2=2)
        expected, predicted = counts.sum(2), counts.sum(1)
        return cls(hits.astype(float), expected.astype(float), predicted.astype(float), labels)

    @cached_property
    def precision(self) -> Values:
        """Precision by label (R, K)."""
        return _ratio(self.hits, self.predicted[:, :-1])

    @cached_property
    def recall(self) -> Values:
        """Recall by label (R, K)."""
        return _ratio(self.hits, self.expected)

    @cached_property
    def f1(self) -> Values:
        """F1 by label (R, K)."""
        return _ratio(2 * self.hits, self.expected + self.predicted[:, :-1])

    def macro(self, by_label: Values) -> Values:
        """The mean (R) of values by label (R, K) over the labels that occur; 0 if no label occurs."""
        occurs = self.expected.any(0)
        if not occurs.any():
            return np.zeros(len(by_label))
        # In C order, the labels are summed in the same order as for a single table: the same float.
        return np.ascontiguousarray(by_label[:, occurs]).mean(1)

    def of_positive(self, by_label: Values) -> Values:
        """The positive label's values (R) if there are two labels, else the macro average (R)."""
        if len(self.labels.names) == 2:
            return by_label[:, self.labels.names.index(self.labels.positive)]
        return self.macro(by_label)

    def accuracy(self) -> Values:
        """Share of correct predictions (R)."""
        return _ratio(self.hits.sum(1), self.expected.sum(1))

    def matthews(self) -> Values:
        """Matthews correlation (R) for K labels: R_k of Gorodkin (2004); 0 where it is undefined.

        It is undefined if all expected labels are equal, or if all predictions are equal.
        """
        total = self.expected.sum(1)
        agreement = self.hits.sum(1) * total - (self.expected * self.predicted[:, :-1]).sum(1)
        spread_expected = total**2 - (self.expected**2).sum(1)
        spread_predicted = total**2 - (self.predicted**2).sum(1)
        return _ratio(agreement, np.sqrt(spread_expected * spread_predicted))


@dataclass(frozen=True)
class Metric:
    """A metric: its key in metrics files, its heading in tables, and the function that computes it.

    `is_main`: the metric is a column of the results table. Other metrics are "further metrics".
    """

    key: str
    heading: str
    compute: Callable[[Confusion], Values]
    is_main: bool = False


METRICS = (
    Metric("accuracy", "accuracy", Confusion.accuracy, is_main=True),
    Metric("f1", "F1", lambda confusion: confusion.of_positive(confusion.f1), is_main=True),
    Metric(
        "precision",
        "precision",
        lambda confusion: confusion.of_positive(confusion.precision),
        is_main=True,
    ),
    Metric(
        "recall", "recall", lambda confusion: confusion.of_positive(confusion.recall), is_main=True
    ),
    Metric("macro_f1", "macro-F1", lambda confusion: confusion.macro(confusion.f1)),
    Metric(
        "balanced_accuracy",
        "balanced accuracy",
        lambda confusion: confusion.macro(confusion.recall),
    ),
    Metric("matthews", "Matthews", Confusion.matthews),
)


def metrics_of(confusion: Confusion) -> dict[str, Values]:
    """Every metric of R tables: {metric's key: values (R)}."""
    return {metric.key: metric.compute(confusion) for metric in METRICS}


def metric_values(counts: NDArray[Any], labels: Labels) -> dict[str, Values]:
    """Every metric of R tables of counts (R, K, K + 1): {metric's key: values (R)}."""
    return metrics_of(Confusion.of_tables(counts, labels))


def classification_metrics(
    expected: Sequence[str], predicted: Sequence[str | None], labels: Labels
) -> dict[str, float | int]:
    """Every metric of one system's predictions (n), and the number of rows as `n`.

    Raises ValueError if the lengths differ, KeyError for an expected label that is not in `labels`.
    """
    values = metric_values(confusion_counts(expected, predicted, labels)[None], labels)
    return {**{key: float(value[0]) for key, value in values.items()}, "n": len(expected)}


def confusion_counts(
    expected: Sequence[str], predicted: Sequence[str | None], labels: Labels
) -> NDArray[np.int64]:
    """Rows (n) counted by expected label and predicted label (K, K + 1).

    Raises ValueError if the lengths differ, KeyError for an expected label that is not in `labels`.
    """
    if len(expected) != len(predicted):
        raise ValueError(f"{len(expected)} expected labels, {len(predicted)} predictions")
    k = len(labels.names)
    cells = expected_places(expected, labels) * (k + 1) + predicted_places(predicted, labels)
    return np.bincount(cells, minlength=k * (k + 1)).reshape(k, k + 1)


def expected_places(expected: Sequence[str], labels: Labels) -> NDArray[np.int64]:
    """The place of each row's expected label in `labels` (n). Raises KeyError for an unknown label."""
    places = {name: place for place, name in enumerate(labels.names)}
    return np.array([places[name] for name in expected], np.int64)


def predicted_places(predicted: Sequence[str | None], labels: Labels) -> NDArray[np.int64]:
    """The place of each row's predicted label in `labels` (n); K for a prediction that is not a label."""
    places: dict[str | None, int] = {name: place for place, name in enumerate(labels.names)}
    return np.array([places.get(name, len(places)) for name in predicted], np.int64)


def absent_labels(expected: Sequence[str], labels: Labels) -> list[str]:
    """The labels, in order, that are the expected label of no row. Macro averages leave them out."""
    occurring = set(expected)
    return [name for name in labels.names if name not in occurring]


def most_confused(
    expected: Sequence[str], predicted: Sequence[str | None], count: int = 10
) -> list[tuple[str, str | None, int]]:
    """The commonest wrong predictions: (label, prediction, number of rows), the most rows first."""
    pairs = Counter(pair for pair in zip(expected, predicted, strict=True) if pair[0] != pair[1])
    in_order = sorted(pairs.items(), key=lambda item: (-item[1], item[0][0], item[0][1] or ""))
    return [(label, prediction, rows) for (label, prediction), rows in in_order[:count]]


def _ratio(numerator: Values, denominator: Values) -> Values:
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator != 0)
