"""Reliability: bins by hand, simulated calibration and overconfidence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings.labels import Labels
from stats.calibration import Bin, calibration_error, reliability_bins

TWO = Labels(names=["negative", "positive"], positive="positive")
THREE = Labels(names=["bad", "middling", "good"], positive="good")
ROWS = st.lists(
    st.tuples(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), st.sampled_from(THREE.names)),
    min_size=1,
    max_size=60,
)


def simulated(right_at: float) -> tuple[np.ndarray, list[str]]:
    """20,000 rows whose accuracy is `right_at` times their confidence: probabilities (n, 2) and labels."""
    draws = np.random.default_rng(0)
    positive = draws.uniform(0, 1, 20_000)
    probabilities = np.column_stack([1 - positive, positive])
    right = draws.uniform(0, 1, 20_000) < right_at * probabilities.max(1)
    return probabilities, [
        TWO.names[at] for at in np.where(right, probabilities.argmax(1), probabilities.argmin(1))
    ]


def test_bins_hold_confidence_accuracy_and_rows() -> None:
    probabilities = [[0.1, 0.9], [0.08, 0.92], [0.95, 0.05], [0.49, 0.51]]
    bins = reliability_bins(probabilities, ["positive", "negative", "negative", "positive"], TWO)
    assert [bin_.n for bin_ in bins] == [1, 2, 1]  # 14 / 15 lies between .92 and .95
    assert bins[1] == pytest.approx((0.91, 0.5, 2))
    assert calibration_error(bins) == pytest.approx((0.49 + 2 * 0.41 + 0.05) / 4)


@given(ROWS)
def test_the_error_is_that_of_the_definition(rows: list[tuple[list[float], str]]) -> None:
    probabilities = np.array([row for row, _ in rows])
    probabilities /= probabilities.sum(1, keepdims=True)
    expected = [label for _, label in rows]
    bins = reliability_bins(probabilities, expected, THREE)
    wanted = 0.0
    for number in range(15):
        in_bin = [
            (max(row), THREE.names[int(np.argmax(row))] == label)
            for row, label in zip(probabilities, expected, strict=True)
            if number < max(row) * 15 <= number + 1
        ]
        wanted += abs(sum(right for _, right in in_bin) - sum(sure for sure, _ in in_bin)) / len(
            rows
        )
    assert calibration_error(bins) == pytest.approx(wanted)
    assert sum(bin_.n for bin_ in bins) == len(rows)


def test_a_calibrated_model_has_almost_no_error() -> None:
    assert calibration_error(reliability_bins(*simulated(1.0), TWO)) < 0.01


def test_an_overconfident_models_error_is_its_gap() -> None:
    # the mean confidence is .75, the accuracy four fifths of it
    assert calibration_error(reliability_bins(*simulated(0.8), TWO)) == pytest.approx(
        0.15, abs=0.01
    )


def test_nothing_has_no_bins() -> None:
    assert reliability_bins([], [], TWO) == []
    assert calibration_error([]) == 0.0
    assert calibration_error([Bin(0.8, 0.8, 3)]) == 0.0
