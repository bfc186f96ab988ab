"""The verdict rule of all comparisons: better, worse, no difference larger than a margin, cannot tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, NamedTuple

from stats.intervals import paired_difference_intervals
from stats.paired import alone, holm, mcnemar_exact, right_rows
from stats.power import smallest_difference
from systems import Systems

Kind = Literal["better", "worse", "no difference larger", "cannot tell"]
Pair = tuple[str, str]


class Wording(NamedTuple):
    """The words for one kind of verdict.

    `pair`: on two systems. `gain`: on a tuned system and its base model. `against_all`: on a system
    against all its rivals, empty for kinds of verdict that the test against all cannot have.
    """

    pair: str
    gain: str
    against_all: str = ""


WORDINGS: Mapping[Kind, Wording] = {
    "better": Wording(
        "{first} is better than {second}",
        "Fine-tuning helped {first}",
        "{first} is better than every system without fine-tuning",
    ),
    "worse": Wording(
        "{first} is worse than {second}",
        "Fine-tuning hurt {first}",
    ),
    "no difference larger": Wording(
        "no difference larger than {margin} points between {first} and {second}",
        "Fine-tuning changed the accuracy of {first} by no more than {margin} points",
    ),
    "cannot tell": Wording(
        "cannot tell {first} from {second}",
        "It is not clear whether fine-tuning helped {first}",
        "{first} is not shown to be ahead of every system without fine-tuning",
    ),
}


@dataclass(frozen=True)
class Family:
    """The comparisons that are fixed before the run. Holm's correction is over exactly these tests.

    `pairs`: (first system, second system). `against_all`: (system, rivals); the test asks whether the
    system is better than every rival.
    """

    pairs: Sequence[Pair]
    against_all: Sequence[tuple[str, Sequence[str]]] = ()

    @property
    def tests(self) -> int:
        return len(self.pairs) + len(self.against_all)


def primary_family(systems: Systems) -> Family:
    """The primary comparisons of these systems (docs/statistics.md)."""
    free = [system.name for system in systems.free]
    return Family(
        [(first.name, second.name) for first, second in systems.primary_pairs],
        [(system.name, free) for system in systems.tuned] if free else [],
    )


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same n rows: accuracy of the first minus the second, as a share of 1.

    `low` and `high` are the ends of the difference's interval. `p` is not adjusted. `only_first`: the
    number of rows that only the first system predicts correctly, averaged over seeds. `by_seed`: the
    difference under each training seed, empty for one trained model.
    """

    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    p: float
    n: int
    only_first: float
    only_second: float
    by_seed: Sequence[float] = ()

    def turned(self) -> "Comparison":
        """The comparison with the two systems exchanged: second minus first."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            difference=-self.difference,
            low=None if self.high is None else -self.high,
            high=None if self.low is None else -self.low,
            only_first=self.only_second,
            only_second=self.only_first,
            by_seed=[-difference for difference in self.by_seed],
        )


@dataclass(frozen=True)
class Verdict:
    """A comparison with its verdict; `p` is adjusted for `tests` tests by Holm's method.

    `rivals` is empty for a pair. For a system against all rivals, `comparison` is with the best rival.
    """

    comparison: Comparison
    kind: Kind
    p: float
    tests: int
    margin: float
    confidence: float
    rivals: Sequence[str] = ()

    @property
    def smallest(self) -> float | None:
        """The smallest true difference that is detected with 80% power; None if n is too small.

        For two systems that differ on as many rows as these systems.
        """
        n = self.comparison.n
        n_differing = self.comparison.only_first + self.comparison.only_second
        return smallest_difference(n, n_differing / n if n else 0.0, 1 - self.confidence)

    @property
    def words(self) -> str:
        """The verdict without its numbers."""
        wording = WORDINGS[self.kind]
        return self._format(wording.against_all if self.rivals else wording.pair)

    @property
    def gain(self) -> str:
        """The verdict on fine-tuning, if the second system is the base model of the first."""
        return self._format(WORDINGS[self.kind].gain)

    @property
    def sentence(self) -> str:
        """The verdict in words, with numbers in percentage points."""
        if self.comparison.by_seed:
            seeds = ", ".join(f"{100 * value:+.1f}" for value in self.comparison.by_seed)
            return f"{self.words}: {self._difference}{self._best_rival} over seeds ({seeds})"
        if self.rivals:
            return f"{self.words}: {self._difference}{self._best_rival}, {self._test_result}"
        if self.kind in ("better", "worse"):
            return f"{self.words} by {self._absolute_difference}, {self._test_result}"
        if self.kind == "no difference larger":
            return f"{self.words}: {self._difference}"
        return f"{self.words}: {self._difference}; {self._why_cannot_tell}"

    def turned(self) -> "Verdict":
        """The verdict on a pair with the two systems exchanged: second minus first."""
        opposite: dict[Kind, Kind] = {"better": "worse", "worse": "better"}
        kind = opposite.get(self.kind, self.kind)
        return replace(self, comparison=self.comparison.turned(), kind=kind)

    def _format(self, wording: str) -> str:
        first, second = self.comparison.first, self.comparison.second
        return wording.format(first=first, second=second, margin=points(self.margin))

    @property
    def _difference(self) -> str:
        comparison = self.comparison
        interval = _interval(comparison.low, comparison.high)
        return f"{points(comparison.difference)} points {interval}"

    @property
    def _absolute_difference(self) -> str:
        comparison = self.comparison
        assert comparison.low is not None
        assert comparison.high is not None
        low, high = sorted((abs(comparison.low), abs(comparison.high)))
        # The exact test can be significant although the interval contains 0.
        if comparison.low * comparison.high < 0:
            low = -low
        return f"{points(abs(comparison.difference))} points {_interval(low, high)}"

    @property
    def _best_rival(self) -> str:
        return f" against the best such system, {self.comparison.second}" if self.rivals else ""

    @property
    def _why_cannot_tell(self) -> str:
        low, high = self.comparison.low, self.comparison.high
        if low is not None and high is not None and (low > 0 or high < 0):
            return f"the interval excludes 0, but {self._test_result}"
        rows, smallest = f"with {self.comparison.n:,} rows", self.smallest
        if smallest is None:
            return f"{rows}, no difference is detected reliably (80% power)"
        return (
            f"{rows}, only differences of at least {points(smallest)} points are detected reliably "
            "(80% power)"
        )

    @property
    def _test_result(self) -> str:
        adjusted = f" (Holm, {self.tests} tests)" if self.tests > 1 else ""
        return f"exact McNemar p {p_value(self.p)}{adjusted}"


def compared(
    expected: Sequence[str], predictions: Mapping[str, Sequence[str | None]], confidence: float
) -> dict[Pair, Comparison]:
    """Comparisons of every pair of systems on the same rows (n), in the order of `predictions`.

    Intervals come from `paired_difference_intervals`, p values from McNemar's exact test.
    """
    pairs, n = list(combinations(predictions, 2)), len(expected)
    right = {name: right_rows(expected, predicted) for name, predicted in predictions.items()}
    counts = [alone(right[first], right[second]) for first, second in pairs]
    intervals = paired_difference_intervals(counts, n, confidence)
    return {
        pair: Comparison(*pair, (b - c) / n if n else 0.0, *ends, mcnemar_exact(b, c), n, b, c)
        for pair, (b, c), ends in zip(pairs, counts, intervals, strict=True)
    }


def comparison_of(comparisons: Mapping[Pair, Comparison], first: str, second: str) -> Comparison:
    """The comparison of two systems, first minus second; the key may name them in either order."""
    if (first, second) in comparisons:
        return comparisons[first, second]
    return comparisons[second, first].turned()


def verdict_kind(
    p: float, difference: float, low: float | None, high: float | None, margin: float, level: float
) -> Kind:
    """The verdict rule; `p` must be adjusted already if there are several tests.

    Better or worse: `p` is below `level`. Otherwise, no difference larger than `margin`: the whole
    interval is within the margin. Otherwise, cannot tell, which means neither equality nor failure.
    """
    if p < level:
        return "better" if difference > 0 else "worse"
    if low is not None and high is not None and -margin <= low and high <= margin:
        return "no difference larger"
    return "cannot tell"


def judge(
    comparisons: Mapping[Pair, Comparison], family: Family, confidence: float, margin: float
) -> list[Verdict]:
    """The verdicts of a family, pairs first. All p values are adjusted together (Holm 1979).

    Against all rivals, the test is the intersection-union test (Berger 1982). Its p is the largest p of
    the exact tests, or 1 if the system is not ahead of every rival. Its verdict is "better" or "cannot
    tell".
    """
    pairs = [comparison_of(comparisons, *pair) for pair in family.pairs]
    groups = [
        [comparison_of(comparisons, system, rival) for rival in rivals]
        for system, rivals in family.against_all
    ]
    union_p_values = [
        max(comparison.p if comparison.difference > 0 else 1.0 for comparison in group)
        for group in groups
    ]
    p_values = [*(comparison.p for comparison in pairs), *union_p_values]
    adjusted = holm(p_values) if p_values else []
    level, tests = 1 - confidence, family.tests
    verdicts = []
    for pair, p in zip(pairs, adjusted, strict=False):
        kind = verdict_kind(p, pair.difference, pair.low, pair.high, margin, level)
        verdicts.append(Verdict(pair, kind, p, tests, margin, confidence))
    for group, p in zip(groups, adjusted[len(pairs) :], strict=True):
        with_best_rival = min(group, key=lambda comparison: comparison.difference)
        kind = "better" if p < level else "cannot tell"
        rivals = [comparison.second for comparison in group]
        verdicts.append(Verdict(with_best_rival, kind, p, tests, margin, confidence, rivals))
    return verdicts


def p_value(p: float) -> str:
    """A p value with its relation sign: `= 0.021`, or `< 1e-30`."""
    return "< 1e-30" if p < 1e-30 else f"= {p:.2g}"


def points(share: float) -> str:
    """A share in percentage points, without the sign %."""
    return f"{round(100 * share, 1) + 0.0:.1f}"  # never -0.0


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "(no interval)"
    return f"[{points(low)}, {points(high)}]"
