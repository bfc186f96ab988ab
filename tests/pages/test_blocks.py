"""Numbers and blocks as text: statistical number format; text from data is never markup."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages.blocks import Block, Chart, Code, Details, Heading, Table, bullets, text
from pages.console import WIDTH, console_of, console_text, table_console
from pages.markdown import markdown_of, table_markdown, text_cell
from pages.numbers import decimals, in_nats, in_points, percent, with_interval
from stats.estimate import Estimate


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.5, ".500"), (1.0, "1.000"), (0, ".000"), (-0.25, "-.250"), (-1e-9, ".000"), (None, "-")],
)
def test_numbers_have_three_digits_and_no_leading_zero(value: float | None, expected: str) -> None:
    assert decimals(value) == expected


def test_an_interval_follows_its_number_if_it_exists() -> None:
    assert with_interval(Estimate(0.5, 0.25, 1.0)) == ".500 [.250, 1.000]"
    assert with_interval(Estimate(0.5, None, None)) == ".500"
    assert with_interval(None) == "-"


TABLE = Table(
    ("system", "accuracy", "n"), [["a_b", ".5 [.4, .6]", "7"], ["[red]c | d[/red]", "-", "7"]]
)


def test_a_markdown_table_has_a_line_a_row_and_no_cell_that_breaks_it() -> None:
    lines = table_markdown(TABLE).splitlines()
    assert len(lines) == 4
    assert all(line.replace("\\|", "").count("|") == 4 for line in lines)
    assert "a\\_b" in lines[2]


def test_the_console_shows_text_as_it_is_and_intervals_below() -> None:
    lines = table_console(TABLE).splitlines()
    assert any("[red]c | d[/red]" in line for line in lines)
    (at,) = [at for at, line in enumerate(lines) if "a_b" in line]
    assert "[.4, .6]" in lines[at + 1]


def test_differences_are_signed_and_a_missing_interval_is_stated() -> None:
    assert in_points(0.0125, -0.005, 0.03) == "+1.2 [-0.5, +3.0]"
    assert in_points(-0.1, None, None) == "-10.0 (no interval)"
    assert in_nats(Estimate(0.091, -0.02, 0.19)) == "+0.09 [-0.02, +0.19]"
    assert in_nats(Estimate(-0.5, None, None)) == "-0.50"
    assert in_nats(None) == "-"
    assert percent(0.944) == "94.4%"


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"))))
def test_long_text_stays_within_the_width(words: str) -> None:
    shown = console_text(" ".join([words, *["word"] * 60]))
    assert max(map(len, shown.splitlines())) <= max(WIDTH, *map(len, words.split() or [""]))


def test_no_character_of_a_text_is_markup() -> None:
    cell = text_cell("p < 1 & <b> | `x` *y* [z](u) # _i_ \\\n\nsecond")
    assert cell == (
        "p &#60; 1 &#38; &#60;b&#62; \\| \\`x\\` \\*y\\* \\[z\\](u) \\# \\_i\\_ \\\\<br>second"
    )


HOSTILE = "<b> | `x` *y* [z](u) # [red]w[/red]"
SAFE = "&#60;b&#62; \\| \\`x\\` \\*y\\* \\[z\\](u) \\# \\[red\\]w\\[/red\\]"
PAGE: list[Block] = [
    Heading(HOSTILE, 3),
    text(HOSTILE, Code("make x")),
    bullets([HOSTILE, "second"]),
    Table((HOSTILE, "n"), [[HOSTILE, "7"]]),
    Chart(HOSTILE, "figures/a.svg"),
    Details(HOSTILE, [text(HOSTILE)]),
]


def test_no_block_of_a_page_lets_text_be_markup() -> None:
    assert markdown_of(PAGE) == "\n\n".join(
        [
            f"### {SAFE}",
            f"{SAFE}`make x`",
            f"- {SAFE}\n- second",
            f"| {SAFE} | n |\n|---|---:|\n| {SAFE} | 7 |",
            f"![{SAFE}](figures/a.svg)",
            f"<details>\n<summary>{SAFE}</summary>\n\n{SAFE}\n\n</details>",
        ]
    )


def test_the_console_shows_every_block_as_it_is() -> None:
    shown = console_of(PAGE)
    assert shown.count(HOSTILE) == 6  # 6 of 7: a cell's interval is on the next line
    assert f"{HOSTILE}make x" in shown
    assert f"{HOSTILE}: figures/a.svg" in shown
    assert "\\" not in shown


def test_two_blocks_of_a_page_have_an_empty_line_between_them() -> None:
    assert console_of([text("one"), text("two")]) == "one\n\ntwo\n"
    assert markdown_of([text("one"), text("two")]) == "one\n\ntwo"


def test_a_wide_tables_numbers_are_whole_on_the_console() -> None:
    interval = ".666 [.555, 1.000]"
    name = "a_system_with_a_very_long_name_fine_tuned"
    wide = Table(
        ("system", *(f"metric {at}" for at in range(5)), "n", "tokens a row"),
        [[name, *[interval] * 5, "1000", "50"]],
    )
    shown = table_console(wide)
    assert "…" not in shown
    assert shown.count("[.555, 1.000]") == 5
    assert max(map(len, shown.splitlines())) <= WIDTH
