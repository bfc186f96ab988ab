"""Seconds and memory of `prepare` by row count: `PYTHONPATH=stages python benchmarks/prepare.py 10000`.

Each count is run twice: with the default's `take` (600 training, 60 validation and 1,000 test rows), and
with all rows taken. `--take` runs the first alone.

The rows are tweet-like: 5 to 20 words of the project's word lists and a number, half of them negative,
sorted by label, in a CSV file in Latin-1 without a header. One row in 50 repeats an earlier row, one in
200 repeats a row with the other label, one in 100 is a near-copy of another row.
"""

import argparse
import csv
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from tasks.words import ANIMALS, COLOURS, WORDS

REPO = Path(__file__).resolve().parents[1]
GENERAL = "data/raw/general_instructions.jsonl"
HEADER = ["label", "id", "date", "query", "user", "text"]
TAKE = {"train": 600, "validation": 60, "test": 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("counts", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--take", action="store_true", help="only with the default's take")
    arguments = parser.parse_args()
    print(f"{'rows':>9}  {'taken':>5}  seconds  processor seconds  peak memory, MiB")
    for count in arguments.counts:
        for take in (TAKE,) if arguments.take else (TAKE, {}):
            with tempfile.TemporaryDirectory() as folder:
                write_study(Path(folder), count, take)
                seconds, processor_seconds, peak = run_prepare(Path(folder))
            print(
                f"{count:>9}  {'some' if take else 'all':>5}  {seconds:7.1f}  {processor_seconds:17.1f}"
                f"  {peak:16.0f}",
                flush=True,
            )


def rows(count: int) -> Iterator[list[str]]:
    """The rows of the file, in the order of `HEADER`."""
    draws = random.Random(1)
    pool = (*WORDS, *ANIMALS, *COLOURS)
    recent = ["the first tweet of all"]
    for number in range(count):
        label = 0 if number < count // 2 else 4
        text = " ".join(draws.choices(pool, k=draws.randint(5, 20))) + f" {draws.randrange(10**6)}"
        kind = number % 200
        if kind in (50, 100, 150, 199):
            text = draws.choice(recent)
        elif kind in (25, 75):
            text = draws.choice(recent) + " indeed"
        if kind == 199:
            label = 4 - label
        recent = [*recent[-999:], text] if number % 10 == 0 else recent
        yield [str(label), str(number), "Mon", "NO_QUERY", "somebody", text]


def write_study(folder: Path, count: int, take: dict[str, int]) -> None:
    """A study of `count` rows in `folder`: the default's settings, and a file of rows."""
    (folder / "data/raw").mkdir(parents=True)
    (folder / "profiles").mkdir()
    with (folder / "data/raw/rows.csv").open("w", encoding="latin-1", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows(count))
    shutil.copy(REPO / GENERAL, folder / GENERAL)
    shutil.copy(REPO / "params.yaml", folder)
    profile = yaml.safe_load((REPO / "profiles/pocket.yaml").read_text(encoding="utf-8"))
    profile["sources"]["labelled"] = {
        "kind": "files",
        "splits": {"train": "data/raw/rows.csv"},
        "reading": {"encoding": "latin-1", "header": HEADER},
        "columns": {"text": "text", "label": "label"},
        "label_values": {0: "negative", 4: "positive"},
        "validation_share": 0.1,
        "test_share": 0.3,
        "take": take,
    }
    text = yaml.safe_dump(profile)
    (folder / "profiles/pocket.yaml").write_text(text, encoding="utf-8")


def run_prepare(folder: Path) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak memory in MiB of the stage."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, REPO / "stages/prepare.py"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    messages = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(messages)
    seconds = time.perf_counter() - started
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
