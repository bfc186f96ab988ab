"""What a test set can show: the power of McNemar's exact test, and the smallest difference it finds."""

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom


def power(n: int, discordance: float, difference: float, alpha: float = 0.05) -> float:
    """How often McNemar's exact test of n rows finds a true difference of accuracy.

    `discordance` is the share of rows that one system alone gets right, at least `difference`. Exact:
    over the number of such rows, binomial of n, and over how they fall between the systems.
    """
    counts = np.arange(
        int(binom.ppf(1e-12, n, discordance)), int(binom.isf(1e-12, n, discordance)) + 1
    )
    most = binom.ppf(alpha / 2, counts, 0.5)  # the largest lesser count that is significant
    most = np.where(2 * binom.cdf(most, counts, 0.5) > alpha, most - 1, most)
    share = (1 + difference / discordance) / 2
    found = binom.cdf(most, counts, share) + binom.cdf(most, counts, 1 - share)
    found = np.where(most < 0, 0.0, np.minimum(found, 1.0))
    return float((binom.pmf(counts, n, discordance) * found).sum())


def smallest_difference(
    n: int, discordance: float, alpha: float = 0.05, wanted: float = 0.8
) -> float | None:
    """The smallest true difference of accuracy that the exact test finds with power `wanted`.

    Of systems that differ on `discordance` of the rows; where that is too few to show any difference,
    of systems that differ on just as many rows as the difference takes. None where n is too small.
    """
    if not n or power(n, 1, 1, alpha) < wanted:
        return None
    if discordance and power(n, discordance, discordance, alpha) >= wanted:
        return float(
            brentq(lambda d: power(n, discordance, d, alpha) - wanted, 0, discordance, xtol=1e-5)
        )
    least = max(discordance, 1e-9)
    return float(brentq(lambda d: power(n, d, d, alpha) - wanted, least, 1, xtol=1e-5))
