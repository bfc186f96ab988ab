"""A row between its source and the prepared tables, and the account of all rows of a source."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from rows.prepared import GeneralRow, LabelledRow, RejectedRow, TextColumnRow
from rows.raw_row import RawRow

SPLITS = ("train", "validation", "test")
Kind = Literal["rejected", "neutral", "repeats", "contradictions", "leaks", "near_leaks"]
LISTED = 10_000  # rows of a kind and a source that rejected.parquet lists; all rows are counted


@dataclass(frozen=True, slots=True)
class Row:
    """A good row.

    `source`, `number`: the file and the row's number in the file, from 1. `key`: rows with equal keys
    repeat each other. `stratum`: a draw keeps the share of every stratum. `values`: the columns of the
    prepared table, without `row_id`. `ratings`: one number a rater, empty without raters. `texts`: the
    text of each text column, empty if the settings name only one text column.
    """

    source: str
    number: int
    key: str
    stratum: str
    values: Mapping[str, Any]
    row_id: str = ""
    ratings: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()

    def with_id(self, row_id: str) -> "Row":
        """This row with a row id."""
        return replace(self, row_id=row_id)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that goes into no prepared table, with the reason and the row's content as JSON.

    `contradicts`: whether another row has the same text but a different label.
    """

    kind: Kind
    source: str
    number: int
    reason: str
    content: str
    contradicts: bool = False


@dataclass
class Checked:
    """The rows of a source by split, the rows set aside, and for each split a count of every row.

    `aside`: the first `LISTED` rows of each kind. `contradicting`: {split: {hashed key: rows that are set
    aside although their text has other labels too}}.
    """

    rows: dict[str, Sequence[Row]] = field(default_factory=dict)
    aside: list[SetAside] = field(default_factory=list)
    account: dict[str, dict[str, int]] = field(default_factory=dict)
    contradicting: dict[str, Counter[bytes]] = field(default_factory=dict)
    _n_listed: Counter[Kind] = field(default_factory=Counter)

    def set_aside(self, split: str, kind: Kind, row: Callable[[], SetAside]) -> None:
        """Count a row of `split`, and list the row unless `LISTED` rows of `kind` are listed."""
        self.account[split][kind] += 1
        if self._n_listed[kind] < LISTED:
            self._n_listed[kind] += 1
            self.aside.append(row())


class UnusableError(Exception):
    """A row cannot be used, or is left out on purpose (`kind`). `reason` goes to rejected.parquet."""

    def __init__(self, reason: str, kind: Kind = "rejected") -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


Check = Callable[[RawRow], Row | SetAside]


def set_aside(kind: Kind, row: RawRow | Row, reason: str, contradicts: bool = False) -> SetAside:
    """The row with the reason why it is set aside."""
    text = json.dumps(row.values, ensure_ascii=False, default=str)
    # UTF-8 cannot encode half of a character (a lone surrogate): JSON's escape replaces it.
    content = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return SetAside(kind, row.source, row.number, reason, content, contradicts)


def labelled_row(row: Row) -> LabelledRow:
    """A labelled row as the prepared table contains it."""
    return {
        "row_id": row.row_id,
        "text": row.values["text"],
        "label": row.values["label"],
        "agreement": row.values["agreement"],
    }


def text_column_rows(row: Row, columns: Sequence[str]) -> list[TextColumnRow]:
    """The text of each of several text columns; empty if the settings name only one text column."""
    if not row.texts:
        return []
    return [
        {"row_id": row.row_id, "column": column, "text": text}
        for column, text in zip(columns, row.texts, strict=True)
    ]


def general_row(row: Row) -> GeneralRow:
    """A general row as the prepared table contains it."""
    return {
        "row_id": row.row_id,
        "instruction": row.values["instruction"],
        "input": row.values["input"],
        "output": row.values["output"],
        "family": row.values["family"],
    }


def rejected_row(row: SetAside) -> RejectedRow:
    """A row set aside as `rejected.parquet` contains it."""
    return {"source": row.source, "row": row.number, "reason": row.reason, "content": row.content}
