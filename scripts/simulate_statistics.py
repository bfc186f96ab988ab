"""Simulate the coverage of intervals and the error rate of verdicts; write the tables of docs/statistics.md.

`make statistics` runs the script; it takes some minutes. It calls the study's functions on seeded draws.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import multinomial

from settings.labels import Labels
from stats import bootstrap as resampling
from stats.confusion import METRICS, metric_values
from stats.intervals import bayes_interval, tango_interval, wilson_interval
from stats.paired import mcnemar_exact
from stats.verdicts import compared, judge, primary_family
from systems import systems_of

PAGE = Path("docs/statistics.md")
SEED = 20261125
DRAWS = 20_000  # per cell of a closed-form interval
STUDIES = 2_000  # per cell of the bootstrap
RESAMPLES = 1_000  # per bootstrap: a tenth of the study's number; the mean coverage is the same
CONFIDENCE = 0.95
LABELS = Labels(names=["negative", "positive"], positive="positive")
STUDY = systems_of("labelled")  # the systems that every task has
BOOTSTRAPPED = {metric.key: metric.heading for metric in METRICS if metric.key != "accuracy"}


def main() -> None:
    for name in TABLES:
        print(name, flush=True)
        write(name)


def write(name: str) -> None:
    """Simulate one table and replace it in the page."""
    columns, simulate, draws = TABLES[name]
    lines = [columns, ["---:"] * len(columns), *simulate(draws)]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, rest = PAGE.read_text(encoding="utf-8").split(start)
    PAGE.write_text(f"{before}{start}{table}{end}{rest.split(end)[1]}", encoding="utf-8")


def wilson(draws: int) -> Iterator[Sequence[str]]:
    for n in (200, 500, 1000, 5000):
        for share in (0.5, 0.65, 0.8, 0.9, 0.95):
            counts = _generator("wilson", n, share).binomial(n, share, draws)
            ends = {count: wilson_interval(count, n, CONFIDENCE) for count in set(counts.tolist())}
            covered = [ends[count][0] <= share <= ends[count][1] for count in counts.tolist()]
            yield f"{n:,}", f"{share}", _percent(float(np.mean(covered)))


GRID = [
    (n, discordance, difference)
    for n in (100, 250, 500, 1000, 5000)
    for discordance in (0.05, 0.1, 0.25, 0.5)
    for difference in (0.0, 0.02, 0.1)
    if n * discordance >= 25 and difference < discordance
]


def tango(draws: int) -> Iterator[Sequence[str]]:
    for n, discordance, difference in GRID:
        b, c = _alone("tango", n, discordance, difference, draws)
        low, high = tango_interval(b, c, n, CONFIDENCE)
        covered = (low <= difference) & (difference <= high)
        yield f"{n:,}", _percent(discordance), f"{difference}", _percent(covered.mean())


def below_fifty(_: int) -> Iterator[Sequence[str]]:
    """Computed, not simulated: with so few rows every possible table is weighted by its probability."""
    shares = [
        (discordance, discordance * part)
        for discordance in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
        for part in (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
    ]
    for n in (10, 20, 30, 40, 49):
        pairs = [(b, c) for b in range(n + 1) for c in range(n + 1 - b)]
        b, c = np.array(pairs).T
        bayes = np.array([bayes_interval(*pair, n, CONFIDENCE) for pair in pairs]).T
        cells = [f"{n}"]
        for low, high in (tango_interval(b, c, n, CONFIDENCE), bayes):
            covered = []
            for discordance, difference in shares:
                first, second = (discordance + difference) / 2, (discordance - difference) / 2
                weights = multinomial(n, [first, second, 1 - discordance]).pmf(
                    np.stack([b, c, n - b - c], 1)
                )
                holds = (low <= difference + 1e-12) & (difference - 1e-12 <= high)
                covered.append(weights[holds].sum())
            cells += [_percent(float(np.mean(covered))), _percent(min(covered))]
            cells.append(f"{100 * (high - low).mean():.0f}")
        yield cells


def bootstrap(studies: int) -> Iterator[Sequence[str]]:
    for n, discordance, difference in GRID:
        if difference in (0.0, 0.1) and n <= 1000:
            covered = _bootstrap_coverage("bootstrap", n, discordance, difference, studies)
            yield (
                f"{n:,}",
                _percent(discordance),
                f"{difference}",
                *(_percent(covered[key]) for key in BOOTSTRAPPED),
            )


def too_few(studies: int) -> Iterator[Sequence[str]]:
    for n in (50, 200, 1000):
        covered = _bootstrap_coverage("few", n, 0.015, 0.01, studies)
        yield f"{n:,}", _percent(0.015), "0.01", _percent(covered["accuracy"])


def exact_test(draws: int) -> Iterator[Sequence[str]]:
    for n in (50, 200, 1000, 5000):
        for discordance in (0.02, 0.1, 0.5):
            b, c = _alone("exact", n, discordance, 0.0, draws)
            pairs = list(zip(b.tolist(), c.tolist(), strict=True))
            p_values = {pair: mcnemar_exact(*pair) for pair in set(pairs)}
            alarms = [p_values[pair] <= 1 - CONFIDENCE for pair in pairs]
            yield f"{n:,}", _percent(discordance), _percent(float(np.mean(alarms)))


def false_alarms(studies: int) -> Iterator[Sequence[str]]:
    """How often a primary comparison reports a difference between systems of equal accuracy."""
    # statsmodels collects garbage in each call, which takes .1 s; frozen objects are skipped.
    gc.freeze()
    family = primary_family(STUDY)
    names = [system.name for system in STUDY]
    for n in (50, 200, 1000):
        for kind, own_share in (("unrelated", 1.0), ("mostly the same rows", 0.2)):
            generator = _generator("verdicts", n, own_share)
            alarms = 0
            for _ in range(studies):
                # For each row, a system errs by itself or together with all other systems.
                hard = generator.random(n) < 0.15
                shape = (len(names), n)
                is_own = generator.random(shape) < own_share
                errs = np.where(is_own, generator.random(shape) < 0.15, hard)
                predictions = {
                    name: np.where(row, "negative", "positive").tolist()
                    for name, row in zip(names, errs, strict=True)
                }
                comparisons = compared(["positive"] * n, predictions, CONFIDENCE)
                verdicts = judge(comparisons, family, CONFIDENCE, 0.01)
                alarms += any(verdict.kind in ("better", "worse") for verdict in verdicts)
            yield f"{n:,}", f"{len(names)}", f"{family.tests}", kind, _percent(alarms / studies)


def _alone(
    name: str, n: int, discordance: float, difference: float, draws: int
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """For each draw of n rows: the number of rows that only one system gets right, per system."""
    first, second = (discordance + difference) / 2, (discordance - difference) / 2
    generator = _generator(name, n, discordance, difference)
    counts = generator.multinomial(n, [first, second, 1 - discordance], size=draws)
    return counts[:, 0], counts[:, 1]


def _bootstrap_coverage(
    name: str, n: int, discordance: float, difference: float, studies: int
) -> dict[str, float]:
    """{metric key: share of studies whose interval contains the true difference}."""
    # Two labels, 40% positive. Per label the same shares: both systems right, only one right, none right.
    first, second = (discordance + difference) / 2, (discordance - difference) / 2
    both = (1 - discordance) * 0.85
    of_label = np.array([both, first, second, 1 - discordance - both])
    shares = np.concatenate([0.6 * of_label, 0.4 * of_label])
    right = [(1, 1), (1, 0), (0, 1), (0, 0)]
    cells = [
        (label, *(label if is_right else 1 - label for is_right in pattern))
        for label in (0, 1)
        for pattern in right
    ]
    true = _true_differences(cells, shares)
    names = LABELS.names
    generator = _generator(name, n, discordance, difference)
    previous = resampling.REPLICATES
    resampling.REPLICATES = RESAMPLES
    covered = dict.fromkeys(true, 0)
    try:
        for study in range(studies):
            counts = generator.multinomial(n, shares)
            rows = [cell for cell, count in zip(cells, counts, strict=True) for _ in range(count)]
            expected, of_first, of_second = ([names[cell[at]] for cell in rows] for at in range(3))
            predictions: dict[str, Sequence[str | None]] = {"first": of_first, "second": of_second}
            values = resampling.resampled_metrics(expected, predictions, LABELS, study)
            differences = resampling.percentile_differences(
                values["first"], values["second"], CONFIDENCE
            )
            for key, (_, low, high) in differences.items():
                covered[key] += low is not None and high is not None and low <= true[key] <= high
    finally:
        resampling.REPLICATES = previous
    return {key: count / studies for key, count in covered.items()}


def _true_differences(
    cells: Sequence[tuple[int, ...]], shares: NDArray[np.float64]
) -> dict[str, float]:
    """{metric key: its difference in the whole population}."""
    tables = np.zeros((2, 2, 3))
    for (label, first, second), share in zip(cells, shares, strict=True):
        tables[0, label, first] += share
        tables[1, label, second] += share
    return {
        key: float(first - second) for key, (first, second) in metric_values(tables, LABELS).items()
    }


def _generator(name: str, *cell: float) -> np.random.Generator:
    return np.random.default_rng([SEED, *name.encode(), *(round(1e6 * value) for value in cell)])


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


_CELL = ("n", "rows that differ", "true difference")
_BOTH = [f"{name}, {part}" for name in ("Tango", "Bayesian") for part in ("mean", "worst", "width")]
TABLES: dict[str, tuple[Sequence[str], Callable[[int], Iterator[Sequence[str]]], int]] = {
    "Wilson": (("n", "true share", "coverage"), wilson, DRAWS),
    "Tango": ((*_CELL, "coverage"), tango, DRAWS),
    "below 50 rows": (("n", *_BOTH), below_fifty, 0),
    "bootstrap": ((*_CELL, *BOOTSTRAPPED.values()), bootstrap, STUDIES),
    "too few differing rows": ((*_CELL, "percentile bootstrap"), too_few, STUDIES),
    "exact test": ((*_CELL[:2], "false alarms"), exact_test, DRAWS),
    "verdicts": (("n", "systems", "tests", "errors", "false alarms"), false_alarms, STUDIES),
}

if __name__ == "__main__":
    main()
