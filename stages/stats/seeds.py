"""Training is a draw too: what a comparison says over several training seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t

from stats.estimate import Estimate
from stats.paired import holm
from stats.verdicts import Kind

Right = NDArray[np.bool_]


@dataclass(frozen=True)
class OverSeeds:
    """Two systems over S trainings: first minus second on average, and in each training.

    `p` is of Student's t test of the mean, after Holm's correction for all pairs.
    """

    first: str
    second: str
    kind: Kind
    difference: Estimate
    by_seed: Sequence[float]
    p: float


def over_seeds(values: ArrayLike, confidence: float) -> tuple[Estimate, float]:
    """The mean of values (S, n) over S seeds and n rows: with its interval, and p of its being 0.

    Values are 1 or 0, or differences of two systems' (-1, 0, 1). Seeds and rows are both taken as
    drawn: the variance of the mean is s2_seeds / S + s2_rows / n, of the means over rows and over
    seeds (two-way random effects, Searle 1971; that what is left of seed by row stands in both terms
    makes it a little larger). Student's t with S - 1 degrees of freedom, the fewest that it can have.
    No interval from a single seed.
    """
    each = np.asarray(values, dtype=float)
    seeds, n = each.shape
    mean = float(each.mean())
    if seeds < 2 or n < 2:
        return Estimate(mean, None, None), 1.0
    error = float(np.sqrt(each.mean(1).var(ddof=1) / seeds + each.mean(0).var(ddof=1) / n))
    half = float(t.ppf((1 + confidence) / 2, seeds - 1)) * error
    p = float(2 * t.sf(abs(mean) / error, seeds - 1)) if error else float(mean == 0)
    return Estimate(mean, mean - half, mean + half), p


def judge_over_seeds(
    right: Mapping[str, Right], trained: Sequence[str], confidence: float, margin: float
) -> list[OverSeeds]:
    """A verdict on every pair with a trained system, from which rows (S, n) each got right.

    The kinds are those of `stats.verdicts`, of the recipe instead of one trained model.
    """
    pairs = [pair for pair in combinations(right, 2) if set(pair) & set(trained)]
    gaps = [right[first].astype(int) - right[second].astype(int) for first, second in pairs]
    found = [over_seeds(gap, confidence) for gap in gaps]
    adjusted = holm([p for _, p in found])
    judged = []
    for (first, second), gap, (mean, _), p in zip(pairs, gaps, found, adjusted, strict=True):
        kind: Kind = "cannot tell"
        low, high = mean.low, mean.high
        if p < 1 - confidence:
            kind = "better" if mean.value > 0 else "worse"
        elif low is not None and high is not None and -margin <= low and high <= margin:
            kind = "no difference larger"
        judged.append(OverSeeds(first, second, kind, mean, gap.mean(1).tolist(), p))
    return judged
