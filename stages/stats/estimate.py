"""A number with its confidence interval."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t

from stats.intervals import wilson_interval


class Estimate(NamedTuple):
    """A value and both ends of its confidence interval; the ends are None if there is no interval."""

    value: float
    low: float | None
    high: float | None


def share(truths: Sequence[bool], confidence: float) -> Estimate | None:
    """The share of true values, with Wilson's interval; None if `truths` is empty."""
    if not truths:
        return None
    n_true = sum(truths)
    return Estimate(n_true / len(truths), *wilson_interval(n_true, len(truths), confidence))


def mean_share(shares: ArrayLike, confidence: float) -> Estimate:
    """The mean of one share a row (n), with Student's t interval over rows, cut at 0 and 1.

    A single row has no interval.
    """
    values = np.asarray(shares, float)
    n, mean = len(values), float(values.mean())
    if n < 2:
        return Estimate(mean, None, None)
    half = float(t.ppf((1 + confidence) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half))
