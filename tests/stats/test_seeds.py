"""Training seeds: a verdict over seeds needs several seeds; its interval is wider than for one model."""

import numpy as np
import pytest
from scipy.stats import norm

from stats.seeds import Right, compared_over_seeds, over_seeds
from stats.verdicts import Family, Verdict, judge


def test_one_training_gives_no_interval() -> None:
    assert over_seeds([[1, 0, 1, 1]], 0.95) == ((0.75, None, None), 1.0)


def test_seeds_that_agree_leave_the_rows_doubt() -> None:
    row = [1] * 90 + [0] * 10
    estimate, _ = over_seeds([row, row, row], 0.95)
    assert estimate.value == pytest.approx(0.9)
    assert estimate.low is not None
    assert estimate.low < 0.9 - 1.96 * (0.9 * 0.1 / 100) ** 0.5  # Student's t is wider


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
    # Simulated: the accuracy of a recipe's trainings is .9 with a standard deviation of .02.
    draws = np.random.default_rng(5)
    truth = norm.cdf(1.28 / (0.1**2 + 0.8**2 + 0.6**2) ** 0.5)
    covered = 0
    for _ in range(400):
        easy = draws.normal(size=300)  # how easy a row is, for all seeds
        worth = draws.normal(1.28, 0.1, size=3)
        right = (worth[:, None] + easy[None] * 0.8 + draws.normal(size=(3, 300)) * 0.6 > 0).astype(
            int
        )
        estimate, _ = over_seeds(right, 0.95)
        assert estimate.low is not None
        assert estimate.high is not None
        covered += estimate.low <= truth <= estimate.high
    assert covered / 400 >= 0.95


def _right(*shares: float) -> np.ndarray:
    """(seed, row): right on the first `share` of 1,000 rows, for each seed's share."""
    return np.array([np.arange(1000) < 1000 * share for share in shares])


def _judged(right: dict[str, Right], family: Family) -> list[Verdict]:
    return judge(compared_over_seeds(right, 0.95), family, 0.95, 0.01)


def test_a_verdict_holds_over_seeds_where_the_seeds_agree() -> None:
    right = {"original": _right(0.6, 0.6, 0.6), "tuned": _right(0.9, 0.91, 0.89)}
    (verdict,) = _judged(right, Family([("original", "tuned")]))
    assert verdict.kind == "worse"
    assert verdict.comparison.by_seed == pytest.approx([-0.3, -0.31, -0.29])
    assert verdict.comparison.difference == pytest.approx(-0.3)
    assert verdict.sentence.startswith("original is worse than tuned: -30.0 points [")
    assert verdict.sentence.endswith("] over seeds (-30.0, -31.0, -29.0)")
    (turned,) = _judged(right, Family([("tuned", "original")]))
    assert turned.kind == "better"
    assert turned.comparison.by_seed == pytest.approx([0.3, 0.31, 0.29])


def test_seeds_that_disagree_cannot_tell() -> None:
    right = {"one": _right(0.9, 0.95, 0.85), "other": _right(0.89, 0.89, 0.93)}
    (verdict,) = _judged(right, Family([("one", "other")]))
    assert verdict.kind == "cannot tell"


def test_equal_systems_divide_by_nothing() -> None:
    right = {name: _right(0.5, 0.5, 0.5) for name in ("a", "b", "tuned")}
    family = Family([("a", "tuned"), ("b", "tuned")], [("tuned", ["a", "b"])])
    verdicts = _judged(right, family)
    assert [verdict.kind for verdict in verdicts] == [*["no difference larger"] * 2, "cannot tell"]
    assert all(verdict.p == 1 for verdict in verdicts)


def test_better_than_all_rivals_over_seeds_needs_every_rival() -> None:
    right = {
        "tuned": _right(0.9, 0.91, 0.89),
        "far": _right(0.6, 0.6, 0.6),
        "near": _right(0.88, 0.88, 0.88),
    }
    for rivals, kind in ((["far"], "better"), (["far", "near"], "cannot tell")):
        (verdict,) = _judged(right, Family([], [("tuned", rivals)]))
        assert verdict.kind == kind
        assert verdict.comparison.second == rivals[-1]


def test_a_single_training_has_no_verdict() -> None:
    right = {"original": _right(0.1), "tuned": _right(0.9)}
    (verdict,) = _judged(right, Family([("tuned", "original")]))
    assert (verdict.kind, verdict.p) == ("cannot tell", 1.0)
    assert "(no interval) over seeds (+80.0)" in verdict.sentence
