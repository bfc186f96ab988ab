"""Blocks as plain text of a fixed maximum width, for a console without colours."""

import io
import textwrap
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from pages.blocks import Block, Bullets, Chart, Code, Details, Heading, Inline, Table, Text

WIDTH = 110  # columns


def console_of(blocks: Sequence[Block]) -> str:
    """The blocks with an empty line between them."""
    return "\n".join(map(_block, blocks))


def console_text(*parts: RichTable | str) -> str:
    """Tables and paragraphs, one below the other, with lines broken at `WIDTH` columns."""
    out = Console(file=io.StringIO(), width=WIDTH, color_system=None, legacy_windows=False)
    for part in parts:
        if isinstance(part, str):
            part = "\n".join(textwrap.fill(line, WIDTH) for line in part.splitlines())
            out.print(escape(part), highlight=False, soft_wrap=True)
        else:
            out.print(part)
    assert isinstance(out.file, io.StringIO)
    return "\n".join(line.rstrip() for line in out.file.getvalue().splitlines()) + "\n"


def table_console(table: Table) -> str:
    """A table of at most `WIDTH` columns. Intervals are below their values; long names are folded."""
    # With more than one blank between columns, the intervals of eight columns would be cut off.
    rich_table = RichTable(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    first, *numbers = table.columns
    rich_table.add_column(first, overflow="fold")
    for column in numbers:
        heading = column.replace(", ", "\n").replace(" ", "\n")
        rich_table.add_column(heading, justify="right", no_wrap=True)
    for row in table.rows:
        rich_table.add_row(*(escape(cell.replace(" [", "\n[")) for cell in row))
    return console_text(rich_table)


def _block(block: Block) -> str:
    match block:
        case Heading(text):
            return console_text(text)
        case Text(parts):
            return console_text(_inline(parts))
        case Bullets(items):
            return "".join(console_text(_inline(item.parts)) for item in items)
        case Table():
            return table_console(block)
        case Chart(title, path):
            return console_text(f"{title}: {path}")
        case Details(summary, blocks):
            return console_text(summary) + "\n" + console_of(blocks)


def _inline(parts: Sequence[Inline]) -> str:
    return "".join(part.text if isinstance(part, Code) else part for part in parts)
