"""Bootstrap intervals over rows, for every metric: of one system, or of two systems' difference."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from settings.labels import Labels
from stats.confusion import expected_places, metric_values, predicted_places
from stats.estimate import Estimate
from stats.intervals import paired_difference_interval
from stats.paired import alone, right_rows

FEWEST = 25  # differing rows; with fewer, the interval contains the true value too seldom
REPLICATES = 10_000

Metrics = dict[str, Estimate]  # by key of `METRICS`
Differences = Metrics


def bootstrap_differences(
    expected: Sequence[str],
    first: Sequence[str | None],
    second: Sequence[str | None],
    labels: Labels,
    confidence: float,
    seed: int,
) -> Differences:
    """Each metric of the first system minus the second, with its paired bootstrap interval over rows (n).

    10,000 resamples are drawn as counts of (label, first prediction, second prediction). Accuracy is
    the exception: its interval is `paired_difference_interval`. Macro averages of every resample run
    over the labels that occur in the observed rows. A ratio with denominator 0 is 0. The interval is
    None if the predictions differ in fewer than 25 rows, because it would contain the true value too
    seldom (docs/statistics.md).
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
    """As `bootstrap_differences`, but with the bootstrap's percentile interval for accuracy too."""
    first_places, second_places = (predicted_places(names, labels) for names in (first, second))
    tables = _resampled_tables(
        expected_places(expected, labels), first_places, second_places, labels, seed
    )
    first_values, second_values = (metric_values(table, labels) for table in tables)
    n_differing = int((first_places != second_places).sum())
    return {
        key: _estimate(
            first_values[key] - second_values[key], confidence if n_differing >= FEWEST else None
        )
        for key in first_values
    }


def bootstrap_intervals(
    expected: Sequence[str],
    predicted: Sequence[str | None],
    labels: Labels,
    confidence: float,
    seed: int,
) -> Metrics:
    """Each metric of one system, with its percentile interval by bootstrap over rows (n)."""
    places = predicted_places(predicted, labels)
    table, _ = _resampled_tables(expected_places(expected, labels), places, places, labels, seed)
    return {
        key: _estimate(values, confidence) for key, values in metric_values(table, labels).items()
    }


def _resampled_tables(
    expected: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    labels: Labels,
    seed: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Confusion counts of both systems, each (1 + REPLICATES, K, K + 1); table 0 is the observed rows.

    `expected`, `first`, `second`: places of labels (n).
    """
    k = len(labels.names)
    cells, counts = np.unique(np.stack([expected, first, second], 1), axis=0, return_counts=True)
    n = len(expected)
    draws = np.random.default_rng(seed).multinomial(n, counts / n, size=REPLICATES)
    draws = np.concatenate([counts[None], draws])
    tables = []
    for column in (1, 2):  # of `cells`: first system, second system
        place = cells[:, 0] * (k + 1) + cells[:, column]
        table = draws @ np.eye(k * (k + 1), dtype=np.int64)[place]
        tables.append(table.reshape(-1, k, k + 1))
    return tables[0], tables[1]


def _estimate(values: NDArray[np.float64], confidence: float | None) -> Estimate:
    """The observed value, which is the first, with an interval from the percentiles of the resamples.

    No interval if `confidence` is None.
    """
    observed = float(values[0])
    if confidence is None:
        return Estimate(observed, None, None)
    tail = (1 - confidence) / 2
    low, high = np.quantile(values[1:], [tail, 1 - tail])
    return Estimate(observed, min(float(low), observed), max(float(high), observed))
