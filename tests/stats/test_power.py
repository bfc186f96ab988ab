"""Power of the exact test: known values, the sum over all tables, the level without a difference."""

import pytest
from scipy.stats import binom

from stats.paired import mcnemar_exact
from stats.power import power, smallest_difference


@pytest.mark.parametrize(
    ("n", "discordance", "difference", "wanted"),
    [
        (520, 0.1, 0.04, 0.8),
        (490, 0.1, 0.04, 0.776),
        (2050, 0.1, 0.02, 0.8),
        (8000, 0.1, 0.01, 0.8),
    ],
)
def test_power_is_what_is_known(
    n: int, discordance: float, difference: float, wanted: float
) -> None:
    assert power(n, discordance, difference) == pytest.approx(wanted, abs=0.005)


@pytest.mark.parametrize(
    ("n", "discordance", "difference"), [(30, 0.5, 0.3), (60, 0.2, 0.2), (8, 1, 0)]
)
def test_power_is_the_sum_over_all_tables(n: int, discordance: float, difference: float) -> None:
    share = (1 + difference / discordance) / 2
    wanted = sum(
        binom.pmf(m, n, discordance) * binom.pmf(b, m, share)
        for m in range(n + 1)
        for b in range(m + 1)
        if mcnemar_exact(b, m - b) <= 0.05
    )
    assert power(n, discordance, difference) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("n", [20, 100, 1000, 60_000])
def test_without_a_difference_the_test_errs_at_most_at_its_level(n: int) -> None:
    for discordance in (0.01, 0.1, 0.5):
        for alpha in (0.01, 0.05):
            assert power(n, discordance, 0, alpha) <= alpha


def test_the_smallest_difference_is_found_with_the_power_asked_for() -> None:
    smallest = smallest_difference(1000, 0.1)
    assert smallest is not None
    assert smallest == pytest.approx(0.0287, abs=2e-4)
    assert power(1000, 0.1, smallest) == pytest.approx(0.8, abs=1e-3)


def test_where_too_few_rows_differ_more_must_differ_for_a_difference_to_show() -> None:
    for discordance in (0.0, 0.05):
        smallest = smallest_difference(50, discordance)
        assert smallest is not None
        assert smallest > discordance
        assert power(50, smallest, smallest) == pytest.approx(0.8, abs=1e-3)


def test_a_handful_of_rows_shows_no_difference_at_all() -> None:
    assert smallest_difference(0, 0.1) is None
    assert smallest_difference(5, 0.1) is None
