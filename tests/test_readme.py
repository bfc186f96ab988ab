"""The README is true: its table is the committed run's, its commands exist."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pages.numbers import decimals, with_interval
from stats.estimate import Estimate

REPO = Path(__file__).resolve().parents[1]
README = (REPO / "README.md").read_text(encoding="utf-8")


# A person's own run changes metrics/ as it should; README tells of the committed one.
committed_run = pytest.mark.skipif(
    subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "metrics"], cwd=REPO).returncode != 0,
    reason="metrics/ is not the committed run's",
)


def _systems() -> dict[str, dict[str, Any]]:
    """The metrics of every system of the committed run, by the system's name."""
    content = json.loads((REPO / "metrics/systems.json").read_text(encoding="utf-8"))
    return {row["system"]: row for row in content["systems"]}


@committed_run
def test_the_table_is_that_of_the_committed_metrics() -> None:
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in README.splitlines()
        if re.match(r"\| [a-z_]+ \| [.\d]", line)
    ]
    expected = []
    for system, row in _systems().items():
        tokens = row.get("tokens_per_row")
        expected.append(
            [
                system,
                *(_with_interval(row, name) for name in ("accuracy", "f1", "precision", "recall")),
                str(row["n"]),
                decimals(row.get("invalid")),
                _with_interval(row, "bare_label"),
                "-" if tokens is None else f"{tokens:.0f}",
            ]
        )
    assert table == expected


@committed_run
def test_the_instructions_followed_are_those_of_the_committed_metrics() -> None:
    words = ("none", "one", "two", "three", "four", "five")
    ten = {system: words[row["ten"]] for system, row in _systems().items() if "ten" in row}
    text = " ".join(README.split())
    assert (
        f"the original follows {ten['original_pretrained']}, the mixed model "
        f"{ten['mixed_fine_tuned']}, the sentiment model {ten['sentiment_fine_tuned']}"
    ) in text


def _with_interval(figures: dict[str, float], name: str) -> str:
    if name not in figures:
        return "-"
    return with_interval(Estimate(*(figures[f"{name}{end}"] for end in ("", "_low", "_high"))))


def test_every_script_and_make_target_that_it_names_exists() -> None:
    named = set(re.findall(r"\b(?:stages|scripts)/\w+\.py", README))
    assert named
    assert all((REPO / name).is_file() for name in named)
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^make ([\w-]+)", README, re.MULTILINE))
    assert {"repro", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
