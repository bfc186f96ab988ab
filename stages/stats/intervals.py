"""Intervals of a proportion, of the difference of two on the same rows, of a likelihood a token."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, binomtest, norm, t

BAYES_BELOW = 50  # rows: Tango's interval covers too little there
_STRATA = 500  # of each of two distributions whose product has no closed form


def wilson_interval(successes: int, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927); (0, 1) for no trial at all."""
    if not n:
        return 0.0, 1.0
    interval = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def paired_difference_interval(
    only_first: int, only_second: int, n: int, confidence: float
) -> tuple[float, float]:
    """The interval of (only_first - only_second) / n, the difference of accuracy on the same n rows.

    `only_first` rows are right in the first system alone. Tango's score interval (Tango 1998, Stat.
    Med. 17:891); below 50 rows a Bayesian one, equal-tailed, with Jeffreys' prior. (-1, 1) of no row.
    """
    return paired_difference_intervals([(only_first, only_second)], n, confidence)[0]


def paired_difference_intervals(
    alone: Sequence[tuple[int, int]], n: int, confidence: float
) -> list[tuple[float, float]]:
    """The same of several pairs (only_first, only_second) at once."""
    if not n or not alone:
        return [(-1.0, 1.0)] * len(alone)
    if n < BAYES_BELOW:
        return [bayes_interval(*pair, n, confidence) for pair in alone]
    of_first, of_second = np.array(alone).T
    low, high = tango_interval(of_first, of_second, n, confidence)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def tango_interval(
    only_first: ArrayLike, only_second: ArrayLike, n: int, confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tango's score interval, of many tables of n rows at once.

    The differences d whose score (b - c - n d) / sqrt(n (2 q + d (1 - d))) is within the normal
    quantile, q being the likeliest share of rows right in the second alone if d were true.
    """
    b, c = np.asarray(only_first, float), np.asarray(only_second, float)
    quantile = norm.ppf((1 + confidence) / 2)

    def score(d: NDArray[np.float64]) -> NDArray[np.float64]:
        linear = (2 * n - b + c) * d - b - c
        q = (np.sqrt(np.maximum(linear**2 + 8 * n * c * d * (1 - d), 0)) - linear) / (4 * n)
        variance = n * np.maximum(2 * q + d * (1 - d), 0)
        gap = b - c - n * d
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(gap == 0, 0.0, gap / np.sqrt(variance))

    estimate = (b - c) / n
    ends = []
    for sign in (-1, 1):
        inside, outside = estimate.copy(), np.full_like(estimate, float(sign))
        for _ in range(50):  # halving: to 1e-15
            middle = (inside + outside) / 2
            held = np.abs(score(middle)) <= quantile
            inside, outside = np.where(held, middle, inside), np.where(held, outside, middle)
        ends.append((inside + outside) / 2)
    return ends[0], ends[1]


@lru_cache(4096)
def bayes_interval(
    only_first: int, only_second: int, n: int, confidence: float
) -> tuple[float, float]:
    """The equal-tailed interval of the posterior of p(first alone) - p(second alone).

    The four cells are multinomial with Jeffreys' prior, Dirichlet(1/2, 1/2, 1/2, 1/2). The share of
    differing rows and the first system's share of those are then independent and beta; their product
    is taken over equally likely strata of both.
    """
    differing = only_first + only_second
    middles = (np.arange(_STRATA) + 0.5) / _STRATA
    share = beta.ppf(middles, differing + 1, n - differing + 1)
    of_first = beta.ppf(middles, only_first + 0.5, only_second + 0.5)
    differences = np.outer(share, 2 * of_first - 1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    estimate = (only_first - only_second) / n
    return min(float(low), estimate), max(float(high), estimate)


def ratio_difference_interval(
    first: ArrayLike, second: ArrayLike, weights: ArrayLike, confidence: float
) -> tuple[float, float | None, float | None]:
    """The difference sum(first - second) / sum(weights) over the same rows (n), with its interval.

    Of negative log-likelihoods a token: rows' sums, weighed by their tokens. Student's t with the
    ratio's linearised variance (Cochran 1977, Sampling Techniques, section 6.4). None of one row.
    """
    gaps = np.asarray(first, float) - np.asarray(second, float)
    sizes = np.asarray(weights, float)
    n, ratio = len(gaps), float(gaps.sum() / sizes.sum())
    if n < 2:
        return ratio, None, None
    left = gaps - ratio * sizes
    error = np.sqrt((left**2).sum() / (n * (n - 1))) / sizes.mean()
    half = float(t.ppf((1 + confidence) / 2, n - 1) * error)
    return ratio, ratio - half, ratio + half
