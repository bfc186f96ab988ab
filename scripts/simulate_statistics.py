"""Simulate what the intervals cover and how often verdicts err; write the tables of docs/statistics.md.

`make statistics` runs it, some minutes. The study's own functions are simulated, on seeded draws.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import multinomial

from settings.labels import Labels
from stats import paired
from stats.intervals import bayes_interval, tango_interval, wilson_interval
from stats.verdicts import judge

PAGE = Path("docs/statistics.md")
SEED = 20261125
DRAWS = 20_000  # of each cell of the closed intervals
STUDIES = 2_000  # of each cell of the bootstrap
RESAMPLES = (
    1_000  # of each of its bootstraps: a tenth of the study's, which alters no mean coverage
)
CONFIDENCE = 0.95
LABELS = Labels(names=["negative", "positive"], positive="positive")


def main() -> None:
    for name in TABLES:
        print(name, flush=True)
        write(name)


def write(name: str) -> None:
    """Simulate one table and put it into its place in the page."""
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
            ends = {each: wilson_interval(each, n, CONFIDENCE) for each in set(counts.tolist())}
            covered = [ends[each][0] <= share <= ends[each][1] for each in counts.tolist()]
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
    """Not simulated: every table of so few rows is weighed by its probability."""
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
            yield f"{n:,}", _percent(discordance), f"{difference}", *map(_percent, covered[1:])


def too_few(studies: int) -> Iterator[Sequence[str]]:
    for n in (50, 200, 1000):
        covered = _bootstrap_coverage("few", n, 0.015, 0.01, studies)
        yield f"{n:,}", _percent(0.015), "0.01", _percent(covered[0])


def exact_test(draws: int) -> Iterator[Sequence[str]]:
    for n in (50, 200, 1000, 5000):
        for discordance in (0.02, 0.1, 0.5):
            b, c = _alone("exact", n, discordance, 0.0, draws)
            found = {
                pair: paired.mcnemar_exact(*pair)
                for pair in set(zip(b.tolist(), c.tolist(), strict=True))
            }
            alarms = [
                found[pair] <= 1 - CONFIDENCE for pair in zip(b.tolist(), c.tolist(), strict=True)
            ]
            yield f"{n:,}", _percent(discordance), _percent(float(np.mean(alarms)))


def false_alarms(studies: int) -> Iterator[Sequence[str]]:
    """Eight systems that are equally often right: how often is any of the 28 pairs told apart?"""
    for n in (50, 200, 1000):
        for kind, own in (("unrelated", 1.0), ("mostly the same rows", 0.2)):
            generator = _generator("verdicts", n, own)
            alarms = 0
            for _ in range(studies):
                # A system errs on the rows that are hard for all, or on some of its own.
                hard = generator.random(n) < 0.15
                errs = np.where(
                    generator.random((8, n)) < own, generator.random((8, n)) < 0.15, hard
                )
                systems = {
                    str(at): np.where(row, "negative", "positive").tolist()
                    for at, row in enumerate(errs)
                }
                found = judge(["positive"] * n, systems, CONFIDENCE, 0.01)
                alarms += any(each.kind in ("better", "worse") for each in found)
            yield f"{n:,}", "8", kind, _percent(alarms / studies)


def _alone(
    name: str, n: int, discordance: float, difference: float, draws: int
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """How many rows each system alone gets right, in each draw of n rows."""
    first, second = (discordance + difference) / 2, (discordance - difference) / 2
    generator = _generator(name, n, discordance, difference)
    counts = generator.multinomial(n, [first, second, 1 - discordance], size=draws)
    return counts[:, 0], counts[:, 1]


def _bootstrap_coverage(
    name: str, n: int, discordance: float, difference: float, studies: int
) -> list[float]:
    """How often the interval of each figure's difference holds the true one."""
    # Two labels, 40% positive; both systems right, either alone, none: the same for both labels.
    first, second = (discordance + difference) / 2, (discordance - difference) / 2
    both = (1 - discordance) * 0.85
    of_label = np.array([both, first, second, 1 - discordance - both])
    shares = np.concatenate([0.6 * of_label, 0.4 * of_label])
    right = [(1, 1), (1, 0), (0, 1), (0, 0)]
    cells = [
        (label, *(label if each else 1 - label for each in which))
        for label in (0, 1)
        for which in right
    ]
    true = _true_differences(cells, shares)
    names = LABELS.names
    generator = _generator(name, n, discordance, difference)
    # Also where too few rows differ by chance: what is shown is the method, not what is held back.
    was = paired.REPLICATES, paired.FEWEST
    paired.REPLICATES, paired.FEWEST = RESAMPLES, 0
    covered = np.zeros(len(paired.METRICS))
    try:
        for study in range(studies):
            counts = generator.multinomial(n, shares)
            rows = [cell for cell, count in zip(cells, counts, strict=True) for _ in range(count)]
            expected, of_first, of_second = ([names[cell[at]] for cell in rows] for at in range(3))
            found = paired.bootstrap_figures(
                expected, of_first, of_second, LABELS, CONFIDENCE, study
            )
            for at, metric in enumerate(paired.METRICS):
                low, high = found[metric].low, found[metric].high
                covered[at] += low is not None and high is not None and low <= true[metric] <= high
    finally:
        paired.REPLICATES, paired.FEWEST = was
    return [float(each) for each in covered / studies]


def _true_differences(
    cells: Sequence[tuple[int, ...]], shares: NDArray[np.float64]
) -> dict[str, float]:
    """The figures' differences in the whole population."""
    tables = np.zeros((2, 2, 3))
    for (label, first, second), share in zip(cells, shares, strict=True):
        tables[0, label, first] += share
        tables[1, label, second] += share
    figures = paired.figures_of(tables, LABELS)
    return {metric: float(figures[metric][0] - figures[metric][1]) for metric in paired.METRICS}


def _generator(name: str, *cell: float) -> np.random.Generator:
    return np.random.default_rng([SEED, *name.encode(), *(round(1e6 * each) for each in cell)])


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


_CELL = ("n", "rows that differ", "true difference")
_BOTH = [f"{name}, {what}" for name in ("Tango", "Bayesian") for what in ("mean", "worst", "width")]
TABLES: dict[str, tuple[Sequence[str], Callable[[int], Iterator[Sequence[str]]], int]] = {
    "Wilson": (("n", "true share", "coverage"), wilson, DRAWS),
    "Tango": ((*_CELL, "coverage"), tango, DRAWS),
    "below 50 rows": (("n", *_BOTH), below_fifty, 0),
    "bootstrap": ((*_CELL, "F1", "precision", "recall", "macro-F1"), bootstrap, STUDIES),
    "too few differing rows": ((*_CELL, "percentile bootstrap"), too_few, STUDIES),
    "exact test": ((*_CELL[:2], "false alarms"), exact_test, DRAWS),
    "verdicts": (("n", "systems", "errors", "false alarms"), false_alarms, STUDIES),
}

if __name__ == "__main__":
    main()
