"""Training seeds: a verdict over seeds needs several, and is wider than that of one test set."""

import numpy as np
import pytest
from scipy.stats import norm

from stats.seeds import judge_over_seeds, over_seeds


def test_one_training_gives_no_interval() -> None:
    assert over_seeds([[1, 0, 1, 1]], 0.95) == ((0.75, None, None), 1.0)


def test_seeds_that_agree_leave_the_rows_doubt() -> None:
    row = [1] * 90 + [0] * 10
    found, _ = over_seeds([row, row, row], 0.95)
    assert found.value == pytest.approx(0.9)
    assert found.low is not None
    assert found.low < 0.9 - 1.96 * (0.9 * 0.1 / 100) ** 0.5  # Student's t of two degrees is wider


def test_seeds_that_differ_widen_the_interval() -> None:
    row = np.array([1] * 90 + [0] * 10)
    alike, _ = over_seeds([row, row, row], 0.95)
    other, _ = over_seeds([row, np.roll(row, 50) * row, np.ones(100)], 0.95)
    assert alike.high is not None
    assert alike.low is not None
    assert other.high is not None
    assert other.low is not None
    assert other.high - other.low > alike.high - alike.low


def test_another_seed_and_other_rows_are_covered() -> None:
    # Simulated: a recipe whose trainings are right on .9 of the rows, give or take .02.
    draws = np.random.default_rng(5)
    truth = norm.cdf(1.28 / (0.1**2 + 0.8**2 + 0.6**2) ** 0.5)
    covered = 0
    for _ in range(400):
        easy = draws.normal(size=300)  # what a row asks, the same for every seed
        worth = draws.normal(1.28, 0.1, size=3)
        right = (worth[:, None] + easy[None] * 0.8 + draws.normal(size=(3, 300)) * 0.6 > 0).astype(
            int
        )
        found, _ = over_seeds(right, 0.95)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    assert covered / 400 >= 0.95


def _right(*shares: float) -> np.ndarray:
    """Which of 1,000 rows each seed gets right: the first so many."""
    return np.array([np.arange(1000) < 1000 * share for share in shares])


def test_a_verdict_holds_over_seeds_where_the_seeds_agree() -> None:
    right = {"original": _right(0.6, 0.6, 0.6), "tuned": _right(0.9, 0.91, 0.89)}
    (found,) = judge_over_seeds(right, ["tuned"], 0.95, 0.01)
    assert (found.first, found.second, found.kind) == ("original", "tuned", "worse")
    assert found.by_seed == pytest.approx([-0.3, -0.31, -0.29])
    assert found.difference.value == pytest.approx(-0.3)


def test_seeds_that_disagree_cannot_tell() -> None:
    right = {"one": _right(0.9, 0.95, 0.85), "other": _right(0.89, 0.89, 0.93)}
    (found,) = judge_over_seeds(right, ["one", "other"], 0.95, 0.01)
    assert found.kind == "cannot tell"


def test_pairs_without_a_training_are_left_out_and_equal_ones_divide_by_nothing() -> None:
    right = {name: _right(0.5, 0.5, 0.5) for name in ("a", "b", "tuned")}
    found = judge_over_seeds(right, ["tuned"], 0.95, 0.01)
    assert [(each.first, each.second) for each in found] == [("a", "tuned"), ("b", "tuned")]
    assert {each.kind for each in found} == {"no difference larger"}
    assert all(each.p == 1 for each in found)
