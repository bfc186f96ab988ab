"""The power of McNemar's exact test, and the smallest difference that a test set can detect."""

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom


def power(n: int, discordance: float, difference: float, alpha: float = 0.05) -> float:
    """The probability that McNemar's exact test on n rows detects a true difference of accuracy.

    `discordance` is the share of rows that exactly one of the two systems predicts correctly; it must be
    at least `difference`. The result is exact. It sums over the number of discordant rows (binomial)
    and over their division between the two systems (binomial).
    """
    counts = np.arange(
        int(binom.ppf(1e-12, n, discordance)), int(binom.isf(1e-12, n, discordance)) + 1
    )
    # The largest count of the system with fewer such rows at which the test is significant.
    critical = binom.ppf(alpha / 2, counts, 0.5)
    critical = np.where(2 * binom.cdf(critical, counts, 0.5) > alpha, critical - 1, critical)
    share = (1 + difference / discordance) / 2
    p_detected = binom.cdf(critical, counts, share) + binom.cdf(critical, counts, 1 - share)
    p_detected = np.where(critical < 0, 0.0, np.minimum(p_detected, 1.0))
    return float((binom.pmf(counts, n, discordance) * p_detected).sum())


def smallest_difference(
    n: int, discordance: float, alpha: float = 0.05, wanted: float = 0.8
) -> float | None:
    """The smallest true difference of accuracy that the exact test detects with power `wanted`.

    The systems differ on a share `discordance` of the rows. If this share is too small to detect any
    difference, it is raised until it equals the smallest detectable difference. None if n is too small.
    """
    if not n or power(n, 1, 1, alpha) < wanted:
        return None
    if discordance and power(n, discordance, discordance, alpha) >= wanted:
        return float(
            brentq(lambda d: power(n, discordance, d, alpha) - wanted, 0, discordance, xtol=1e-5)
        )
    least = max(discordance, 1e-9)
    return float(brentq(lambda d: power(n, d, d, alpha) - wanted, least, 1, xtol=1e-5))
