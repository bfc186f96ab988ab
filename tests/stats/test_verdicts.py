"""Verdicts: four kinds, in sentences that claim no more than the rows show."""

import numpy as np
import pytest
from scipy.stats import binomtest

from stats.verdicts import (
    WORDINGS,
    Family,
    Verdict,
    compared,
    comparison_of,
    judge,
    verdict_kind,
)

MARGIN = 0.01


def _rows(n: int, first_alone: int, second_alone: int) -> tuple[list[str], dict[str, list[str]]]:
    """n rows: some right only for the first system, some only for the second, the rest for both."""
    expected = ["positive"] * n
    wrong = "negative"
    first = [wrong] * second_alone + ["positive"] * (n - second_alone)
    second = ["positive"] * (n - first_alone) + [wrong] * first_alone
    return expected, {"first": first, "second": second}


def _verdict(n: int, first_alone: int, second_alone: int) -> Verdict:
    comparisons = compared(*_rows(n, first_alone, second_alone), 0.95)
    (verdict,) = judge(comparisons, Family([("first", "second")]), 0.95, MARGIN)
    return verdict


def test_a_significant_difference_is_better_or_worse_by_its_sign() -> None:
    better, worse = _verdict(1000, 310, 15), _verdict(1000, 15, 310)
    assert (better.kind, worse.kind) == ("better", "worse")
    assert better.sentence.startswith("first is better than second by 29.5 points [26.")
    assert better.sentence.endswith("exact McNemar p < 1e-30")
    assert worse.sentence.startswith("first is worse than second by 29.5 points [26.")
    assert better.turned().kind == "worse"
    assert worse.turned().sentence.startswith("second is better than first by 29.5 points [26.")


def test_fifty_rows_cannot_tell_the_seed_studys_tuned_models_apart() -> None:
    for both_wrong in range(5):  # 46 and 44 rows right, with any overlap
        verdict = _verdict(50, 6 - both_wrong, 4 - both_wrong)
        assert verdict.kind == "cannot tell"
        assert "better" not in verdict.sentence
        assert "worse" not in verdict.sentence


def test_cannot_tell_names_the_smallest_detectable_difference_and_never_reads_as_equal_or_failed() -> (
    None
):
    verdict = _verdict(1000, 30, 22)
    assert verdict.kind == "cannot tell"
    assert verdict.sentence == (
        "cannot tell first from second: 0.8 points [-0.6, 2.3]; with 1,000 rows, only differences of at "
        "least 2.1 points are detected reliably (80% power)"
    )
    for word in ("equal", "same", "not better", "no difference", "fail", "reject"):
        assert word not in verdict.sentence


def test_a_narrow_interval_around_nothing_is_no_difference_larger_than_the_margin() -> None:
    verdict = _verdict(10_000, 50, 48)
    assert verdict.kind == "no difference larger"
    assert verdict.sentence.startswith(
        "no difference larger than 1.0 points between first and second"
    )


def test_an_interval_that_leaves_the_margin_on_one_side_alone_cannot_tell() -> None:
    for verdict in (_verdict(1000, 4, 10), _verdict(1000, 10, 4)):
        low, high = verdict.comparison.low, verdict.comparison.high
        assert low is not None
        assert high is not None
        assert min(abs(low), abs(high)) < MARGIN < max(abs(low), abs(high))
        assert verdict.kind == "cannot tell"


@pytest.mark.parametrize("n", [1, 20, 50, 5000])
def test_identical_predictions_are_told_apart_by_nothing(n: int) -> None:
    verdict = _verdict(n, 0, 0)
    assert verdict.kind == ("no difference larger" if n == 5000 else "cannot tell")
    assert verdict.comparison.difference == 0
    assert verdict.p == 1
    assert "-0.0 points" not in verdict.sentence
    if n == 1:
        assert "with 1 rows, no difference is detected reliably" in verdict.sentence
    elif n < 5000:
        assert f"with {n} rows, only differences of at least" in verdict.sentence


def test_a_verdict_that_holm_removes_is_reported() -> None:
    expected, pair = _rows(1000, 20, 7)
    several = {**pair, **{f"other{at}": pair["first"] for at in range(5)}}
    comparisons = compared(expected, several, 0.95)
    (single,) = judge(comparisons, Family([("first", "second")]), 0.95, MARGIN)
    assert single.kind == "better"
    family = Family([("first", "second"), *((f"other{at}", "second") for at in range(5))])
    among = judge(comparisons, family, 0.95, MARGIN)[0]
    assert among.kind == "cannot tell"
    assert "the interval excludes 0, but exact McNemar p" in among.sentence
    assert "(Holm, 6 tests)" in among.sentence
    assert among.p == pytest.approx(6 * single.p)


def test_every_pair_is_compared_once_in_the_systems_order() -> None:
    expected, pair = _rows(100, 3, 2)
    comparisons = compared(expected, dict.fromkeys("abcd", pair["first"]), 0.95)
    pairs = [("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d")]
    assert list(comparisons) == pairs
    assert [(comparison.first, comparison.second) for comparison in comparisons.values()] == pairs


def test_a_family_is_judged_first_minus_second_and_no_other_pair_counts() -> None:
    expected, pair = _rows(1000, 310, 15)
    systems = {**pair, "third": pair["second"]}
    comparisons = compared(expected, systems, 0.95)
    (verdict,) = judge(comparisons, Family([("second", "first")]), 0.95, MARGIN)
    assert (verdict.comparison.first, verdict.kind, verdict.tests) == ("second", "worse", 1)
    assert verdict.p == comparison_of(comparisons, "first", "second").p


def _against_all(*alone: tuple[int, int], n: int = 1000) -> Verdict:
    """A system against rivals; `alone`: (rows right only for the system, only for the rival)."""
    most = max(only_rival for _, only_rival in alone)
    expected = ["yes"] * n
    tuned = ["no"] * most + ["yes"] * (n - most)
    rivals = {
        f"rival{at}": ["yes"] * b + ["no"] * (most - b) + ["no"] * a + ["yes"] * (n - most - a)
        for at, (a, b) in enumerate(alone)
    }
    comparisons = compared(expected, {"tuned": tuned, **rivals}, 0.95)
    (verdict,) = judge(comparisons, Family([], [("tuned", list(rivals))]), 0.95, MARGIN)
    return verdict


def test_better_than_all_needs_the_largest_p_to_be_significant() -> None:
    verdict = _against_all((310, 15), (60, 15), (200, 0))
    assert verdict.kind == "better"
    assert verdict.p == pytest.approx(binomtest(15, 75).pvalue)
    assert verdict.comparison.second == "rival1"
    assert verdict.sentence.startswith(
        "tuned is better than every system without fine-tuning: 4.5 points ["
    )
    assert "] against the best such system, rival1, exact McNemar p = " in verdict.sentence


def test_a_single_equal_rival_takes_better_than_all_back() -> None:
    verdict = _against_all((310, 15), (20, 15))
    assert verdict.kind == "cannot tell"
    assert verdict.sentence.startswith("tuned is not shown to be ahead of every system without ")
    assert "better" not in verdict.sentence


def test_a_rival_that_is_ahead_makes_p_one() -> None:
    verdict = _against_all((310, 15), (15, 100))
    assert (verdict.kind, verdict.p) == ("cannot tell", 1.0)
    assert verdict.comparison.difference == pytest.approx(-0.085)


def test_holm_runs_over_pairs_and_tests_against_all_together() -> None:
    expected, pair = _rows(1000, 20, 7)
    comparisons = compared(expected, pair, 0.95)
    family = Family([("first", "second")], [("first", ["second"])])
    verdicts = judge(comparisons, family, 0.95, MARGIN)
    p = comparisons["first", "second"].p
    assert family.tests == 2
    assert [verdict.p for verdict in verdicts] == pytest.approx([2 * p, 2 * p])
    assert [verdict.tests for verdict in verdicts] == [2, 2]


def test_one_rule_and_one_table_of_wordings_hold_every_kind() -> None:
    assert verdict_kind(0.04, 0.1, 0.05, 0.15, MARGIN, 0.05) == "better"
    assert verdict_kind(0.04, -0.1, -0.15, -0.05, MARGIN, 0.05) == "worse"
    assert verdict_kind(0.05, 0.1, 0.05, 0.15, MARGIN, 0.05) == "cannot tell"
    assert verdict_kind(0.5, 0.001, -0.01, 0.01, MARGIN, 0.05) == "no difference larger"
    assert verdict_kind(0.5, 0.001, -0.01, 0.011, MARGIN, 0.05) == "cannot tell"
    assert verdict_kind(1.0, 0.0, None, None, MARGIN, 0.05) == "cannot tell"
    assert list(WORDINGS) == ["better", "worse", "no difference larger", "cannot tell"]


def test_names_are_text_in_every_wording() -> None:
    expected, pair = _rows(1000, 310, 15)
    names = {"{first}{x}": pair["first"], "{0}%s": pair["second"]}
    comparisons = compared(expected, names, 0.95)
    family = Family([("{first}{x}", "{0}%s")], [("{first}{x}", ["{0}%s"])])
    for verdict in judge(comparisons, family, 0.95, MARGIN):
        assert verdict.sentence.startswith("{first}{x} is better than ")
        assert verdict.gain == "Fine-tuning helped {first}{x}"


def test_systems_that_differ_by_chance_alone_are_seldom_told_apart() -> None:
    draws = np.random.default_rng(11)
    alarms = 0
    names = [str(at) for at in range(4)]
    family = Family([("1", "0"), ("2", "0"), ("1", "2")], [("1", ["0", "3"]), ("2", ["0", "3"])])
    for _ in range(200):
        right = draws.random((4, 300)) < 0.85
        systems = {
            name: ["yes" if is_right else "no" for is_right in row]
            for name, row in zip(names, right, strict=True)
        }
        verdicts = judge(compared(["yes"] * 300, systems, 0.95), family, 0.95, MARGIN)
        alarms += any(verdict.kind in ("better", "worse") for verdict in verdicts)
    assert alarms <= 10
