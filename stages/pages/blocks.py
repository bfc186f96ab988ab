"""A page as a list of blocks. `pages.markdown` and `pages.console` render it.

Every string in a block is text, whatever characters it contains: a renderer escapes it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A command or a file name within a sentence."""

    text: str


Inline = str | Code


@dataclass(frozen=True)
class Heading:
    """Level 1 is the page's title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    parts: Sequence[Inline]


@dataclass(frozen=True)
class Bullets:
    """A list of paragraphs."""

    items: Sequence[Text]


@dataclass(frozen=True)
class Table:
    """Headings of columns, and rows of cells. The first column is text, the others are numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Chart:
    """A figure in a file; `path` is relative to the page."""

    title: str
    path: str


@dataclass(frozen=True)
class Details:
    """Blocks that a reader unfolds by a click on their summary."""

    summary: str
    blocks: "Sequence[Block]"


Block = Heading | Text | Bullets | Table | Chart | Details


def text(*parts: Inline) -> Text:
    """A paragraph of these parts."""
    return Text(parts)


def bullets(lines: Iterable[str]) -> Bullets:
    """A list with one item a line."""
    return Bullets([Text((line,)) for line in lines])
