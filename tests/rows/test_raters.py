"""Raters: who agrees with a label, and whether another panel of them would turn it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rows.raters import PANELS, count_raters, turned_share
from settings.sources import Band

BANDS = {"negative": Band(max=-0.5), "positive": Band(min=0.5)}


def test_neutral_raters_name_no_label() -> None:
    told = count_raters([2, 0, -1, 3, 0.4], "positive", BANDS)
    assert told == {"raters": 5, "named": 3, "agreeing": 2}


def test_raters_who_all_agree_are_never_turned() -> None:
    assert turned_share([1, 2, 4], "positive", BANDS, np.random.default_rng(0)) == 0


def test_a_label_against_all_raters_is_always_turned() -> None:
    assert turned_share([-1, -2, -4], "positive", BANDS, np.random.default_rng(0)) == 1


def test_the_share_is_that_of_the_panels_whose_mean_turns() -> None:
    # Two raters, -1 and 2: the means of panels of two are -1, .5, .5, 2. One in four turns.
    found = turned_share([-1, 2], "positive", BANDS, np.random.default_rng(1))
    assert found == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / PANELS) ** 0.5)


def test_a_mean_between_the_bands_goes_to_the_nearest_label() -> None:
    generator = np.random.default_rng(0)
    assert turned_share([0.2], "positive", BANDS, generator) == 0
    assert turned_share([-0.2], "positive", BANDS, generator) == 1


def test_a_mean_halfway_between_two_labels_turns_half_a_panel() -> None:
    generator = np.random.default_rng(0)
    for label in BANDS:
        assert turned_share([0.0], label, BANDS, generator) == 0.5


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=30), st.integers(0, 99))
def test_shares_are_shares_and_the_same_for_the_same_seed(ratings: list[int], seed: int) -> None:
    found = [turned_share(ratings, label, BANDS, np.random.default_rng(seed)) for label in BANDS]
    assert all(0 <= each <= 1 for each in found)
    assert sum(found) == pytest.approx(1)
    again = turned_share(ratings, "negative", BANDS, np.random.default_rng(seed))
    assert again == found[0]
