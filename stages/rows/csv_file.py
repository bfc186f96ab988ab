"""Read the rows of one CSV or TSV file, as many programs write such files.

`rows.swallowed` notices a stray quotation mark that swallows lines.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator

from runtime.errors import StudyError

from rows.raw_row import RawRow
from rows.swallowed import SwallowedLines
from settings.sources import Reading

csv.field_size_limit(2**31 - 1)
_BLOCK = 2**20  # characters of a file that are copied at once


def read_csv(text: str, name: str, format_name: str, reading: Reading) -> Iterator[RawRow]:
    """The rows of a file; `name` is the file's name in messages, `format_name` ends in .csv or .tsv.

    Columns without a name are left out. A row with too many or too few fields gets a problem. Raises
    `StudyError` for a quotation mark that never closes, closes too early or swallows lines.
    """
    is_csv = format_name.lower().endswith(".csv")
    delimiter = reading.delimiter or ("," if is_csv else "\t")
    if not reading.quoting:  # not csv.reader, because it ends a record at a bare carriage return
        lines = (line.removesuffix("\r") for line in _split(text))
        records = (line.split(delimiter) for line in lines if line)
        return _rows(records, name, delimiter, reading.header)
    return _rows(_quoted(text, name, delimiter, reading), name, delimiter, reading.header)


def _split(text: str) -> Iterator[str]:
    """`text.split("\n")`, one line at a time."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def _lines(text: str) -> Iterator[str]:
    """The lines as `csv.reader` expects them. `io.StringIO` copies a text with 4 bytes a character."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + _BLOCK) + 1 or len(text)
        yield from io.StringIO(text[start:end], newline="")
        start = end


def _rows(
    records: Iterator[list[str]], name: str, delimiter: str, header: list[str] | None
) -> Iterator[RawRow]:
    """Each record as a row, with the names of the header."""
    if header is None:
        header = next(records, [])
    counts = Counter(header)
    repeated = frozenset(column for column, count in counts.items() if count > 1)
    unread = repeated | {column for column in header if not column.strip()}
    for number, record in enumerate(records, start=1):
        if len(record) != len(header):
            problem = f"has {len(record)} fields, not {len(header)}"
            yield RawRow(name, number, {"": delimiter.join(record)}, problem)
            continue
        values = dict(zip(header, record, strict=True))
        if unread:
            values = {column: value for column, value in values.items() if column not in unread}
        yield RawRow(name, number, values, repeated=repeated)


def _quoted(text: str, name: str, delimiter: str, reading: Reading) -> Iterator[list[str]]:
    """The records of a file whose fields may stand in quotation marks."""
    text = _without_blanks_before_marks(text, delimiter, reading.escape)
    record_lines: list[str] = []  # the lines of the file that the next record consists of

    def lines() -> Iterator[str]:
        for line in _lines(text):
            record_lines.append(line)
            yield line

    # If not strict, csv drops a stray quotation mark, or reads the rest of the file as one field.
    records = csv.reader(lines(), delimiter=delimiter, escapechar=reading.escape, strict=True)
    swallowed = SwallowedLines(name, delimiter, reading)
    number = 0 if reading.header is None else 1  # of the record that is read next; 0: the header
    try:
        for record in records:
            if record:
                swallowed.note(number, record, record_lines, records.line_num)
                yield record
                number += 1
            record_lines.clear()
    except csv.Error as error:
        where = f"row {number}" if number else "the header"
        raise StudyError(f"{name}: {where} {_fault(error, text, reading)}") from None
    swallowed.raise_if_any()


def _fault(error: csv.Error, text: str, reading: Reading) -> str:
    """What is wrong with a record that csv cannot read, and how to mend the file."""
    if "end of data" in str(error):
        fault = "opens a quotation mark that is never closed: close it"
    elif "expected after" in str(error):
        fault = "has text after a closing quotation mark: double each mark inside a field"
    else:
        return f"cannot be read: {error}"
    if '\\"' in text and reading.escape is None:
        fault += (
            ", or set reading.escape: '\\' where a backslash stands before a mark inside a field"
        )
    return f"{fault}, or set reading.quoting: false where quotation marks are text"


def _without_blanks_before_marks(text: str, delimiter: str, escape: str | None) -> str:
    """The text without blanks between a delimiter and a quoted field: `a, "b"` becomes `a,"b"`.

    csv's own `skipinitialspace` would also remove blanks at the start of fields without marks.
    """
    separator = re.escape(delimiter)
    if delimiter == " " or not re.search(rf'(?:^|[\r\n]|{separator}) +"', text):
        return text
    inside = r'[^"]' if escape is None else rf'(?:[^"{re.escape(escape)}]|{re.escape(escape)}.)'
    quoted = rf'"{inside}*+(?:""{inside}*+)*+"'
    end = rf"{separator}|\r\n|\r|\n|\Z"
    field = re.compile(
        rf"(?: +(?={quoted}(?:{end})))?({quoted}|)([^{separator}\r\n]*)({end})", re.DOTALL
    )
    return field.sub(lambda match: match[1] + match[2] + match[3], text)
