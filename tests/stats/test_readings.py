"""Readings of answers: probabilities, the shift with the best accuracy, the commonest free answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings.labels import Labels
from stats.readings import chosen_shift, commonest_invalid, label_probabilities, shifted

TWO = Labels(names=["negative", "positive"], positive="positive")
THREE = Labels(names=["bad", "middling", "good"], positive="good")
SCORES = st.integers(-40, 40).map(lambda whole: whole / 4)


def count_right(
    scores: list[list[float]], shift: list[float], expected: list[str], labels: Labels
) -> int:
    return sum(a == b for a, b in zip(shifted(scores, shift, labels), expected, strict=True))


def test_probabilities_are_the_likelihoods_shares_however_small_they_are() -> None:
    probabilities = label_probabilities(
        [[np.log(0.1), np.log(0.3)], [-5000.0, -5001.0], [0.0, -5000.0]]
    )
    sure = 1 / (1 + np.exp(-1))
    assert probabilities == pytest.approx(np.array([[0.25, 0.75], [sure, 1 - sure], [1.0, 0.0]]))


def test_a_model_that_leans_to_a_label_is_set_right_by_a_moved_threshold() -> None:
    scores = [[0.0, 3.0], [0.0, 4.0], [0.0, 6.0], [0.0, 7.0]]
    expected = ["negative", "negative", "positive", "positive"]
    assert chosen_shift(scores, expected, TWO) == [0.0, -5.0]  # the middle of 4 to 6
    assert shifted(scores, [0.0, -5.0], TWO) == expected


def test_the_widest_stretch_is_taken_then_the_nearest_to_0() -> None:
    labels = ["positive", "negative", "positive", "negative", "positive"]
    # three are right between 4 and 5, between -4 and -1, and from 9 on
    uneven = [[0.0, at] for at in (-9.0, -5.0, -4.0, 1.0, 4.0)]
    assert chosen_shift(uneven, labels, TWO) == [0.0, -2.5]
    # three are right between 0 and 2, between -3 and -1, and from 3 on
    even = [[0.0, at] for at in (-3.0, -2.0, 0.0, 1.0, 3.0)]
    assert chosen_shift(even, labels, TWO) == [0.0, 1.0]


@given(st.lists(st.tuples(SCORES, SCORES, st.sampled_from(TWO.names)), min_size=1, max_size=15))
def test_no_threshold_is_better_than_the_chosen_one(rows: list[tuple[float, float, str]]) -> None:
    scores, expected = [[a, b] for a, b, _ in rows], [label for *_, label in rows]
    first, second = chosen_shift(scores, expected, TWO)
    every = [at / 8 for at in range(-170, 171)]  # finer than the steps of the scores
    best = max(count_right(scores, [0.0, at], expected, TWO) for at in every)
    assert first == 0.0
    assert count_right(scores, [first, second], expected, TWO) >= best


@given(
    st.lists(
        st.tuples(SCORES, SCORES, SCORES, st.sampled_from(THREE.names)), min_size=1, max_size=12
    )
)
def test_three_labels_move_until_no_single_move_helps(
    rows: list[tuple[float, float, float, str]],
) -> None:
    scores, expected = [list(row[:3]) for row in rows], [row[3] for row in rows]
    shift = chosen_shift(scores, expected, THREE)
    right = count_right(scores, shift, expected, THREE)
    assert shift[0] == 0.0
    for label in (1, 2):
        for step in (-9.1, -2.3, -0.6, 0.6, 2.3, 9.1):
            moved = [value + step * (at == label) for at, value in enumerate(shift)]
            assert count_right(scores, moved, expected, THREE) <= right


def test_no_rows_move_nothing() -> None:
    assert chosen_shift([], [], THREE) == [0.0, 0.0, 0.0]


def test_the_commonest_answers_that_name_no_label_are_counted() -> None:
    generated = ["so", " great\n", "positive", "great", "awful", None, "so", "bad"]
    parsed = [None, None, "positive", None, None, None, None, None]
    commonest = commonest_invalid(generated, parsed, 3)
    assert commonest == [("great", 2), ("so", 2), ("awful", 1)]
