"""How long the search for near-duplicates takes: `PYTHONPATH=stages python benchmarks/leaks.py`.

20,000 made texts of 8 to 20 words, and 60,000: a quarter of them is the test split. Then real tweets,
where they are: INSTRUCT_UPLIFT_SHARED_DATA names another folder for them, as for the tests.
"""

import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from rows.checks import normalised
from rows.leaks import near_duplicates
from rows.tasks_words import ANIMALS, COLOURS, WORDS

SIMILARITY = 0.7
SHARED = Path(__file__).resolve().parents[2] / "shared/data"
TWEETS = Path(os.environ.get("INSTRUCT_UPLIFT_SHARED_DATA", SHARED)) / "sentiment140"


def main() -> None:
    draws = random.Random(1)
    pool = (*WORDS, *ANIMALS, *COLOURS)
    for count in (20_000, 60_000):
        texts = ["".join(draws.choices(pool, k=draws.randint(8, 20))) for _ in range(count)]
        measure("made", texts[count // 4 :], texts[: count // 4])
    if TWEETS.is_dir():
        train, test = (
            [normalised(text) for text in pq.read_table(path)["text"].to_pylist()]
            for path in (TWEETS / "train.parquet", TWEETS / "test.parquet")
        )
        measure("tweets", train, test)


def measure(name: str, earlier: Sequence[str], later: Sequence[str]) -> None:
    started = time.perf_counter()
    found = near_duplicates(earlier, later, SIMILARITY)
    seconds = time.perf_counter() - started
    print(f"{len(earlier) + len(later):,} rows, {name}: {seconds:.1f} s, {len(found)} found")


if __name__ == "__main__":
    main()
