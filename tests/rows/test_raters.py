"""Raters: who agrees with a label, and whether another panel of raters would change the label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rows.raters import PANELS, count_raters, turned_share
from settings.sources import Band

BANDS = {"negative": Band(max=-0.5), "positive": Band(min=0.5)}


def test_neutral_raters_name_no_label() -> None:
    counts = count_raters([2, 0, -1, 3, 0.4], "positive", BANDS)
    assert counts == {"raters": 5, "named": 3, "agreeing": 2}


def test_a_label_that_all_raters_name_never_changes() -> None:
    assert turned_share([1, 2, 4], "positive", BANDS, np.random.default_rng(0)) == 0


def test_a_label_that_no_rater_names_always_changes() -> None:
    assert turned_share([-1, -2, -4], "positive", BANDS, np.random.default_rng(0)) == 1


def test_the_share_is_the_share_of_panels_whose_mean_changes_the_label() -> None:
    # Two raters, -1 and 2: the means of panels of two are -1, .5, .5, 2. One panel in four changes the label.
    share = turned_share([-1, 2], "positive", BANDS, np.random.default_rng(1))
    assert share == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / PANELS) ** 0.5)


def test_a_mean_between_the_bands_goes_to_the_nearest_label() -> None:
    generator = np.random.default_rng(0)
    assert turned_share([0.2], "positive", BANDS, generator) == 0
    assert turned_share([-0.2], "positive", BANDS, generator) == 1


def test_a_mean_halfway_between_two_labels_counts_half_a_panel_for_each() -> None:
    generator = np.random.default_rng(0)
    for label in BANDS:
        assert turned_share([0.0], label, BANDS, generator) == 0.5


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=30), st.integers(0, 99))
def test_shares_of_all_labels_add_up_to_one_and_repeat_with_the_seed(
    ratings: list[int], seed: int
) -> None:
    shares = [turned_share(ratings, label, BANDS, np.random.default_rng(seed)) for label in BANDS]
    assert all(0 <= share <= 1 for share in shares)
    assert sum(shares) == pytest.approx(1)
    again = turned_share(ratings, "negative", BANDS, np.random.default_rng(seed))
    assert again == shares[0]
