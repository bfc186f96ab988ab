"""Hold a run against the committed one where the processor rounds otherwise than the committed run's.

`check_metrics.py COMMITTED NEW`, two folders with a `dvc.lock` and `metrics/`. Data must have the same
bytes, and data and baselines the same figures. What a language model gives may differ in the last bits,
which a training makes larger: `TOLERANCES` says by how much each kind of figure may. Exit status 1, and
a line for each difference, where there are more.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

# The first pattern that is found in "FILE:KEY" counts: (absolute, relative to the committed figure).
TOLERANCES = (
    (r"^(prepare|label_noise|majority|tfidf_logistic|vader_lexicon)\.json", (0, 0)),
    (r"systems\.(majority|tfidf_logistic|vader_lexicon)\.", (0, 0)),
    (r"loss$", (0, 0.25)),
    (r"forgotten", (0.1, 0.25)),  # nats a token
    (r"tokens_per_row", (0.5, 0)),
    (r"\.ten$", (2, 0)),  # of ten instructions
    (r"general\.|bare_label|hundred", (0.12, 0)),  # shares of some hundred answers
    (r"wordings", (0.08, 0)),  # of 120 rows
    (r"^compare\.json:pairs", (0.05, 0)),  # differences of two shares of the labelled rows
    (r"", (0.03, 0)),  # shares of the labelled rows
)


# Stages that compute nothing that is rounded.
DATA = ("prepare", "instructify", "mix", "base_model")


def main() -> None:
    committed, new = map(Path, sys.argv[1:3])
    differences = [*compare_data(committed, new), *compare(committed / "metrics", new / "metrics")]
    for difference in differences:
        print(difference)
    if differences:
        sys.exit(f"{len(differences)} differences from the committed run, more than allowed")
    print("data as committed to the byte, metrics within the tolerance")


def compare_data(committed: Path, new: Path) -> Iterator[str]:
    """A line for each output of `DATA` whose hash in `new`'s lock is not the one in `committed`'s."""
    old, fresh = (
        yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
        for folder in (committed, new)
    )
    for stage in DATA:
        found = {out["path"]: out["md5"] for out in fresh[stage]["outs"]}
        for out in old[stage]["outs"]:
            if found.get(out["path"]) != out["md5"]:
                yield f"{out['path']}: {out['md5']} committed, {found.get(out['path'])} now"


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
    if not isinstance(value, float | int) or not isinstance(found, float | int):
        return bool(value == found)
    absolute, relative = next(
        allowed for pattern, allowed in TOLERANCES if re.search(pattern, f"{file}:{key}")
    )
    if isinstance(value, int) and not key.endswith(".ten"):
        return value == found  # a count
    return abs(value - found) <= max(absolute, relative * abs(value)) + 1e-12


if __name__ == "__main__":
    main()
