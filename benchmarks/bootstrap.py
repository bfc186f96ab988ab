"""Time the paired bootstrap of 60,000 rows: `PYTHONPATH=stages python benchmarks/bootstrap.py`."""

import time

import numpy as np

from settings.labels import Labels
from stats.bootstrap import bootstrap_differences

LABELS = Labels(names=["negative", "positive"], positive="positive")


def main() -> None:
    draws = np.random.default_rng(1)
    expected = draws.choice(LABELS.names, 60_000)
    first, second = (
        np.where(draws.random(60_000) < share, expected, "positive").tolist()
        for share in (0.9, 0.8)
    )
    for _ in range(3):
        started = time.perf_counter()
        bootstrap_differences(expected.tolist(), first, second, LABELS, 0.95, 1)
        print(f"60,000 rows, 10,000 resamples: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
