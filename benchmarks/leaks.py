"""Time the search for near-duplicates: `PYTHONPATH=stages python benchmarks/leaks.py`.

The script times 20,000 and 60,000 synthetic texts of 8 to 20 words; a quarter is the test split. It also
times real tweets if they exist. INSTRUCT_UPLIFT_SHARED_DATA names another folder for them, as in the tests.
Last it prints the share of near-copies (one changed letter) that the search finds, for 1,000 texts per
range of lengths.
"""

import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from rows.leaks import near_duplicates
from rows.normalise import normalised
from tasks.words import ANIMALS, COLOURS, WORDS

SIMILARITY = 0.7
SHARED = Path(__file__).resolve().parents[2] / "shared/data"
TWEETS = Path(os.environ.get("INSTRUCT_UPLIFT_SHARED_DATA", SHARED)) / "sentiment140"


def main() -> None:
    draws = random.Random(1)
    pool = (*WORDS, *ANIMALS, *COLOURS)
    for count in (20_000, 60_000):
        texts = ["".join(draws.choices(pool, k=draws.randint(8, 20))) for _ in range(count)]
        measure("synthetic", texts[count // 4 :], texts[: count // 4])
    if TWEETS.is_dir():
        train, test = (
            [normalised(text) for text in pq.read_table(path)["text"].to_pylist()]
            for path in (TWEETS / "train.parquet", TWEETS / "test.parquet")
        )
        measure("tweets", train, test)
    for shortest, longest in ((10, 19), (20, 39), (40, 140)):
        texts = [
            " ".join(draws.choices(pool, k=40))[: draws.randint(shortest, longest)].strip()
            for _ in range(1000)
        ]
        near_copies(f"{shortest} to {longest} letters", texts, draws)


def measure(name: str, earlier: Sequence[str], later: Sequence[str]) -> None:
    started = time.perf_counter()
    duplicates = near_duplicates(earlier, later, SIMILARITY)
    seconds = time.perf_counter() - started
    print(f"{len(earlier) + len(later):,} rows, {name}: {seconds:.1f} s, {len(duplicates)} found")


def near_copies(name: str, texts: Sequence[str], draws: random.Random) -> None:
    positions = [draws.randrange(len(text)) for text in texts]
    copies = [f"{text[:at]}#{text[at + 1 :]}" for text, at in zip(texts, positions, strict=True)]
    duplicates = near_duplicates(copies, texts, SIMILARITY)
    n_found = sum(index == at for at, (index, _) in duplicates.items())
    print(f"{name}, one changed: {n_found / len(texts):.1%} found")


if __name__ == "__main__":
    main()
