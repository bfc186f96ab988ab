"""The simulated tables of docs/statistics.md are within their bounds; some are simulated again."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import simulate_statistics
from simulate_statistics import exact_test, tango, wilson

from stats.verdicts import primary_family

TEXT = (Path(__file__).resolve().parents[2] / "docs/statistics.md").read_text(encoding="utf-8")


def _shares(cells: list[str]) -> list[float]:
    return [float(cell.removesuffix("%")) for cell in cells]


def _columns(name: str) -> dict[str, list[str]]:
    """The page's table with this name: {column: cells}."""
    (table,) = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- end of {name} -->", TEXT, re.DOTALL)
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()]
    return {column: [line[at] for line in lines[2:]] for at, column in enumerate(lines[0])}


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("Wilson", "coverage"),
        ("Tango", "coverage"),
        *(("bootstrap", metric) for metric in simulate_statistics.BOOTSTRAPPED.values()),
    ],
)
def test_the_intervals_cover_what_they_say(name: str, column: str) -> None:
    covered = _shares(_columns(name)[column])
    assert len(covered) >= 15
    assert 94 <= np.mean(covered) <= 96
    assert min(covered) >= 93


def test_below_fifty_rows_the_page_shows_the_coverage_of_both_intervals() -> None:
    columns = _columns("below 50 rows")
    mean = {name: _shares(columns[f"{name}, mean"]) for name in ("Tango", "Bayesian")}
    worst = {name: _shares(columns[f"{name}, worst"]) for name in ("Tango", "Bayesian")}
    for tangos, bayes in zip(mean["Tango"], mean["Bayesian"], strict=True):
        assert 95 < bayes < tangos
    assert min(worst["Tango"]) >= 92.5
    assert 86 < min(worst["Bayesian"]) < 88
    (again, *_) = simulate_statistics.below_fifty(0)
    assert again == [cells[0] for cells in columns.values()]


def test_the_bootstrap_fails_where_few_rows_differ() -> None:
    assert min(_shares(_columns("too few differing rows")["percentile bootstrap"])) < 60


def test_the_exact_test_never_errs_above_its_level_nor_do_verdicts() -> None:
    # A simulated level of 5% differs from 5% by the error of the draws.
    assert max(_shares(_columns("exact test")["false alarms"])) <= 5.3
    assert max(_shares(_columns("verdicts")["false alarms"])) <= 5
    family = primary_family(simulate_statistics.STUDY)
    assert set(_columns("verdicts")["tests"]) == {str(family.tests)} == {"5"}


@pytest.mark.parametrize(
    ("name", "simulate"), [("Wilson", wilson), ("Tango", tango), ("exact test", exact_test)]
)
def test_a_simulation_of_fewer_draws_agrees_with_the_page(
    name: str, simulate: Callable[[int], Iterator[Sequence[str]]]
) -> None:
    again = [float(line[-1].removesuffix("%")) for line in simulate(1500)]
    on_page = _shares(list(_columns(name).values())[-1])
    assert len(again) == len(on_page)
    assert np.abs(np.array(again) - on_page).max() < 3.5  # five standard errors


def test_the_page_names_the_draws_and_the_seed() -> None:
    for number in (simulate_statistics.DRAWS, simulate_statistics.STUDIES):
        assert f"{number:,}" in TEXT
    assert str(simulate_statistics.SEED) in TEXT
