"""Read one file of rows: CSV, JSON or Parquet, compressed or not, in any encoding.

This module only raises errors that make a whole file unreadable. `rows.judging` checks single rows.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import pyarrow.parquet as pq

from rows.csv_file import read_csv
from rows.decoding import decoded
from rows.json_file import read_json
from rows.raw_row import RawRow, shown_column
from rows.unpacking import unpacked
from settings.sources import Reading

FORMATS = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".json": "jsonl",
}
_BATCH = 10_000  # rows of a Parquet file that are Python objects at once


def read_rows(content: bytes, name: str, reading: Reading) -> Iterator[RawRow]:
    """The rows of one file; `name` is the file's name in error messages and sets the default format.

    The format of a compressed file is that of the file inside. Raises `StudyError` for a file that cannot
    be decompressed, an unknown format, bytes that are not in `reading.encoding`, and content that is not
    of the format.
    """
    content, format_name = unpacked(content, name)
    file_format = reading.format or _format_of(name, format_name)
    if file_format == "parquet":
        return _read_parquet(content, name)
    if content[:4] == content[-4:] == b"PAR1":
        raise StudyError(f"{name}: is a Parquet file: set reading.format: parquet")
    text = decoded(content, name, reading.encoding)
    if file_format == "jsonl":
        return read_json(text, name)
    return read_csv(text, name, format_name, reading)


def _format_of(name: str, format_name: str) -> str:
    suffix = Path(format_name).suffix.lower()
    if suffix not in FORMATS:
        is_member = format_name not in name
        member = f" ({shown_column(format_name)} inside)" if is_member else ""
        raise StudyError(f"{name}{member}: set reading.format to parquet, csv or jsonl")
    return FORMATS[suffix]


def _read_parquet(content: bytes, name: str) -> Iterator[RawRow]:
    where = name
    number = 0
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        names = file.schema_arrow.names
        for column in names:
            where = f"{name}: column {shown_column(column)}"
            if names.count(column) > 1:
                raise ValueError("occurs twice")
        where = name
        for batch in file.iter_batches(_BATCH):
            columns: list[list[Any]] = []
            for column, values in zip(names, batch.columns, strict=True):
                where = f"{name}: column {shown_column(column)}"
                columns.append(values.to_pylist())
            where = name
            for row in zip(*columns, strict=True):
                number += 1
                yield RawRow(name, number, dict(zip(names, row, strict=True)))
    except Exception as error:  # pyarrow raises many types for damaged content
        message = " ".join(str(error).split())
        raise StudyError(f"{where}: cannot be read as Parquet: {message}") from None
