"""Intervals: compared with textbook results, and properties of every interval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from stats.intervals import (
    BAYES_BELOW,
    bayes_interval,
    paired_difference_interval,
    ratio_difference_interval,
    tango_interval,
    wilson_interval,
)


@given(st.integers(0, 400), st.integers(1, 400))
def test_wilsons_interval_is_that_of_statsmodels_and_holds_the_share(
    successes: int, n: int
) -> None:
    successes = min(successes, n)
    low, high = wilson_interval(successes, n, 0.95)
    assert (low, high) == pytest.approx(
        proportion_confint(successes, n, 0.05, method="wilson"), abs=1e-9
    )
    assert 0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1


def test_the_seed_studys_intervals() -> None:
    for right, interval in ((46, (0.812, 0.968)), (44, (0.762, 0.944)), (31, (0.481, 0.741))):
        assert wilson_interval(right, 50, 0.95) == pytest.approx(interval, abs=1e-3)


def test_no_trial_says_nothing() -> None:
    assert wilson_interval(0, 0, 0.95) == (0.0, 1.0)
    assert paired_difference_interval(0, 0, 0, 0.95) == (-1.0, 1.0)


# --- two proportions on the same rows ---------------------------------------------------------


@st.composite
def tables(draw: st.DrawFn, fewest: int = 1) -> tuple[int, int, int]:
    n = draw(st.integers(fewest, 300))
    only_first = draw(st.integers(0, n))
    return only_first, draw(st.integers(0, n - only_first)), n


def _likeliest(b: int, c: int, n: int, d: float) -> float:
    """The share of rows right only in the second system with the highest likelihood given d, by search."""
    grid = np.linspace(max(0, -d), (1 - d) / 2, 200_001)[1:-1]
    likelihood = b * np.log(grid + d) + c * np.log(grid) + (n - b - c) * np.log(1 - d - 2 * grid)
    return float(grid[likelihood.argmax()])


@pytest.mark.parametrize(("b", "c", "n"), [(14, 6, 100), (3, 9, 60), (40, 38, 400), (5, 1, 1000)])
def test_at_tangos_ends_the_score_is_the_normal_quantile(b: int, c: int, n: int) -> None:
    for end, sign in zip(tango_interval(b, c, n, 0.95), (1, -1), strict=True):
        d = float(end)
        q = _likeliest(b, c, n, d)
        score = (b - c - n * d) / np.sqrt(n * (2 * q + d - d**2))
        assert score == pytest.approx(sign * norm.ppf(0.975), abs=2e-3)


@given(tables())
def test_the_interval_holds_the_difference_and_turns_with_the_systems(
    table: tuple[int, int, int],
) -> None:
    b, c, n = table
    low, high = paired_difference_interval(b, c, n, 0.95)
    assert -1 <= low <= (b - c) / n <= high <= 1
    turned = paired_difference_interval(c, b, n, 0.95)
    assert turned == pytest.approx((-high, -low), abs=1e-9)


@given(tables())
def test_more_confidence_is_a_wider_interval(table: tuple[int, int, int]) -> None:
    narrow, wide = (paired_difference_interval(*table, level) for level in (0.8, 0.99))
    assert wide[0] <= narrow[0] + 1e-9
    assert wide[1] >= narrow[1] - 1e-9


def test_rows_without_any_difference_leave_doubt() -> None:
    for n in (10, BAYES_BELOW, 1000):
        low, high = paired_difference_interval(0, 0, n, 0.95)
        assert low < 0 < high
        assert high == pytest.approx(-low)


def test_below_fifty_rows_the_interval_is_the_posteriors() -> None:
    draws = np.random.default_rng(0).dirichlet([3.5, 1.5, 36 + 0.5, 0.5], 400_000)
    wanted = np.quantile(draws[:, 0] - draws[:, 1], [0.025, 0.975])
    assert bayes_interval(3, 1, 40, 0.95) == pytest.approx(wanted, abs=2e-3)
    assert paired_difference_interval(3, 1, 40, 0.95) == bayes_interval(3, 1, 40, 0.95)


# --- likelihood per token ------------------------------------------------------------------------


def test_identical_systems_differ_by_exactly_nothing() -> None:
    assert ratio_difference_interval([3.0, 1.5, 8.0], [3.0, 1.5, 8.0], [4, 2, 9], 0.95) == (0, 0, 0)


def test_of_one_row_there_is_no_interval() -> None:
    assert ratio_difference_interval([3.0], [1.0], [4], 0.95) == (0.5, None, None)


def test_the_difference_a_token_is_covered_as_often_as_it_says() -> None:
    draws = np.random.default_rng(3)
    covered = 0
    for _ in range(1000):
        tokens = draws.integers(3, 60, 50)
        gaps = tokens * draws.normal(0.3, 0.4, 50)
        _, low, high = ratio_difference_interval(gaps, np.zeros(50), tokens, 0.95)
        assert low is not None
        assert high is not None
        covered += low <= 0.3 <= high
    assert 930 <= covered <= 970
