"""Numbers as text, in the same form on every page."""

from stats.estimate import Estimate
from stats.verdicts import points

NOTHING = "-"


def decimals(value: float | None) -> str:
    """Three decimals without the leading zero, as is usual in statistics: `.941`; a dash for None."""
    if value is None:
        return NOTHING
    text = f"{abs(value):.3f}"
    sign = "-" if value < 0 and float(text) else ""
    return sign + (text.removeprefix("0") if text.startswith("0.") else text)


def with_interval(estimate: Estimate | None) -> str:
    """`.941 [.925, .954]`; only the value if it has no interval; a dash for None."""
    if estimate is None or estimate.low is None:
        return decimals(estimate and estimate.value)
    return f"{decimals(estimate.value)} [{decimals(estimate.low)}, {decimals(estimate.high)}]"


def percent(share: float) -> str:
    """A share as a percentage: `94.1%`."""
    return f"{points(share)}%"


def in_points(value: float, low: float | None, high: float | None) -> str:
    """A difference of shares in percentage points: `+1.3 [-0.5, +3.1]`."""
    if low is None or high is None:
        return f"{100 * value:+.1f} (no interval)"
    return f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def in_nats(estimate: Estimate | None) -> str:
    """A difference in nats a token: `+0.09 [-0.02, +0.19]`; a dash for None."""
    if estimate is None:
        return NOTHING
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:+.2f}"
    return f"{estimate.value:+.2f} [{estimate.low:+.2f}, {estimate.high:+.2f}]"
