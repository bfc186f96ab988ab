"""Training is random too: verdicts over several training seeds, by the rule of `stats.verdicts`."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t

from stats.estimate import Estimate
from stats.verdicts import Comparison, Pair

Right = NDArray[np.bool_]


def over_seeds(values: ArrayLike, confidence: float) -> tuple[Estimate, float]:
    """The mean of values (S, n) over S seeds and n rows, with its interval, and p of a mean of 0.

    Values are 1 or 0, or differences of two systems (-1, 0, 1). Seeds and rows both count as drawn:
    the variance of the mean is s2_seeds / S + s2_rows / n, of the means over rows and over seeds
    (two-way random effects, Searle 1971; the residual of seed by row counts in both terms, which
    makes the variance a little larger). Student's t with S - 1 degrees of freedom, the fewest
    possible. A single seed has no interval.
    """
    samples = np.asarray(values, dtype=float)
    seeds, n = samples.shape
    mean = float(samples.mean())
    if seeds < 2 or n < 2:
        return Estimate(mean, None, None), 1.0
    error = float(np.sqrt(samples.mean(1).var(ddof=1) / seeds + samples.mean(0).var(ddof=1) / n))
    half = float(t.ppf((1 + confidence) / 2, seeds - 1)) * error
    p = float(2 * t.sf(abs(mean) / error, seeds - 1)) if error else float(mean == 0)
    return Estimate(mean, mean - half, mean + half), p


def compared_over_seeds(right: Mapping[str, Right], confidence: float) -> dict[Pair, Comparison]:
    """Every pair of systems over their trainings, from the correct rows (S, n) of each system.

    `stats.verdicts.judge` gives the verdicts: on the recipe, not on one trained model.
    """
    comparisons = {}
    for first, second in combinations(right, 2):
        gaps = right[first].astype(int) - right[second].astype(int)
        mean, p = over_seeds(gaps, confidence)
        seeds, n = gaps.shape
        comparisons[first, second] = Comparison(
            first,
            second,
            difference=mean.value,
            low=mean.low,
            high=mean.high,
            p=p,
            n=n,
            only_first=int((gaps > 0).sum()) / seeds,
            only_second=int((gaps < 0).sum()) / seeds,
            by_seed=gaps.mean(1).tolist(),
        )
    return comparisons
