"""Read one file of rows: CSV, JSON Lines or Parquet, in any encoding.

This module only raises errors that make a whole file unreadable. `rows.judging` checks single rows.
"""

import csv
import difflib
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import StudyError, shown

import pyarrow.parquet as pq

from settings.sources import Reading

csv.field_size_limit(2**31 - 1)

COMPRESSIONS = (  # (first bytes of a compressed file, name of the compression)
    (b"\x1f\x8b\x08", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"BZh91AY&SY", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
)
FORMATS = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl"}
_BATCH = 10_000  # rows of a Parquet file that are Python objects at once
_BLOCK = 2**20  # characters of a CSV file that are copied at once
MAX_DEPTH = 20  # levels of lists and objects in a row


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row of a source: the name of its file, its number in the file (from 1), and its values.

    `problem`: why the row could not be read; `values` then contains the row's text. `ratings`: the
    ratings of single raters from a second file.
    """

    source: str
    number: int
    values: dict[str, Any]
    problem: str | None = None
    ratings: Any = None


def read_rows(content: bytes, name: str, reading: Reading) -> Iterator[RawRow]:
    """The rows of one file; `name` is the file's name in error messages and sets the default format.

    Raises `StudyError` for a compressed file, an unknown format, bytes that are not in
    `reading.encoding`, and content that is not of the format.
    """
    for first_bytes, compression in COMPRESSIONS:
        if content.startswith(first_bytes):
            raise StudyError(
                f"{name}: is compressed ({compression}): decompress it, and name the decompressed file"
            )
    file_format = reading.format or _format_of(name)
    if file_format == "parquet":
        return _read_parquet(content, name)
    if content[:4] == content[-4:] == b"PAR1":
        raise StudyError(f"{name}: is a Parquet file: set reading.format: parquet")
    text = _decoded(content, name, reading.encoding)
    return _read_jsonl(text, name) if file_format == "jsonl" else _read_csv(text, name, reading)


def require_columns(rows: Iterable[RawRow], columns: Sequence[str]) -> None:
    """Raise `StudyError` if a column of the settings is in no row of a file.

    A file without readable rows raises nothing.
    """
    names_by_file: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.problem is None:
            names_by_file.setdefault(row.source, {}).update(dict.fromkeys(row.values))
    for file, names_of_file in names_by_file.items():
        present = list(names_of_file)
        for column in columns:
            if column not in present:
                names = ", ".join(map(_shown_column, present[:20])) or "none"
                more = ", ..." if len(present) > 20 else ""
                raise StudyError(
                    f"{file}: has no column {column}; it has {names}{more} (the profile names the "
                    f"columns, under sources){_hint(column, present)}"
                )


def _shown_column(name: str) -> str:
    """A column's name, quoted if a reader could not see the whole name otherwise."""
    is_plain = name == name.strip() != "" and name.isprintable() and len(name) <= 60
    return name if is_plain else shown(name)


def _hint(column: str, present: Sequence[str]) -> str:
    if len(present) == 1 and re.search(r"[,;|\t]", present[0]):
        return "; if this is several columns in one, set reading.delimiter"
    by_clean_name = {name.strip("\ufeff \t").casefold(): name for name in present}
    similar = difflib.get_close_matches(column.casefold(), by_clean_name, 1, 0.8)
    return f"; did you mean {shown(by_clean_name[similar[0]])}?" if similar else ""


def _format_of(name: str) -> str:
    suffix = Path(name).suffix.lower()
    if suffix not in FORMATS:
        raise StudyError(f"{name}: set reading.format to parquet, csv or jsonl")
    return FORMATS[suffix]


def _decoded(content: bytes, name: str, encoding: str) -> str:
    remedy = "set reading.encoding (latin-1, utf-16, ...) or convert the file"
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = f"byte {content[error.start]:#04x}"
        raise StudyError(f"{name}: line {line} is not {encoding} ({byte}): {remedy}") from None
    except UnicodeError as error:  # raised by encodings such as idna
        raise StudyError(f"{name}: is not {encoding} ({error}): {remedy}") from None
    if "\0\0" in (text[:4:2], text[1:4:2]):  # every second byte is NUL: probably utf-16
        raise StudyError(f"{name}: is not {encoding} but looks like utf-16 (NUL bytes): {remedy}")
    return text


def _read_parquet(content: bytes, name: str) -> Iterator[RawRow]:
    where = name
    number = 0
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        names = file.schema_arrow.names
        for column in names:
            where = f"{name}: column {_shown_column(column)}"
            if names.count(column) > 1:
                raise ValueError("occurs twice")
        where = name
        for batch in file.iter_batches(_BATCH):
            columns: list[list[Any]] = []
            for column, values in zip(names, batch.columns, strict=True):
                where = f"{name}: column {_shown_column(column)}"
                columns.append(values.to_pylist())
            where = name
            for row in zip(*columns, strict=True):
                number += 1
                yield RawRow(name, number, dict(zip(names, row, strict=True)))
    except Exception as error:  # pyarrow raises many types for damaged content
        message = " ".join(str(error).split())
        raise StudyError(f"{where}: cannot be read as Parquet: {message}") from None


def _read_csv(text: str, name: str, reading: Reading) -> Iterator[RawRow]:
    delimiter = reading.delimiter or ("," if name.lower().endswith(".csv") else "\t")
    records: Iterator[list[str]]
    if reading.quoting:
        # If not strict, csv drops a stray quotation mark, or reads the rest of the file as one field.
        records = csv.reader(_csv_lines(text), delimiter=delimiter, strict=True)
    else:  # not csv.reader, because it ends a record at a bare carriage return
        lines = (line.removesuffix("\r") for line in _lines(text))
        records = (line.split(delimiter) for line in lines if line)
    header = reading.header
    number = 0
    try:
        for record in records:
            if not record:
                continue
            if header is None:
                header = record
                repeated = {column for column in header if header.count(column) > 1}
                if repeated:
                    columns = ", ".join(map(_shown_column, sorted(repeated)))
                    raise StudyError(f"{name}: the header names {columns} twice")
                continue
            number += 1
            if len(record) != len(header):
                problem = f"has {len(record)} fields, not {len(header)}"
                yield RawRow(name, number, {"": delimiter.join(record)}, problem)
            else:
                yield RawRow(name, number, dict(zip(header, record, strict=True)))
    except csv.Error as error:
        where = f"row {number + 1}" if header else "the header"
        if "end of data" in str(error):
            fault = "opens a quotation mark that is never closed: close it"
        elif "expected after" in str(error):
            fault = "has text after a closing quotation mark: double each mark inside a field"
        else:
            raise StudyError(f"{name}: {where} cannot be read: {error}") from None
        raise StudyError(
            f"{name}: {where} {fault}, or set reading.quoting: false where quotation marks are text"
        ) from None


def _read_jsonl(text: str, name: str) -> Iterator[RawRow]:
    for number, line in enumerate(_lines(text), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            yield RawRow(name, number, {"": line}, f"is not valid JSON: {error}")
            continue
        if not isinstance(values, dict):
            yield RawRow(name, number, {"": line}, "is not a JSON object")
        elif line.count("[") + line.count("{") > MAX_DEPTH and _is_too_deep(values):
            yield RawRow(name, number, {"": line}, f"is nested more than {MAX_DEPTH} levels deep")
        else:
            yield RawRow(name, number, values)


def _lines(text: str) -> Iterator[str]:
    """`text.split("\\n")`, one line at a time."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def _csv_lines(text: str) -> Iterator[str]:
    """The lines as `csv.reader` expects them. `io.StringIO` copies a text with 4 bytes a character."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + _BLOCK) + 1 or len(text)
        yield from io.StringIO(text[start:end], newline="")
        start = end


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shown(repeated)} occurs twice")
    return values


def _is_too_deep(values: Any) -> bool:
    level = [values]
    for _ in range(MAX_DEPTH + 1):
        containers = [value for value in level if isinstance(value, dict | list)]
        level = [
            inner
            for container in containers
            for inner in (container.values() if isinstance(container, dict) else container)
        ]
    return bool(level)
