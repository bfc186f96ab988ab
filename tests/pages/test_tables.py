"""Figures and tables as text: printed as statistics are, text from data never markup."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages.tables import WIDTH, Table, console_text, figure, text_cell, with_interval

from stats.estimate import Estimate


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.5, ".500"), (1.0, "1.000"), (0, ".000"), (-0.25, "-.250"), (-1e-9, ".000"), (None, "-")],
)
def test_figures_have_three_digits_and_no_leading_zero(value: float | None, told: str) -> None:
    assert figure(value) == told


def test_an_interval_stands_beside_its_figure_where_there_is_one() -> None:
    assert with_interval(Estimate(0.5, 0.25, 1.0)) == ".500 [.250, 1.000]"
    assert with_interval(Estimate(0.5, None, None)) == ".500"
    assert with_interval(None) == "-"


TABLE = Table(
    ("system", "accuracy", "n"), [["a_b", ".5 [.4, .6]", "7"], ["[red]c | d[/red]", "-", "7"]]
)


def test_a_markdown_table_has_a_line_a_row_and_no_cell_that_breaks_it() -> None:
    lines = TABLE.markdown().splitlines()
    assert len(lines) == 4
    assert all(line.replace("\\|", "").count("|") == 4 for line in lines)
    assert "a\\_b" in lines[2]


def test_the_console_shows_text_as_it_is_and_intervals_below() -> None:
    lines = TABLE.console().splitlines()
    assert any("[red]c | d[/red]" in line for line in lines)
    (at,) = [at for at, line in enumerate(lines) if "a_b" in line]
    assert "[.4, .6]" in lines[at + 1]


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"))))
def test_long_text_stays_within_the_width(text: str) -> None:
    said = console_text(" ".join([text, *["word"] * 60]))
    assert max(map(len, said.splitlines())) <= max(WIDTH, *map(len, text.split() or [""]))


def test_no_mark_of_a_text_is_markup() -> None:
    told = text_cell("p < 1 & <b> | `x` *y* [z](u) # _i_ \\\n\nsecond")
    assert told == (
        "p &#60; 1 &#38; &#60;b&#62; \\| \\`x\\` \\*y\\* \\[z\\](u) \\# \\_i\\_ \\\\<br>second"
    )
