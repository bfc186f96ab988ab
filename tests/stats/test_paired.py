"""Two systems on the same rows: the exact test, and the correction for several tests."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stats.paired import alone, holm, mcnemar_exact, right_rows

# --- exact test ---------------------------------------------------------------------------------


def exact_p(b: int, c: int) -> float:
    """Twice the smaller tail of a binomial with n = b + c and p = 1/2, in exact integers."""
    tail = sum(math.comb(b + c, count) for count in range(min(b, c) + 1))
    return min(1.0, 2 * tail / 2 ** (b + c))


@given(st.integers(0, 400), st.integers(0, 400))
def test_the_exact_test_is_twice_the_lesser_tail(b: int, c: int) -> None:
    assert mcnemar_exact(b, c) == pytest.approx(exact_p(b, c), rel=1e-12)
    assert mcnemar_exact(b, c) == mcnemar_exact(c, b)


def test_the_exact_test_of_millions_of_rows_is_that_of_the_normal_limit() -> None:
    b, c = 5_000_000, 5_004_000
    normal = math.erfc((c - b - 1) / math.sqrt(2 * (b + c)))  # with the continuity correction
    assert mcnemar_exact(b, c) == pytest.approx(normal, abs=1e-6)


def test_the_seed_studys_ranking_is_unsupported_at_best() -> None:
    assert (
        mcnemar_exact(2, 0) == 0.5
    )  # 46 and 44 of 50 right; the first is right wherever the second is


@given(st.lists(st.floats(0, 1), max_size=28))
def test_holm_is_the_step_down_of_its_definition(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert len(adjusted) == len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        assert adjusted[place] == pytest.approx(largest, rel=1e-12)


def test_rows_that_one_system_alone_gets_right_are_counted() -> None:
    expected = ["a", "b", "a", "b"]
    first = right_rows(expected, ["a", None, "a", "b"])
    second = right_rows(expected, ["b", "b", None, "b"])
    assert alone(first, second) == (2, 1)
