"""Read one file of rows as its author wrote it: CSV, JSON lines or Parquet, in any encoding.

Only what makes a whole file unreadable raises an error here. `rows.judging` checks the rows.
"""

import csv
import difflib
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import StudyError, shown

import pyarrow.parquet as pq

from settings.sources import Reading

csv.field_size_limit(2**31 - 1)

PACKED = (  # the first bytes of a compressed file, and the name of the compression
    (b"\x1f\x8b\x08", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"BZh91AY&SY", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
)
FORMATS = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl"}
MAX_DEPTH = 20  # levels of lists and objects in a row


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row of a source: the name of its file, its number in the file (from 1), and its values.

    `problem` says why the row could not be read; `values` then holds the row's text. `ratings` is
    what a second file says of every single rater.
    """

    source: str
    number: int
    values: dict[str, Any]
    problem: str | None = None
    ratings: Any = None


def read_rows(content: bytes, name: str, reading: Reading) -> Iterator[RawRow]:
    """The rows of one file, whose messages call it `name`.

    Raises `StudyError` for a compressed file, an unknown format, bytes that are not in
    `reading.encoding`, and content that is not of the format.
    """
    for first_bytes, packing in PACKED:
        if content.startswith(first_bytes):
            raise StudyError(f"{name}: is packed ({packing}): unpack it, and name what was in it")
    file_format = reading.format or _format_of(name)
    if file_format == "parquet":
        return _read_parquet(content, name)
    if content[:4] == content[-4:] == b"PAR1":
        raise StudyError(f"{name}: is a Parquet file: set reading.format: parquet")
    text = _decoded(content, name, reading.encoding)
    return _read_jsonl(text, name) if file_format == "jsonl" else _read_csv(text, name, reading)


def require_columns(rows: Sequence[RawRow], columns: Sequence[str]) -> None:
    """Raise `StudyError` for a file in which no row has one of the columns that the settings name."""
    for file in dict.fromkeys(row.source for row in rows):
        readable = [row.values for row in rows if row.source == file and row.problem is None]
        present = list(dict.fromkeys(name for values in readable for name in values))
        for column in columns:
            if readable and column not in present:
                listed = ", ".join(map(_column, present[:20])) or "none"
                more = ", ..." if len(present) > 20 else ""
                raise StudyError(
                    f"{file}: has no column {column}; it has {listed}{more} (columns are named in the "
                    f"profile, under sources){_hint(column, present)}"
                )


def _column(name: str) -> str:
    """A column's name as it is, or quoted where a reader would not see the whole name."""
    is_plain = name == name.strip() != "" and name.isprintable() and len(name) <= 60
    return name if is_plain else shown(name)


def _hint(column: str, present: Sequence[str]) -> str:
    if len(present) == 1 and re.search(r"[,;|\t]", present[0]):
        return "; if these are several columns in one, set reading.delimiter"
    cleaned = {name.strip("\ufeff \t").casefold(): name for name in present}
    near = difflib.get_close_matches(column.casefold(), cleaned, 1, 0.8)
    return f"; did you mean {shown(cleaned[near[0]])}?" if near else ""


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
    if "\0\0" in (text[:4:2], text[1:4:2]):  # every second byte is NUL: two bytes a character
        raise StudyError(f"{name}: is not {encoding} but looks like utf-16 (NUL bytes): {remedy}")
    return text


def _read_parquet(content: bytes, name: str) -> Iterator[RawRow]:
    where = name
    columns: dict[str, list[Any]] = {}
    try:
        table = pq.ParquetFile(io.BytesIO(content)).read()
        for column, values in zip(table.column_names, table.columns, strict=True):
            where = f"{name}: column {_column(column)}"
            if column in columns:
                raise ValueError("stands twice")
            columns[column] = values.to_pylist()
    except Exception as error:  # pyarrow raises many kinds for damaged or strange content
        message = " ".join(str(error).split())
        raise StudyError(f"{where}: cannot be read as Parquet: {message}") from None
    rows = zip(*columns.values(), strict=True)
    return (
        RawRow(name, number, dict(zip(columns, values, strict=True)))
        for number, values in enumerate(rows, start=1)
    )


def _read_csv(text: str, name: str, reading: Reading) -> Iterator[RawRow]:
    delimiter = reading.delimiter or ("," if name.lower().endswith(".csv") else "\t")
    records: Iterator[list[str]]
    if reading.quoting:
        # Not strict, csv would drop a stray quotation mark, or swallow the file's end after one.
        records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    else:  # a record is a line; csv would end a record at a bare carriage return
        lines = (line.removesuffix("\r") for line in text.split("\n"))
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
                    listed = ", ".join(map(_column, sorted(repeated)))
                    raise StudyError(f"{name}: the header names {listed} twice")
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
            fault = "goes on after a closing quotation mark: write marks inside a field twice"
        else:
            raise StudyError(f"{name}: {where} cannot be read: {error}") from None
        raise StudyError(
            f"{name}: {where} {fault}, or set reading.quoting: false where quotation marks are text"
        ) from None


def _read_jsonl(text: str, name: str) -> Iterator[RawRow]:
    for number, line in enumerate(text.split("\n"), start=1):
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


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shown(twice)} stands twice")
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
