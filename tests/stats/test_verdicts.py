"""Verdicts: four kinds, in sentences that claim no more than the rows show."""

import numpy as np
import pytest

from stats.verdicts import Verdict, judge

MARGIN = 0.01


def _rows(n: int, first_alone: int, second_alone: int) -> tuple[list[str], dict[str, list[str]]]:
    """Rows where one system alone is right so often; both are right on the others."""
    expected = ["positive"] * n
    wrong = "negative"
    first = [wrong] * second_alone + ["positive"] * (n - second_alone)
    second = ["positive"] * (n - first_alone) + [wrong] * first_alone
    return expected, {"first": first, "second": second}


def _verdict(n: int, first_alone: int, second_alone: int) -> Verdict:
    (found,) = judge(*_rows(n, first_alone, second_alone), 0.95, MARGIN)
    return found


def test_a_significant_difference_is_better_or_worse_by_its_sign() -> None:
    better, worse = _verdict(1000, 310, 15), _verdict(1000, 15, 310)
    assert (better.kind, worse.kind) == ("better", "worse")
    assert better.sentence.startswith("first is better than second by 29.5 points [26.")
    assert better.sentence.endswith("exact McNemar p < 1e-30")
    assert worse.sentence.startswith("first is worse than second by 29.5 points [26.")
    assert better.turned().kind == "worse"
    assert worse.turned().sentence.startswith("second is better than first by 29.5 points [26.")


def test_fifty_rows_cannot_tell_the_seed_studys_tuned_models_apart() -> None:
    for both_wrong in range(5):  # whatever their overlap: 46 and 44 right
        found = _verdict(50, 6 - both_wrong, 4 - both_wrong)
        assert found.kind == "cannot tell"
        assert "better" not in found.sentence
        assert "worse" not in found.sentence


def test_cannot_tell_says_what_stays_invisible_and_never_reads_as_equal_or_failed() -> None:
    found = _verdict(1000, 30, 22)
    assert found.kind == "cannot tell"
    assert found.sentence == (
        "cannot tell first from second: 0.8 points [-0.6, 2.3]; with 1,000 rows a difference under 2.1 "
        "points stays invisible"
    )
    for word in ("equal", "same", "not better", "no difference", "fail", "reject"):
        assert word not in found.sentence


def test_a_narrow_interval_around_nothing_is_no_difference_larger_than_the_margin() -> None:
    found = _verdict(10_000, 50, 48)
    assert found.kind == "no difference larger"
    assert found.sentence.startswith(
        "no difference larger than 1.0 points between first and second"
    )


def test_an_interval_that_leaves_the_margin_on_one_side_alone_cannot_tell() -> None:
    for found in (_verdict(1000, 4, 10), _verdict(1000, 10, 4)):
        assert min(abs(found.low), abs(found.high)) < MARGIN < max(abs(found.low), abs(found.high))
        assert found.kind == "cannot tell"


@pytest.mark.parametrize("n", [1, 20, 50, 5000])
def test_identical_predictions_are_told_apart_by_nothing(n: int) -> None:
    found = _verdict(n, 0, 0)
    assert found.kind == ("no difference larger" if n == 5000 else "cannot tell")
    assert found.difference == 0
    assert found.p == 1
    assert "-0.0 points" not in found.sentence
    if n == 1:
        assert "with 1 rows no difference would be sure to show" in found.sentence
    elif n < 5000:
        assert f"with {n} rows a difference under" in found.sentence


def test_what_holm_takes_back_is_said() -> None:
    expected, pair = _rows(1000, 20, 7)
    (alone,) = judge(expected, pair, 0.95, MARGIN)
    assert alone.kind == "better"
    several = {**pair, **{f"other{at}": pair["first"] for at in range(5)}}
    found = judge(expected, several, 0.95, MARGIN)
    among = found[0]
    assert (among.first, among.second, among.kind) == ("first", "second", "cannot tell")
    assert "the interval leaves out 0, but exact McNemar p" in among.sentence
    assert "(Holm, 21 pairs)" in among.sentence


def test_every_pair_is_judged_once_in_the_systems_order() -> None:
    expected, pair = _rows(100, 3, 2)
    systems = dict.fromkeys("abcd", pair["first"])
    pairs = [(each.first, each.second) for each in judge(expected, systems, 0.95, MARGIN)]
    assert pairs == [("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d")]


def test_systems_that_differ_by_chance_alone_are_seldom_told_apart() -> None:
    draws = np.random.default_rng(11)
    alarms = 0
    for _ in range(200):
        right = draws.random((4, 300)) < 0.85
        systems = {
            str(at): ["yes" if each else "no" for each in row] for at, row in enumerate(right)
        }
        found = judge(["yes"] * 300, systems, 0.95, MARGIN)
        alarms += any(each.kind in ("better", "worse") for each in found)
    assert alarms <= 10
