"""Time the bootstrap of two systems on 60,000 rows, and of ten systems on 3,080 rows of 77 labels.

`PYTHONPATH=stages python benchmarks/bootstrap.py`
"""

import time
from collections.abc import Sequence

import numpy as np

from settings.labels import Labels
from stats.bootstrap import resampled_metrics

ROWS_LABELS_SYSTEMS = ((60_000, 2, 2), (3_080, 77, 10))


def main() -> None:
    for n, n_labels, n_systems in ROWS_LABELS_SYSTEMS:
        names = [f"label {number}" for number in range(n_labels)]
        labels = Labels(names=names, positive=names[-1])
        draws = np.random.default_rng(1)
        expected = draws.choice(names, n)
        predictions: dict[str, Sequence[str | None]] = {
            f"system {number}": np.where(
                draws.random(n) < 0.9 - 0.05 * number, expected, draws.choice(names, n)
            ).tolist()
            for number in range(n_systems)
        }
        for _ in range(3):
            started = time.perf_counter()
            resampled_metrics(expected.tolist(), predictions, labels, 1)
            seconds = time.perf_counter() - started
            print(
                f"{n:,} rows, {n_labels} labels, {n_systems} systems, 10,000 resamples: {seconds:.2f} s"
            )


if __name__ == "__main__":
    main()
