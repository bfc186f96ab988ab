"""Notice a stray quotation mark that swallows the following lines of a CSV file, rows and all."""

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.errors import StudyError

from settings.sources import Reading

_FEW_VALUES = 100  # a column with more different values is not a column of labels
_RARE = 0.05  # of all records: a larger share of records over several lines is no accident
_SHOWN = 5  # places that a message names


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A record over several lines. `lines`: each line split at the delimiter. `column`: the long field."""

    number: int
    first_line: int
    last_line: int
    column: int
    lines: tuple[tuple[str, ...], ...]


class SwallowedLines:
    """Compares the records over several lines with the records that are one line.

    A quoted field may contain line breaks and delimiters. But if its lines, read one by one, have the
    labels of other rows in the right places, then a quotation mark that is text has opened the field, and
    the lines are rows. In a file without a column of labels, it suffices that all lines have the right
    number of fields and that hardly any record has several lines.
    """

    def __init__(self, name: str, delimiter: str, reading: Reading) -> None:
        self._name = name
        self._delimiter = delimiter
        self._header = reading.header or []
        # `quoting: true` in the profile means: the line breaks belong to the fields.
        self._is_sure = "quoting" in reading.model_fields_set
        self._suspects: list[_Suspect] = []
        # Of each column of the header; None: a column of too many different values.
        self._values: list[set[str] | None] = [set() for _ in self._header]
        self._n_records = 0
        self._n_long = 0

    def note(self, number: int, record: list[str], lines: Sequence[str], line: int) -> None:
        """Note the record `number` (0: the header), which consists of `lines` and ends at `line`."""
        first_line = line - len(lines) + 1
        if number == 0:
            self._header = record
            self._values = [set() for _ in record]
            return
        self._n_records += 1
        if len(lines) == 1:
            self._note_values(record)
            return
        self._n_long += 1
        is_ragged = len(record) != len(
            self._header
        )  # then no column of the header is the long field
        for column, field in enumerate(record):
            if self._delimiter in field and ("\n" in field or "\r" in field):
                parts = tuple(tuple(line.rstrip("\r\n").split(self._delimiter)) for line in lines)
                place = len(self._header) if is_ragged else column
                self._suspects.append(_Suspect(number, first_line, line, place, parts))
                return

    def raise_if_any(self) -> None:
        """Raise `StudyError` if a quotation mark has swallowed lines."""
        if self._is_sure or not self._suspects:
            return
        swallowed = [suspect for suspect in self._suspects if self._is_swallowed(suspect)]
        if not swallowed:
            return
        places = ", ".join(
            f"lines {suspect.first_line} to {suspect.last_line} (row {suspect.number})"
            for suspect in swallowed[:_SHOWN]
        )
        more = f" and {len(swallowed) - _SHOWN} more places" if len(swallowed) > _SHOWN else ""
        raise StudyError(
            f"{self._name}: {places}{more}: one quoted field contains several lines that look like rows. "
            "Set reading.quoting: false if quotation marks are text in this file; close or double the "
            "stray quotation mark if other fields need their marks; set reading.quoting: true if the "
            "lines belong to the field"
        )

    def _note_values(self, record: list[str]) -> None:
        if len(record) != len(self._header):
            return
        for column, values in enumerate(self._values):
            if values is not None and record[column].strip():
                values.add(record[column])
                if len(values) > _FEW_VALUES:
                    self._values[column] = None

    def _is_swallowed(self, suspect: _Suspect) -> bool:
        values_by_column = {
            column: values
            for column, values in enumerate(self._values)
            if values and column != suspect.column
        }
        if any(
            self._value_at(suspect, at, column) in values
            for at in range(len(suspect.lines))
            for column, values in values_by_column.items()
        ):
            return True
        n_short = self._n_records - self._n_long
        if any(2 * len(values) <= n_short for values in values_by_column.values()):
            return False  # a column of labels, which the lines of the field do not have
        is_rare = self._n_long <= _RARE * self._n_records
        return is_rare and all(len(parts) == len(self._header) for parts in suspect.lines)

    def _value_at(self, suspect: _Suspect, at: int, column: int) -> str | None:
        """The value of a column in line `at` of a record; None if the line is no row.

        The first line's columns before the long field, and the last line's columns after the field,
        belong to the record in any case: for these columns too the value is None.
        """
        parts = suspect.lines[at]
        is_before = column < suspect.column
        if len(parts) < len(self._header) or at == (0 if is_before else len(suspect.lines) - 1):
            return None
        return parts[column if is_before else column - len(self._header)]
