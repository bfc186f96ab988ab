"""Figures and tables as text: Markdown for `reports/`, columns for the console."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from stats.estimate import Estimate

WIDTH = 110  # of the console's text
NOTHING = "-"


_PLAIN = {ord(mark): f"\\{mark}" for mark in "\\`*_[]|#"}
_PLAIN |= {ord(mark): f"&#{ord(mark)};" for mark in "<>&"}


@dataclass(frozen=True)
class Table:
    """Columns' names and rows of cells. The first column is text, the others figures."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        lines = [_line(self.columns), "|---|" + "---:|" * (len(self.columns) - 1)]
        return "\n".join([*lines, *map(_line, self.rows)])

    def console(self) -> str:
        """At most `WIDTH` wide: an interval stands below its figure."""
        table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for at, column in enumerate(self.columns):
            name = column.replace(", ", "\n").replace(" ", "\n") if at else column
            table.add_column(name, justify="right" if at else "left", no_wrap=True)
        for row in self.rows:
            table.add_row(*(escape(cell.replace(" [", "\n[")) for cell in row))
        return console_text(table)


def figure(value: float | None) -> str:
    """Three digits without the leading zero, as statistics are printed; a dash for none."""
    if value is None:
        return NOTHING
    text = f"{abs(value):.3f}"
    sign = "-" if value < 0 and float(text) else ""
    return sign + (text.removeprefix("0") if text.startswith("0.") else text)


def with_interval(estimate: Estimate | None) -> str:
    """`.941 [.925, .954]`; the figure alone where it has no interval."""
    if estimate is None or estimate.low is None:
        return figure(estimate and estimate.value)
    return f"{figure(estimate.value)} [{figure(estimate.low)}, {figure(estimate.high)}]"


def points(value: float) -> str:
    """A share in points of a hundred."""
    return f"{round(100 * value, 1) + 0.0:.1f}"  # never -0.0


def bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def text_cell(text: str) -> str:
    """Text as text in a cell of a Markdown table: nothing in it is markup, line breaks are kept."""
    text = text.translate(_PLAIN)
    return "<br>".join(line for line in text.splitlines() if line.strip())


def console_text(*parts: RichTable | str) -> str:
    """Tables, and text filled to the width, as they stand on a console without colours."""
    out = Console(file=io.StringIO(), width=WIDTH, color_system=None, legacy_windows=False)
    for part in parts:
        if isinstance(part, str):
            part = "\n".join(textwrap.fill(line, WIDTH) for line in part.splitlines())
            out.print(escape(part), highlight=False, soft_wrap=True)
        else:
            out.print(part)
    assert isinstance(out.file, io.StringIO)
    return "\n".join(line.rstrip() for line in out.file.getvalue().splitlines()) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(text_cell, cells)) + " |"
