"""A figure with its interval."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t

from stats.intervals import wilson_interval


class Estimate(NamedTuple):
    """A value and the ends of its confidence interval; None where there is no interval to give."""

    value: float
    low: float | None
    high: float | None


def share(truths: Sequence[bool], confidence: float) -> Estimate | None:
    """The share that is true, with Wilson's interval; None of nothing."""
    if not truths:
        return None
    right = sum(truths)
    return Estimate(right / len(truths), *wilson_interval(right, len(truths), confidence))


def mean_share(shares: ArrayLike, confidence: float) -> Estimate:
    """The mean of shares of rows (n), with Student's interval over the rows, inside 0 and 1."""
    values = np.asarray(shares, float)
    n, mean = len(values), float(values.mean())
    if n < 2:
        return Estimate(mean, None, None)
    half = float(t.ppf((1 + confidence) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half))
