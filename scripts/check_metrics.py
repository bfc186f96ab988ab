"""Hold a run's metrics against the committed ones: `check_metrics.py COMMITTED NEW`, two folders.

Data and baselines compute the same everywhere: their figures must be equal. What a language model
gives may differ in the last bits between processors, which a training makes larger: shares of the
labelled rows may differ by .03, those of the general instructions, which are fewer, by .12, losses by
a quarter, the ten instructions followed by 2; counts by nothing. Exit status 1, and a line for each
figure, where they differ by more.
"""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXACT = ("prepare.json", "majority.json", "tfidf_logistic.json", "vader_lexicon.json")
SHARES = 0.03  # absolute
GENERAL = 0.12  # absolute
LOSSES = 0.25  # relative
TEN = 2  # of the ten instructions


def main() -> None:
    committed, new = map(Path, sys.argv[1:3])
    differences = list(compare(committed, new))
    for difference in differences:
        print(difference)
    if differences:
        sys.exit(f"{len(differences)} figures differ from the committed ones by more than allowed")
    print("the metrics are the committed ones, within the tolerance")


def compare(committed: Path, new: Path) -> Iterator[str]:
    """A line for each figure of the folder `committed` that `new` lacks or has otherwise."""
    for path in sorted(committed.rglob("*.json")):
        name = path.relative_to(committed)
        if not (new / name).is_file():
            yield f"{name}: missing"
            continue
        old, fresh = (
            dict(_figures(json.loads(file.read_text(encoding="utf-8"))))
            for file in (path, new / name)
        )
        for key, value in old.items():
            found = fresh.get(key, "missing")
            if not _alike(name.name, key, value, found):
                yield f"{name}: {key}: {value} committed, {found} now"


def _figures(content: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _figures(value, f"{key}.{name}".lstrip("."))
    else:
        yield key, content


def _alike(file: str, key: str, value: Any, found: Any) -> bool:
    if file in EXACT or not isinstance(found, float | int):
        return bool(value == found)
    if key.endswith("ten_followed"):
        return bool(abs(value - found) <= TEN)
    if not isinstance(value, float):
        return bool(value == found)
    if key.endswith("loss"):
        return math.isclose(value, found, rel_tol=LOSSES)
    return abs(value - found) <= (GENERAL if key.startswith("general.") else SHARES)


if __name__ == "__main__":
    main()
