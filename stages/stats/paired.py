"""Two systems on the same rows: the exact test, and the bootstrap of every figure's difference."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from settings.labels import Labels
from stats.estimate import Estimate
from stats.intervals import paired_difference_interval

METRICS = ("accuracy", "f1", "precision", "recall", "macro_f1")
FEWEST = 25  # differing rows: with fewer the bootstrap's interval covers too little
REPLICATES = 10_000

Differences = dict[str, Estimate]


def right_rows(expected: Sequence[str], predicted: Sequence[str | None]) -> NDArray[np.bool_]:
    """Which rows (n) a system gets right; a null prediction is wrong."""
    return np.array(
        [guess == label for guess, label in zip(predicted, expected, strict=True)], bool
    )


def alone(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[int, int]:
    """How many of the rows the first system alone gets right, and the second alone."""
    return int((first & ~second).sum()), int((second & ~first).sum())


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """The two-sided p value of McNemar's exact test (McNemar 1947); 1 where no row differs.

    Twice the lesser tail of a binomial with one half, which is symmetric.
    """
    lesser = min(only_first, only_second)
    return min(1.0, 2 * float(bdtr(lesser, only_first + only_second, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values adjusted for being several (Holm 1979), in their order."""
    values = np.asarray(p_values, float)
    order = values.argsort(kind="stable")
    factors = len(values) - np.arange(len(values))
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * values[order]), 1.0)
    return [float(p) for p in adjusted]


def bootstrap_differences(
    expected: Sequence[str],
    first: Sequence[str | None],
    second: Sequence[str | None],
    labels: Labels,
    confidence: float,
    seed: int,
) -> Differences:
    """First minus second of each figure, with its interval by paired bootstrap over rows.

    The figures are those of `classification_metrics`. 10,000 resamples are drawn as counts of
    (label, first's guess, second's guess), and their percentiles taken; accuracy has the score
    interval instead. No interval where fewer than 25 rows are told apart: there it would cover too
    little (docs/statistics.md).
    """
    found = bootstrap_figures(expected, first, second, labels, confidence, seed)
    counts = alone(right_rows(expected, first), right_rows(expected, second))
    low, high = paired_difference_interval(*counts, len(expected), confidence)
    return {**found, "accuracy": Estimate(found["accuracy"].value, low, high)}


def bootstrap_figures(
    expected: Sequence[str],
    first: Sequence[str | None],
    second: Sequence[str | None],
    labels: Labels,
    confidence: float,
    seed: int,
) -> Differences:
    """The same with the bootstrap's interval for accuracy as well."""
    of_first, of_second = (_codes(each, labels) for each in (first, second))
    tables = _resampled(_codes(expected, labels), of_first, of_second, labels, seed)
    one, other = (figures_of(table, labels) for table in tables)
    enough = confidence if (of_first != of_second).sum() >= FEWEST else None
    return {name: _estimate(one[name] - other[name], enough) for name in METRICS}


def bootstrap_intervals(
    expected: Sequence[str],
    predicted: Sequence[str | None],
    labels: Labels,
    confidence: float,
    seed: int,
) -> Differences:
    """Each figure of one system with its interval by bootstrap over rows."""
    guesses = _codes(predicted, labels)
    table, _ = _resampled(_codes(expected, labels), guesses, guesses, labels, seed)
    return {
        name: _estimate(values, confidence) for name, values in figures_of(table, labels).items()
    }


def _codes(names: Sequence[str | None], labels: Labels) -> NDArray[np.int_]:
    """Labels as their places; a null as the place after the last."""
    places: dict[str | None, int] = {name: at for at, name in enumerate(labels.names)}
    return np.array([places.get(name, len(labels.names)) for name in names], int)


def _resampled(
    expected: NDArray[np.int_],
    first: NDArray[np.int_],
    second: NDArray[np.int_],
    labels: Labels,
    seed: int,
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Confusion counts of both systems (1 + REPLICATES, K, K + 1): the rows themselves come first."""
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


def figures_of(table: NDArray[Any], labels: Labels) -> dict[str, NDArray[np.float64]]:
    """The figures of confusion counts (R, K, K + 1): one value a table, 0 for a ratio of no case."""
    hits = np.diagonal(table, axis1=1, axis2=2).astype(float)
    there, said = table.sum(2), table.sum(1)[:, :-1]
    precision = _ratio(hits, said)
    recall = _ratio(hits, there)
    f1 = _ratio(2 * hits, there + said)
    if len(labels.names) == 2:
        at = labels.names.index(labels.positive)
        picked = {"f1": f1[:, at], "precision": precision[:, at], "recall": recall[:, at]}
    else:
        picked = {"f1": f1.mean(1), "precision": precision.mean(1), "recall": recall.mean(1)}
    return {"accuracy": _ratio(hits.sum(1), there.sum(1)), **picked, "macro_f1": f1.mean(1)}


def _ratio(part: NDArray[np.float64], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole != 0)


def _estimate(values: NDArray[np.float64], confidence: float | None) -> Estimate:
    """The first value, and the percentiles of the others."""
    observed = float(values[0])
    if confidence is None:
        return Estimate(observed, None, None)
    tail = (1 - confidence) / 2
    low, high = np.quantile(values[1:], [tail, 1 - tail])
    return Estimate(observed, min(float(low), observed), max(float(high), observed))
