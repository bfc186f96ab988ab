"""The README is true: its table is the committed run's, its commands exist."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from pages.results import result_cells

REPO = Path(__file__).resolve().parents[1]
README = (REPO / "README.md").read_text(encoding="utf-8")


# A person's own run changes metrics/ as it should; README tells of the committed one.
committed_run = pytest.mark.skipif(
    subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "metrics"], cwd=REPO).returncode != 0,
    reason="metrics/ is not the committed run's",
)


def _metrics(name: str) -> dict[str, dict[str, float]]:
    content: dict[str, dict[str, float]] = json.loads(
        (REPO / f"metrics/{name}.json").read_text(encoding="utf-8")
    )
    return content


@committed_run
def test_the_table_is_that_of_the_committed_metrics() -> None:
    told = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in README.splitlines()
        if re.match(r"\| [a-z_]+ \| [.\d]", line)
    ]
    compared = _metrics("compare")
    assert told == [
        result_cells(
            system,
            _metrics(f"evaluate/{system}"),
            (figures["accuracy_low"], figures["accuracy_high"]),
        )
        for system, figures in compared.items()
    ]


@committed_run
def test_the_ten_instructions_followed_are_those_of_the_committed_metrics() -> None:
    compared = _metrics("compare")
    words = ("none", "one", "two", "three", "four", "five")
    followed = {
        system: words[int(each.get("ten_followed", 0))] for system, each in compared.items()
    }
    assert (
        f"the original follows {followed['original_pretrained']}, "
        f"the mixed model {followed['mixed_fine_tuned']}, "
        f"the sentiment model {followed['sentiment_fine_tuned']}"
    ) in " ".join(README.split())


def test_every_script_and_make_target_that_it_names_exists() -> None:
    named = set(re.findall(r"\b(?:stages|scripts)/\w+\.py", README))
    assert named
    assert all((REPO / name).is_file() for name in named)
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^make (\w+)", README, re.MULTILINE))
    assert {"repro", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
