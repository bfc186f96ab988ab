"""Blocks as Markdown. Text from data is escaped, so that it is never markup."""

from collections.abc import Sequence

from pages.blocks import Block, Bullets, Chart, Code, Details, Heading, Inline, Table, Text

_PLAIN = {ord(mark): f"\\{mark}" for mark in "\\`*_[]|#"}
_PLAIN |= {ord(mark): f"&#{ord(mark)};" for mark in "<>&"}


def markdown_of(blocks: Sequence[Block]) -> str:
    """The blocks with an empty line between them."""
    return "\n\n".join(map(_block, blocks))


def text_cell(text: str) -> str:
    """The text, escaped for Markdown outside and inside of table cells, with `<br>` as line breaks.

    Blank lines are dropped.
    """
    text = text.translate(_PLAIN)
    return "<br>".join(line for line in text.splitlines() if line.strip())


def bullets_markdown(lines: Sequence[str]) -> str:
    """A list with one item a line; the lines must be Markdown already."""
    return "\n".join(f"- {line}" for line in lines)


def table_markdown(table: Table) -> str:
    """A table in GitHub's Markdown, one line a row."""
    lines = [_line(table.columns), "|---|" + "---:|" * (len(table.columns) - 1)]
    return "\n".join([*lines, *map(_line, table.rows)])


def _block(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text_cell(text)}"
        case Text(parts):
            return _inline(parts)
        case Bullets(items):
            return bullets_markdown([_inline(item.parts) for item in items])
        case Table():
            return table_markdown(block)
        case Chart(title, path):
            return f"![{text_cell(title)}]({path})"
        case Details(summary, blocks):
            inside = markdown_of(blocks)
            return f"<details>\n<summary>{text_cell(summary)}</summary>\n\n{inside}\n\n</details>"


def _inline(parts: Sequence[Inline]) -> str:
    return "".join(
        f"`{part.text}`" if isinstance(part, Code) else text_cell(part) for part in parts
    )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(text_cell, cells)) + " |"


def fenced(code: str, language: str = "") -> str:
    """A fenced block of code."""
    return f"```{language}\n{code}\n```"
