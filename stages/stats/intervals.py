"""Confidence intervals of a proportion, of a paired difference, and of a likelihood a token."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, binomtest, norm, t

BAYES_BELOW = 50  # rows; below, the coverage of Tango's interval is too low in some cases
_STRATA = 500  # points a distribution, for a product of two distributions without a closed form


def wilson_interval(successes: int, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927); (0, 1) if `n` is 0."""
    if not n:
        return 0.0, 1.0
    interval = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def paired_difference_interval(
    only_first: int, only_second: int, n: int, confidence: float
) -> tuple[float, float]:
    """The interval of (only_first - only_second) / n, the difference of accuracy on the same n rows.

    `only_first` is the number of rows that only the first system predicts correctly. From 50 rows on:
    Tango's score interval (Tango 1998, Stat. Med. 17:891). Below 50 rows: `bayes_interval`. (-1, 1) if
    `n` is 0.
    """
    return paired_difference_intervals([(only_first, only_second)], n, confidence)[0]


def paired_difference_intervals(
    alone: Sequence[tuple[int, int]], n: int, confidence: float
) -> list[tuple[float, float]]:
    """`paired_difference_interval` of several pairs (only_first, only_second) at once."""
    if not n or not alone:
        return [(-1.0, 1.0)] * len(alone)
    if n < BAYES_BELOW:
        return [bayes_interval(*pair, n, confidence) for pair in alone]
    only_first, only_second = np.array(alone).T
    low, high = tango_interval(only_first, only_second, n, confidence)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def tango_interval(
    only_first: ArrayLike, only_second: ArrayLike, n: int, confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tango's score interval of many tables of n rows at once.

    b and c are the rows that only the first and only the second system predicts correctly. The interval
    contains every difference d with |b - c - n d| / sqrt(n (2 q + d (1 - d))) <= the normal quantile. q
    is the maximum-likelihood estimate of c / n if d is the true difference.
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
        for _ in range(50):  # bisection to a precision of 1e-15
            middle = (inside + outside) / 2
            is_inside = np.abs(score(middle)) <= quantile
            inside = np.where(is_inside, middle, inside)
            outside = np.where(is_inside, outside, middle)
        ends.append((inside + outside) / 2)
    return ends[0], ends[1]


@lru_cache(4096)
def bayes_interval(
    only_first: int, only_second: int, n: int, confidence: float
) -> tuple[float, float]:
    """The equal-tailed interval of the posterior of p(first alone) - p(second alone).

    The four cells are multinomial with Jeffreys' prior, Dirichlet(1/2, 1/2, 1/2, 1/2). In the posterior,
    the share of differing rows and the first system's share of the differing rows are independent and
    beta-distributed. Quantiles of their product are taken over a grid of equally likely strata.
    """
    n_differing = only_first + only_second
    middles = (np.arange(_STRATA) + 0.5) / _STRATA
    share_differing = beta.ppf(middles, n_differing + 1, n - n_differing + 1)
    first_share = beta.ppf(middles, only_first + 0.5, only_second + 0.5)
    differences = np.outer(share_differing, 2 * first_share - 1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    estimate = (only_first - only_second) / n
    return min(float(low), estimate), max(float(high), estimate)


def ratio_difference_interval(
    first: ArrayLike, second: ArrayLike, weights: ArrayLike, confidence: float
) -> tuple[float, float | None, float | None]:
    """The difference sum(first - second) / sum(weights) over the same rows (n), with its interval.

    For negative log-likelihoods a token: `first` and `second` are the sums of rows, `weights` the tokens
    of rows. Student's t interval with the linearised variance of a ratio (Cochran 1977, Sampling
    Techniques, section 6.4). A single row has no interval.
    """
    gaps = np.asarray(first, float) - np.asarray(second, float)
    sizes = np.asarray(weights, float)
    n, ratio = len(gaps), float(gaps.sum() / sizes.sum())
    if n < 2:
        return ratio, None, None
    residuals = gaps - ratio * sizes
    standard_error = np.sqrt((residuals**2).sum() / (n * (n - 1))) / sizes.mean()
    half = float(t.ppf((1 + confidence) / 2, n - 1) * standard_error)
    return ratio, ratio - half, ratio + half
