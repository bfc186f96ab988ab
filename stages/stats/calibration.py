"""Whether a model is as often right as it is sure: reliability bins and calibration error."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from settings.labels import Labels

BINS = 15  # of equal width, as in Guo et al. 2017


class Bin(NamedTuple):
    """The rows of a stretch of confidence: mean confidence, accuracy, and how many they are."""

    confidence: float
    accuracy: float
    n: int


def reliability_bins(
    probabilities: ArrayLike, expected: Sequence[str], labels: Labels
) -> list[Bin]:
    """Rows by the probability of their most likely label, (n, K) -> the bins that have rows.

    Bin m of M holds the confidences above (m - 1) / M, up to and with m / M.
    """
    found = np.asarray(probabilities, float).reshape(-1, len(labels.names))
    confidence = found.max(1)
    right = found.argmax(1) == np.array([labels.names.index(label) for label in expected], int)
    places = np.ceil(confidence * BINS)
    return [
        Bin(float(confidence[held].mean()), float(right[held].mean()), int(held.sum()))
        for held in (places == place for place in np.unique(places))
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: the mean over rows of their bin's |accuracy - confidence|.

    Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    n = sum(each.n for each in bins)
    return sum(each.n * abs(each.accuracy - each.confidence) for each in bins) / n if n else 0.0
