"""Comparisons over several training seeds, because training is random too."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t

from stats.estimate import Estimate
from stats.verdicts import Comparison, Pair

Right = NDArray[np.bool_]


def over_seeds(values: ArrayLike, confidence: float) -> tuple[Estimate, float]:
    """The mean of values (S, n) over S seeds and n rows with its interval, and p for a true mean of 0.

    Values are 1 or 0, or differences of two systems (-1, 0, 1). Both seeds and rows are random samples.
    The variance of the mean is s2_seeds / S + s2_rows / n (two-way random effects, Searle 1971). Here
    s2_seeds is the variance of the seeds' means, and s2_rows is the variance of the rows' means. The
    residual of seed by row is in both terms, which makes the variance a little too large. Student's t
    has S - 1 degrees of freedom, the most cautious choice. A single seed or row has no interval, and p
    is 1.
    """
    samples = np.asarray(values, dtype=float)
    n_seeds, n = samples.shape
    mean = float(samples.mean())
    if n_seeds < 2 or n < 2:
        return Estimate(mean, None, None), 1.0
    variance = samples.mean(1).var(ddof=1) / n_seeds + samples.mean(0).var(ddof=1) / n
    error = float(np.sqrt(variance))
    half = float(t.ppf((1 + confidence) / 2, n_seeds - 1)) * error
    p = float(2 * t.sf(abs(mean) / error, n_seeds - 1)) if error else float(mean == 0)
    return Estimate(mean, mean - half, mean + half), p


def compared_over_seeds(right: Mapping[str, Right], confidence: float) -> dict[Pair, Comparison]:
    """Comparisons of every pair of systems over S training seeds.

    `right`: for each system, whether each row is predicted correctly (S, n). A verdict on these
    comparisons (`stats.verdicts.judge`) is about the recipe, not about one trained model.
    """
    comparisons = {}
    for first, second in combinations(right, 2):
        gaps = right[first].astype(int) - right[second].astype(int)
        mean, p = over_seeds(gaps, confidence)
        n_seeds, n = gaps.shape
        comparisons[first, second] = Comparison(
            first,
            second,
            difference=mean.value,
            low=mean.low,
            high=mean.high,
            p=p,
            n=n,
            only_first=int((gaps > 0).sum()) / n_seeds,
            only_second=int((gaps < 0).sum()) / n_seeds,
            by_seed=gaps.mean(1).tolist(),
        )
    return comparisons
