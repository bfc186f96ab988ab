"""How long the search for near-duplicates takes: `PYTHONPATH=stages python benchmarks/leaks.py`.

20,000 made texts of 8 to 20 words, and 60,000: a quarter of them is the test split. Then real tweets,
where they are: INSTRUCT_UPLIFT_SHARED_DATA names another folder for them, as for the tests. Last, which share
of near-copies is found, by length: texts with one letter changed, a thousand of each length.
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
        measure("made", texts[count // 4 :], texts[: count // 4])
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
    found = near_duplicates(earlier, later, SIMILARITY)
    seconds = time.perf_counter() - started
    print(f"{len(earlier) + len(later):,} rows, {name}: {seconds:.1f} s, {len(found)} found")


def near_copies(name: str, texts: Sequence[str], draws: random.Random) -> None:
    places = [draws.randrange(len(text)) for text in texts]
    copies = [f"{text[:at]}#{text[at + 1 :]}" for text, at in zip(texts, places, strict=True)]
    found = near_duplicates(copies, texts, SIMILARITY)
    right = sum(place == at for at, (place, _) in found.items())
    print(f"{name}, one changed: {right / len(texts):.1%} found")


if __name__ == "__main__":
    main()
