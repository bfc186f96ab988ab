"""The one verdict rule: better, worse, no difference larger than a margin, or cannot tell."""

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
    """One kind of verdict in words: on a pair, on a tuned system and its base, on one against all.

    `against_all` is empty for the kinds that cannot follow from that test.
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
        "Whether fine-tuning helped {first} cannot be told",
        "{first} is not shown to be ahead of every system without fine-tuning",
    ),
}


@dataclass(frozen=True)
class Family:
    """The comparisons that are fixed before the run; Holm's correction runs over exactly these.

    `pairs`: two systems, the first minus the second. `against_all`: (system, rivals), whether the
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
    """Two systems on the same n rows: accuracy of the first minus the second, in shares of 1.

    `p` is not adjusted. `only_first`: rows that only the first system predicts correctly, averaged
    over seeds. `by_seed`: the difference under each training seed, empty for one trained model.
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
        """The same comparison, second minus first."""
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
    """A comparison with its verdict; `p` is adjusted by Holm for `tests` tests.

    `rivals` is empty for a pair. Against all rivals, `comparison` is the one with the nearest rival.
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
        """The smallest true difference that these rows show with 80% power, where as many differ."""
        found = self.comparison
        differing = (found.only_first + found.only_second) / found.n if found.n else 0.0
        return smallest_difference(found.n, differing, 1 - self.confidence)

    @property
    def words(self) -> str:
        """The verdict without its numbers."""
        wording = WORDINGS[self.kind]
        return self._filled(wording.against_all if self.rivals else wording.pair)

    @property
    def gain(self) -> str:
        """The verdict on fine-tuning, where the second system is what the first was tuned from."""
        return self._filled(WORDINGS[self.kind].gain)

    @property
    def sentence(self) -> str:
        """The verdict in words, with numbers in points of a hundred."""
        if self.comparison.by_seed:
            seeds = ", ".join(f"{100 * value:+.1f}" for value in self.comparison.by_seed)
            return f"{self.words}: {self._signed}{self._nearest} over seeds ({seeds})"
        if self.rivals:
            return f"{self.words}: {self._signed}{self._nearest}, {self._test}"
        if self.kind in ("better", "worse"):
            return f"{self.words} by {self._unsigned}, {self._test}"
        if self.kind == "no difference larger":
            return f"{self.words}: {self._signed}"
        return f"{self.words}: {self._signed}; {self._unseen}"

    def turned(self) -> "Verdict":
        """The verdict on a pair, second minus first."""
        opposite: dict[Kind, Kind] = {"better": "worse", "worse": "better"}
        kind = opposite.get(self.kind, self.kind)
        return replace(self, comparison=self.comparison.turned(), kind=kind)

    def _filled(self, wording: str) -> str:
        first, second = self.comparison.first, self.comparison.second
        return wording.format(first=first, second=second, margin=points(self.margin))

    @property
    def _signed(self) -> str:
        found = self.comparison
        return f"{points(found.difference)} points {_interval(found.low, found.high)}"

    @property
    def _unsigned(self) -> str:
        found = self.comparison
        assert found.low is not None
        assert found.high is not None
        low, high = sorted((abs(found.low), abs(found.high)))
        if found.low * found.high < 0:  # the test finds what the interval just misses
            low = -low
        return f"{points(abs(found.difference))} points {_interval(low, high)}"

    @property
    def _nearest(self) -> str:
        return f" to the nearest, {self.comparison.second}" if self.rivals else ""

    @property
    def _unseen(self) -> str:
        found, smallest = self.comparison, self.smallest
        if found.low is not None and found.high is not None and (found.low > 0 or found.high < 0):
            return f"the interval leaves out 0, but {self._test}"
        if smallest is None:
            return f"with {found.n:,} rows no difference would be sure to show"
        return f"with {found.n:,} rows a difference under {points(smallest)} points stays invisible"

    @property
    def _test(self) -> str:
        adjusted = f" (Holm, {self.tests} tests)" if self.tests > 1 else ""
        return f"exact McNemar p {p_value(self.p)}{adjusted}"


def compared(
    expected: Sequence[str], predictions: Mapping[str, Sequence[str | None]], confidence: float
) -> dict[Pair, Comparison]:
    """Every pair of systems on the same rows (n), in their order: Tango's interval, exact test."""
    pairs, n = list(combinations(predictions, 2)), len(expected)
    right = {name: right_rows(expected, predicted) for name, predicted in predictions.items()}
    counts = [alone(right[first], right[second]) for first, second in pairs]
    intervals = paired_difference_intervals(counts, n, confidence)
    return {
        pair: Comparison(*pair, (b - c) / n if n else 0.0, *ends, mcnemar_exact(b, c), n, b, c)
        for pair, (b, c), ends in zip(pairs, counts, intervals, strict=True)
    }


def comparison_of(comparisons: Mapping[Pair, Comparison], first: str, second: str) -> Comparison:
    """The comparison of two systems, first minus second, in whichever order it is stored."""
    if (first, second) in comparisons:
        return comparisons[first, second]
    return comparisons[second, first].turned()


def verdict_kind(
    p: float, difference: float, low: float | None, high: float | None, margin: float, level: float
) -> Kind:
    """The verdict rule, for `p` adjusted where several tests are made.

    Better or worse where `p` is below `level`; else no difference larger than `margin` where the
    whole interval lies within the margin; else it cannot be told, which is neither equality nor failure.
    """
    if p < level:
        return "better" if difference > 0 else "worse"
    if low is not None and high is not None and -margin <= low and high <= margin:
        return "no difference larger"
    return "cannot tell"


def judge(
    comparisons: Mapping[Pair, Comparison], family: Family, confidence: float, margin: float
) -> list[Verdict]:
    """The verdicts of a family, pairs first; all p values adjusted together (Holm 1979).

    Against all rivals: the intersection-union test (Berger 1982). Its p is the largest of the exact
    tests', 1 where the system is not ahead of every rival; only "better" or "cannot tell" can follow.
    """
    pairs = [comparison_of(comparisons, *pair) for pair in family.pairs]
    groups = [
        [comparison_of(comparisons, system, rival) for rival in rivals]
        for system, rivals in family.against_all
    ]
    union = [max(each.p if each.difference > 0 else 1.0 for each in group) for group in groups]
    p_values = [*(each.p for each in pairs), *union]
    adjusted = holm(p_values) if p_values else []
    level, tests = 1 - confidence, family.tests
    verdicts = []
    for found, p in zip(pairs, adjusted, strict=False):
        kind = verdict_kind(p, found.difference, found.low, found.high, margin, level)
        verdicts.append(Verdict(found, kind, p, tests, margin, confidence))
    for group, p in zip(groups, adjusted[len(pairs) :], strict=True):
        nearest = min(group, key=lambda each: each.difference)
        kind = "better" if p < level else "cannot tell"
        rivals = [each.second for each in group]
        verdicts.append(Verdict(nearest, kind, p, tests, margin, confidence, rivals))
    return verdicts


def p_value(p: float) -> str:
    """A p value with its sign of equality: `= 0.021`."""
    return "< 1e-30" if p < 1e-30 else f"= {p:.2g}"


def points(share: float) -> str:
    """A share in points of a hundred."""
    return f"{round(100 * share, 1) + 0.0:.1f}"  # never -0.0


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "(no interval)"
    return f"[{points(low)}, {points(high)}]"
