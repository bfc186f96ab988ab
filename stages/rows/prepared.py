"""The tables that `prepare` writes to `data/prepared/`."""

from typing import TypedDict

from rows.tables import row_schema


class LabelledRow(TypedDict):
    """A labelled text. `agreement`: the share of its raters who agree, of those who name a label."""

    row_id: str
    text: str
    label: str
    agreement: float | None


class TextColumnRow(TypedDict):
    """The text of one column of a labelled row, if the settings name several text columns."""

    row_id: str
    column: str
    text: str


class GeneralRow(TypedDict):
    """A general instruction with its answer. `family`: the family of a task made by program."""

    row_id: str
    instruction: str
    input: str
    output: str
    family: str | None


class GeneralSourceRow(TypedDict):
    """The source of a general row. `source_number`: its position in `sources.general`, from 0."""

    row_id: str
    source_number: int


class RejectedRow(TypedDict):
    """A row that no split contains. `row`: its number in `source`, from 1. `content`: JSON."""

    source: str
    row: int
    reason: str
    content: str


class RaterRow(TypedDict):
    """The raters of a labelled row: all, those who name a label, those who agree with the row's label.

    `turned`: the share of other panels of raters that would change the label.
    """

    row_id: str
    split: str
    raters: int
    named: int
    agreeing: int
    turned: float


LABELLED = row_schema(LabelledRow)
TEXT_COLUMNS = row_schema(TextColumnRow)
GENERAL = row_schema(GeneralRow)
GENERAL_SOURCES = row_schema(GeneralSourceRow)
REJECTED = row_schema(RejectedRow)
RATERS = row_schema(RaterRow)
