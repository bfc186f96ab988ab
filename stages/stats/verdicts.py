"""What a comparison of two systems says, in one sentence: better, worse, alike, or cannot tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from stats.intervals import paired_difference_intervals
from stats.paired import alone, holm, mcnemar_exact, right_rows
from stats.power import smallest_difference

Kind = Literal["better", "worse", "no difference larger", "cannot tell"]
_TURNED: dict[Kind, Kind] = {"better": "worse", "worse": "better"}


@dataclass(frozen=True)
class Verdict:
    """Two systems on the same n rows: the difference of accuracy, its interval, the exact test.

    `only_first` rows are right in the first alone. `p` is the exact McNemar test's after Holm's
    correction for `pairs` pairs.
    """

    first: str
    second: str
    kind: Kind
    only_first: int
    only_second: int
    n: int
    low: float
    high: float
    p: float
    pairs: int
    margin: float
    confidence: float

    @property
    def difference(self) -> float:
        return (self.only_first - self.only_second) / self.n if self.n else 0.0

    @property
    def smallest(self) -> float | None:
        """The smallest true difference that these rows show with 80% power, where as many differ."""
        differing = (self.only_first + self.only_second) / self.n if self.n else 0.0
        return smallest_difference(self.n, differing, 1 - self.confidence)

    @property
    def sentence(self) -> str:
        """The verdict in words, figures in points of a hundred."""
        size = f"{_points(abs(self.difference))} points"
        interval = f"[{_points(self.low)}, {_points(self.high)}]"
        if self.kind in ("better", "worse"):
            low, high = sorted((abs(self.low), abs(self.high)))
            if self.low * self.high < 0:  # the test finds what the interval just misses
                low = -low
            return (
                f"{self.first} is {self.kind} than {self.second} by {size} "
                f"[{_points(low)}, {_points(high)}], {self._test}"
            )
        signed = f"{_points(self.difference)} points {interval}"
        if self.kind == "no difference larger":
            return (
                f"no difference larger than {_points(self.margin)} points between {self.first} and "
                f"{self.second}: {signed}"
            )
        smallest = self.smallest
        if self.low > 0 or self.high < 0:
            unseen = f"the interval leaves out 0, but {self._test}"
        elif smallest is None:
            unseen = f"with {self.n:,} rows no difference would be sure to show"
        else:
            unseen = f"with {self.n:,} rows a difference under {_points(smallest)} points stays invisible"
        return f"cannot tell {self.first} from {self.second}: {signed}; {unseen}"

    @property
    def _test(self) -> str:
        of = f" (Holm, {self.pairs} pairs)" if self.pairs > 1 else ""
        value = "< 1e-30" if self.p < 1e-30 else f"= {self.p:.2g}"
        return f"exact McNemar p {value}{of}"

    def turned(self) -> "Verdict":
        """The same, second minus first."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            kind=_TURNED.get(self.kind, self.kind),
            only_first=self.only_second,
            only_second=self.only_first,
            low=-self.high,
            high=-self.low,
        )


def judge(
    expected: Sequence[str],
    predictions: Mapping[str, Sequence[str | None]],
    confidence: float,
    margin: float,
) -> list[Verdict]:
    """A verdict on every pair of systems, in their order, first minus second.

    Better or worse where the exact McNemar test is significant at 1 - `confidence` after Holm's
    correction for all pairs; else no difference larger than `margin` where the whole interval lies
    within it; else it cannot be told, which is neither equality nor a failure.
    """
    n, found = len(expected), []
    pairs = list(combinations(predictions, 2))
    right = {name: right_rows(expected, predicted) for name, predicted in predictions.items()}
    counts = [alone(right[first], right[second]) for first, second in pairs]
    adjusted = holm([mcnemar_exact(*each) for each in counts])
    intervals = paired_difference_intervals(counts, n, confidence)
    for (first, second), (b, c), (low, high), p in zip(
        pairs, counts, intervals, adjusted, strict=True
    ):
        kind: Kind = "cannot tell"
        if p < 1 - confidence:
            kind = "better" if b > c else "worse"
        elif -margin <= low and high <= margin:
            kind = "no difference larger"
        found.append(
            Verdict(first, second, kind, b, c, n, low, high, p, len(pairs), margin, confidence)
        )
    return found


def _points(share: float) -> str:
    return f"{round(100 * share, 1) + 0.0:.1f}"  # never -0.0
