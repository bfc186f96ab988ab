"""Compare a new run with the committed run: `check_metrics.py COMMITTED NEW`.

Each argument is a folder with `dvc.lock` and `metrics/`. Data must have the same bytes, and baselines the
same metrics. Processors round differently, so metrics of language models may differ by `TOLERANCES`.
The script prints a line for each larger difference. Exit status 1 if there is one.
"""

import json
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from runtime.process import run_stage

import yaml

from settings.read import read_settings
from systems import systems_of

FILES = ("systems.json", "headline.json")  # the files of metrics/ that are in git
# The first pattern that matches "FILE:KEY" applies: (absolute, relative to the committed number).
TOLERANCES = (
    (r"forgot", (0.1, 0.25)),  # nats per token
    (r"\.ten$", (2, 0)),  # instructions, of ten
    (r"exact_|bare|hundred", (0.12, 0)),  # shares of a few hundred answers
    (r"wordings", (0.08, 0)),  # shares of 120 rows
    (r"matthews", (0.06, 0)),  # one row changes it about twice as much as accuracy
    (r"^systems\.json:primary\..*\.p$", (1, 0)),  # the verdict must be equal, p may differ
    (
        r"^systems\.json:(pairs|primary)\.",
        (0.05, 0),
    ),  # differences of two shares of the labelled rows
    (r"tokens_per_row", (1, 0)),
    (r"", (0.03, 0)),  # shares of the labelled rows
)

# Stages without rounded numbers, and metrics of other stages. Both must have the same bytes.
DATA = ("prepare", "instructify", "mix", "base_model", "encoder")
EXACT = ("metrics/label_noise.json",)


def main() -> None:
    committed, new = map(Path, sys.argv[1:3])
    systems = systems_of(read_settings("task").task)
    exact = [system.name for system in systems.of_kind("baseline", "reference")]
    differences = [
        *compare_data(committed, new),
        *compare(committed / "metrics", new / "metrics", exact),
    ]
    for difference in differences:
        print(difference)
    if differences:
        sys.exit(f"{len(differences)} differences from the committed run are too large")
    print("data equal to the committed bytes, metrics within the tolerances")


def compare_data(committed: Path, new: Path) -> Iterator[str]:
    """Yield a line for each output of `DATA` or in `EXACT` with a different hash in `new`'s lock."""
    before, now = (_hashes(folder) for folder in (committed, new))
    for path, md5 in before.items():
        if now.get(path) != md5:
            yield f"{path}: {md5} committed, {now.get(path)} now"


def compare(committed: Path, new: Path, exact: Collection[str]) -> Iterator[str]:
    """Yield a line for each number in `committed` that is missing from `new` or differs too much.

    Numbers of the systems in `exact` must be equal.
    """
    for file in FILES:
        if not (new / file).is_file():
            yield f"{file}: missing"
            continue
        before, now = (
            dict(_leaves(json.loads((folder / file).read_text(encoding="utf-8"))))
            for folder in (committed, new)
        )
        for keys, value in before.items():
            key = ".".join(keys)
            is_exact = keys[0] == "systems" and keys[1] in exact
            if not _is_close(f"{file}:{key}", value, now.get(keys, "missing"), is_exact):
                yield f"{file}: {key}: {value} committed, {now.get(keys, 'missing')} now"


def _hashes(folder: Path) -> dict[str, str]:
    """{path: MD5} of the locked outputs that must have the same bytes."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    return {
        out["path"]: out["md5"]
        for name, stage in stages.items()
        for out in stage["outs"]
        if name in DATA or out["path"] in EXACT
    }


def _leaves(content: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _leaves(value, (*keys, name))
    elif isinstance(content, list):  # one row per system
        for row in content:
            yield from _leaves(row, (*keys, row["system"]))
    else:
        yield keys, content


def _is_close(place: str, before: Any, now: Any, is_exact: bool) -> bool:
    if not isinstance(before, float | int) or not isinstance(now, float | int):
        return bool(before == now)
    absolute, relative = next(
        allowed for pattern, allowed in TOLERANCES if re.search(pattern, place)
    )
    if is_exact:
        absolute = relative = 0
    elif isinstance(before, int) and not place.endswith(".ten"):
        return before == now  # a count
    return abs(before - now) <= max(absolute, relative * abs(before)) + 1e-12


if __name__ == "__main__":
    run_stage(main)
