"""Template sensitivity: accuracy by template, for trained and held-out templates separately."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stats.wordings import by_wording

RIGHT = {
    "plain": [True, True, True, False],
    "asked": [True, True, False, False],
    "unseen": [True, False, False, False],
}


def test_wordings_in_training_and_held_out_are_separate() -> None:
    groups = by_wording(RIGHT, {"unseen"}, 0.95)
    assert set(groups) == {False, True}
    trained, held_out = groups[False], groups[True]
    assert {name: accuracy.value for name, accuracy in trained.by_template.items()} == {
        "plain": 0.75,
        "asked": 0.5,
    }
    assert trained.mean.value == pytest.approx(0.625)
    assert (trained.worst, trained.best, trained.spread) == (0.5, 0.75, 0.25)
    assert held_out.mean.value == held_out.worst == held_out.best == 0.25
    assert held_out.rows == 4


def test_without_held_out_wordings_there_is_one_group() -> None:
    assert set(by_wording(RIGHT, set(), 0.95)) == {False}


def test_rows_that_all_wordings_answer_alike_count_once() -> None:
    # A row that is asked twice is still one draw: the interval of the mean does not change.
    once = by_wording({"a": RIGHT["plain"]}, set(), 0.95)[False]
    twice = by_wording({"a": RIGHT["plain"], "b": RIGHT["plain"]}, set(), 0.95)[False]
    assert once.mean == twice.mean
    assert twice.spread == 0


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1, max_size=5)
    )
)
def test_the_mean_lies_between_worst_and_best_and_inside_its_interval(
    answers: list[list[bool]],
) -> None:
    group = by_wording({str(at): right for at, right in enumerate(answers)}, set(), 0.95)[False]
    assert group.worst - 1e-9 <= group.mean.value <= group.best + 1e-9
    if len(answers[0]) > 1:
        assert group.mean.low is not None
        assert group.mean.high is not None
        assert 0 <= group.mean.low <= group.mean.value <= group.mean.high <= 1
