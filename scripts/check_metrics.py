"""Compare a run with the committed one where the processor rounds otherwise than the committed run's.

`check_metrics.py COMMITTED NEW`: two folders with `dvc.lock` and `metrics/`. Data must have the same bytes,
baselines the same metrics. Metrics of language models may differ by what training makes of other last
bits: `TOLERANCES` states how much. Prints a line for each larger difference; exit status 1 where any is.
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

FILES = ("systems.json", "headline.json")  # in metrics/: those that are in git
# The first pattern that occurs in "FILE:KEY" counts: (absolute, relative to the committed number).
TOLERANCES = (
    (r"forgot", (0.1, 0.25)),  # nats a token
    (r"\.ten$", (2, 0)),  # of ten instructions
    (r"exact_|bare|hundred", (0.12, 0)),  # shares of some hundred answers
    (r"wordings", (0.08, 0)),  # of 120 rows
    (r"matthews", (0.06, 0)),  # two rows count for it as much as one row for accuracy
    (r"^systems\.json:primary\..*\.p$", (1, 0)),  # the verdict must be the same, p need not
    (
        r"^systems\.json:(pairs|primary)\.",
        (0.05, 0),
    ),  # differences of two shares of the labelled rows
    (r"tokens_per_row", (1, 0)),
    (r"", (0.03, 0)),  # shares of the labelled rows
)

# Stages that compute nothing that is rounded, and metrics of the others that are held to the byte.
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
        sys.exit(f"{len(differences)} differences from the committed run, more than allowed")
    print("data as committed to the byte, metrics within the tolerance")


def compare_data(committed: Path, new: Path) -> Iterator[str]:
    """A line for each output of `DATA`, or in `EXACT`, with another hash in `new`'s lock."""
    before, now = (_hashes(folder) for folder in (committed, new))
    for path, md5 in before.items():
        if now.get(path) != md5:
            yield f"{path}: {md5} committed, {now.get(path)} now"


def compare(committed: Path, new: Path, exact: Collection[str]) -> Iterator[str]:
    """A line for each number of the folder `committed` that `new` lacks, or that differs too much.

    Numbers of the systems `exact` must be equal.
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
            if not _alike(f"{file}:{key}", value, now.get(keys, "missing"), is_exact):
                yield f"{file}: {key}: {value} committed, {now.get(keys, 'missing')} now"


def _hashes(folder: Path) -> dict[str, str]:
    """The hash of each locked output that must have the same bytes."""
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
    elif isinstance(content, list):  # of rows, a row a system
        for row in content:
            yield from _leaves(row, (*keys, row["system"]))
    else:
        yield keys, content


def _alike(place: str, before: Any, now: Any, is_exact: bool) -> bool:
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
