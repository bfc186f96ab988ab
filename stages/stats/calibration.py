"""Whether predicted probabilities match accuracy: reliability bins and calibration error."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from settings.labels import Labels

BINS = 15  # of equal width, as in Guo et al. 2017


class Bin(NamedTuple):
    """The rows in one interval of confidence: mean confidence, accuracy, number of rows."""

    confidence: float
    accuracy: float
    n: int


def reliability_bins(
    probabilities: ArrayLike, expected: Sequence[str], labels: Labels
) -> list[Bin]:
    """The bins that contain rows, in order of confidence, from label probabilities (n, K).

    A row's confidence is the probability of its most likely label. Bin m of M contains the rows with
    (m - 1) / M < confidence <= m / M.
    """
    label_probabilities = np.asarray(probabilities, float).reshape(-1, len(labels.names))
    confidence = label_probabilities.max(1)
    expected_places = np.array([labels.names.index(label) for label in expected], int)
    is_right = label_probabilities.argmax(1) == expected_places
    bin_numbers = np.ceil(confidence * BINS)
    return [
        Bin(float(confidence[in_bin].mean()), float(is_right[in_bin].mean()), int(in_bin.sum()))
        for in_bin in (bin_numbers == number for number in np.unique(bin_numbers))
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: |accuracy - confidence| of each bin, averaged over rows; 0 for no row.

    Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    n = sum(bin_.n for bin_ in bins)
    return sum(bin_.n * abs(bin_.accuracy - bin_.confidence) for bin_ in bins) / n if n else 0.0
