"""Bootstrap intervals over rows, for every metric: of one system, or of two systems' difference.

All systems are resampled together: a resample has the same rows for every system.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from settings.labels import Labels
from stats.confusion import Confusion, expected_places, metrics_of, predicted_places
from stats.estimate import Estimate
from stats.intervals import paired_difference_interval
from stats.paired import alone, right_rows

FEWEST = 25  # differing rows; with fewer, the interval contains the true value too seldom
REPLICATES = 10_000
_CHUNK = 4_000_000  # numbers of the resamples in memory at a time

Metrics = dict[str, Estimate]  # by key of `METRICS`
Differences = Metrics
Values = NDArray[np.float64]


def resampled_metrics(
    expected: Sequence[str],
    predictions: Mapping[str, Sequence[str | None]],
    labels: Labels,
    seed: int,
) -> dict[str, dict[str, Values]]:
    """Every metric of every system on the same resamples of the rows (n).

    {system: {key of the metric: values (1 + REPLICATES)}}; value 0 is that of the observed rows. The
    resamples depend on the number of rows and the seed alone, not on the systems. Macro averages of
    every resample run over the labels that occur in the observed rows. A ratio with denominator 0 is 0.
    """
    k = len(labels.names)
    columns = [expected_places(expected, labels)]
    columns += [predicted_places(predicted, labels) for predicted in predictions.values()]
    # Rows with equal label and predictions are one cell: a resample is a count of each cell (C).
    cells, cell_of_row = np.unique(np.stack(columns), axis=1, return_inverse=True)
    n_rows, n_cells = len(expected), cells.shape[1]
    observed = np.bincount(cell_of_row, minlength=n_cells)[None]
    generator = np.random.default_rng(seed)
    size = max(1, _CHUNK // max(n_rows, n_cells))
    chunks: dict[str, list[dict[str, Values]]] = {name: [] for name in predictions}
    for start in range(0, REPLICATES, size):
        shape = (min(size, REPLICATES - start), n_rows)
        drawn = cell_of_row[generator.integers(n_rows, size=shape)]
        drawn += n_cells * np.arange(shape[0])[:, None]
        counts = np.bincount(drawn.ravel(), minlength=shape[0] * n_cells).reshape(shape[0], n_cells)
        draws = np.ascontiguousarray(np.concatenate([observed, counts]).T, float)
        n_expected = _sums(draws, cells[0], k)
        for name, predicted in zip(predictions, cells[1:], strict=True):
            hits = _sums(draws, np.where(predicted == cells[0], predicted, k), k + 1)[:, :k]
            confusion = Confusion(hits, n_expected, _sums(draws, predicted, k + 1), labels)
            first = 1 if start else 0  # every chunk begins with the observed rows
            values = metrics_of(confusion)
            chunks[name].append({key: of_metric[first:] for key, of_metric in values.items()})
    return {
        name: {key: np.concatenate([chunk[key] for chunk in parts]) for key in parts[0]}
        for name, parts in chunks.items()
    }


def metric_intervals(values: Mapping[str, Values], confidence: float) -> Metrics:
    """Each metric of one system, with the percentile interval of its resampled `values`."""
    return {key: _estimate(of_metric, confidence) for key, of_metric in values.items()}


def metric_differences(
    expected: Sequence[str],
    first: Sequence[str | None],
    second: Sequence[str | None],
    first_values: Mapping[str, Values],
    second_values: Mapping[str, Values],
    confidence: float,
) -> Differences:
    """Each metric of the first system minus the second, with its paired bootstrap interval.

    `first_values` and `second_values` are resampled together. Accuracy is the exception: its interval is
    `paired_difference_interval`. The interval is None if the predictions differ in fewer than 25 rows,
    because it would contain the true value too seldom (docs/statistics.md).
    """
    n_differing = sum(one != other for one, other in zip(first, second, strict=True))
    differences = percentile_differences(
        first_values, second_values, confidence if n_differing >= FEWEST else None
    )
    counts = alone(right_rows(expected, first), right_rows(expected, second))
    low, high = paired_difference_interval(*counts, len(expected), confidence)
    return {**differences, "accuracy": Estimate(differences["accuracy"].value, low, high)}


def percentile_differences(
    first_values: Mapping[str, Values],
    second_values: Mapping[str, Values],
    confidence: float | None,
) -> Differences:
    """Each metric of the first system minus the second, with the percentile interval of the differences.

    The values are resampled together. No interval if `confidence` is None.
    """
    return {
        key: _estimate(first_values[key] - second_values[key], confidence) for key in first_values
    }


def _sums(draws: Values, places: NDArray[np.int64], size: int) -> Values:
    """The draws (C, R) added up by the place of each cell (C): (R, size)."""
    of_place = (places, np.arange(len(places)))
    by_place = csr_matrix((np.ones(len(places)), of_place), shape=(size, len(places)))
    return np.asarray((by_place @ draws).T)


def _estimate(values: Values, confidence: float | None) -> Estimate:
    """The observed value, which is the first, with an interval from the percentiles of the resamples.

    No interval if `confidence` is None.
    """
    observed = float(values[0])
    if confidence is None:
        return Estimate(observed, None, None)
    tail = (1 - confidence) / 2
    low, high = np.quantile(values[1:], [tail, 1 - tail])
    return Estimate(observed, min(float(low), observed), max(float(high), observed))
