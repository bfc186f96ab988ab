"""A row as its file contains it, before any check, and the columns that a file must have."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.errors import StudyError, shown


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row of a source: the name of its file, its number in the file (from 1), and its values.

    `problem`: why the row could not be read; `values` then contains the row's text. `ratings`: the
    ratings of single raters from a second file. `repeated`: names that several columns of the file have;
    `values` does not contain these columns.
    """

    source: str
    number: int
    values: dict[str, Any]
    problem: str | None = None
    ratings: Any = None
    repeated: frozenset[str] = frozenset()


def require_columns(
    rows: Iterable[RawRow], columns: Sequence[str], optional: Sequence[str] = ()
) -> None:
    """Raise `StudyError` if a column of the settings is in no row of a file.

    Raises `StudyError` too if several columns of a file have the name of a column of the settings;
    `optional` columns need only this second check. A file without readable rows raises nothing.
    """
    names_by_file: dict[str, dict[str, None]] = {}
    repeated_by_file: dict[str, set[str]] = {}
    for row in rows:
        if row.problem is None:
            names_by_file.setdefault(row.source, {}).update(dict.fromkeys(row.values))
            repeated_by_file.setdefault(row.source, set()).update(row.repeated)
    for file, names_of_file in names_by_file.items():
        for column in (*columns, *optional):
            if column in repeated_by_file[file]:
                raise StudyError(
                    f"{file}: the header names {shown_column(column)} twice: rename one of the columns, "
                    "or name all columns with reading.header and remove the header's line"
                )
        present = list(names_of_file)
        for column in columns:
            if column not in names_of_file:
                names = ", ".join(map(shown_column, present[:20])) or "none"
                more = ", ..." if len(present) > 20 else ""
                raise StudyError(
                    f"{file}: has no column {column}; it has {names}{more} (the profile names the "
                    f"columns, under sources){_hint(column, present)}"
                )


def shown_column(name: str) -> str:
    """A column's name, quoted if a reader could not see the whole name otherwise."""
    is_plain = name == name.strip() != "" and name.isprintable() and len(name) <= 60
    return name if is_plain else shown(name)


def _hint(column: str, present: Sequence[str]) -> str:
    if len(present) == 1 and re.search(r"[,;|\t]", present[0]):
        return "; if this is several columns in one, set reading.delimiter"
    by_clean_name = {name.strip("\ufeff \t").casefold(): name for name in present}
    similar = difflib.get_close_matches(column.casefold(), by_clean_name, 1, 0.8)
    return f"; did you mean {shown(by_clean_name[similar[0]])}?" if similar else ""
