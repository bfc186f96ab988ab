"""Intervals of every metric by bootstrap over rows: one system, or two systems on the same rows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from settings.labels import Labels
from stats.confusion import expected_places, metric_values, predicted_places
from stats.estimate import Estimate
from stats.intervals import paired_difference_interval
from stats.paired import alone, right_rows

FEWEST = 25  # differing rows: with fewer the bootstrap's interval covers too little
REPLICATES = 10_000

Metrics = dict[str, Estimate]  # by the keys of `METRICS`
Differences = Metrics


def bootstrap_differences(
    expected: Sequence[str],
    first: Sequence[str | None],
    second: Sequence[str | None],
    labels: Labels,
    confidence: float,
    seed: int,
) -> Differences:
    """First minus second of each metric, with its interval by paired bootstrap over rows (n).

    10,000 resamples are drawn as counts of (label, first prediction, second prediction). Accuracy has
    the score interval instead. A resample's macro averages run over the labels that occur in the
    observed rows; a ratio without a case is 0. No interval where the predictions differ in fewer than
    25 rows: the interval would cover too little (docs/statistics.md).
    """
    differences = percentile_differences(expected, first, second, labels, confidence, seed)
    counts = alone(right_rows(expected, first), right_rows(expected, second))
    low, high = paired_difference_interval(*counts, len(expected), confidence)
    return {**differences, "accuracy": Estimate(differences["accuracy"].value, low, high)}


def percentile_differences(
    expected: Sequence[str],
    first: Sequence[str | None],
    second: Sequence[str | None],
    labels: Labels,
    confidence: float,
    seed: int,
) -> Differences:
    """The same with the bootstrap's percentile interval for accuracy too."""
    of_first, of_second = (predicted_places(guesses, labels) for guesses in (first, second))
    tables = _resampled(expected_places(expected, labels), of_first, of_second, labels, seed)
    firsts, seconds = (metric_values(table, labels) for table in tables)
    enough = confidence if (of_first != of_second).sum() >= FEWEST else None
    return {key: _estimate(firsts[key] - seconds[key], enough) for key in firsts}


def bootstrap_intervals(
    expected: Sequence[str],
    predicted: Sequence[str | None],
    labels: Labels,
    confidence: float,
    seed: int,
) -> Metrics:
    """Each metric of one system with its percentile interval by bootstrap over rows (n)."""
    guesses = predicted_places(predicted, labels)
    table, _ = _resampled(expected_places(expected, labels), guesses, guesses, labels, seed)
    return {
        key: _estimate(values, confidence) for key, values in metric_values(table, labels).items()
    }


def _resampled(
    expected: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    labels: Labels,
    seed: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Confusion counts of both systems (1 + REPLICATES, K, K + 1): the observed rows come first."""
    k = len(labels.names)
    cells, counts = np.unique(np.stack([expected, first, second], 1), axis=0, return_counts=True)
    n = len(expected)
    draws = np.random.default_rng(seed).multinomial(n, counts / n, size=REPLICATES)
    draws = np.concatenate([counts[None], draws])
    tables = []
    for guesses in (1, 2):
        place = cells[:, 0] * (k + 1) + cells[:, guesses]
        table = draws @ np.eye(k * (k + 1), dtype=np.int64)[place]
        tables.append(table.reshape(-1, k, k + 1))
    return tables[0], tables[1]


def _estimate(values: NDArray[np.float64], confidence: float | None) -> Estimate:
    """The first value, and the percentiles of the others."""
    observed = float(values[0])
    if confidence is None:
        return Estimate(observed, None, None)
    tail = (1 - confidence) / 2
    low, high = np.quantile(values[1:], [tail, 1 - tail])
    return Estimate(observed, min(float(low), observed), max(float(high), observed))
