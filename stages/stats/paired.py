"""Two systems on the same rows: McNemar's exact test, and Holm's correction for several tests."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests


def right_rows(expected: Sequence[str], predicted: Sequence[str | None]) -> NDArray[np.bool_]:
    """Whether a system predicts each row correctly (n); the prediction None is wrong."""
    return np.array(
        [prediction == label for prediction, label in zip(predicted, expected, strict=True)], bool
    )


def alone(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[int, int]:
    """The number of rows that only the first, and that only the second system predicts correctly."""
    return int((first & ~second).sum()), int((second & ~first).sum())


@cache  # simulations repeat the same counts many thousand times
def mcnemar_exact(only_first: int, only_second: int) -> float:
    """The two-sided p value of McNemar's exact test (McNemar 1947); 1 if no row differs."""
    return float(mcnemar([[0, only_first], [only_second, 0]], exact=True).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values adjusted for several tests (Holm 1979), in the same order."""
    adjusted: list[float] = multipletests(list(p_values), method="holm")[1].tolist()
    return adjusted
