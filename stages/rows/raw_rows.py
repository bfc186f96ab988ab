"""Rows as they were read, a few bytes longer in memory than in their file."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import overload

from rows.raw_row import RawRow

Chunk = bytes | list[RawRow]

_PLAIN = (str, int, float, bool, type(None))  # types that JSON gives back as they were
_CHUNK = 500  # rows that are packed together: reading one row unpacks all of them


class RawRows(Sequence[RawRow]):
    """Rows of a source, packed in chunks of columns. Reading a row unpacks an equal row.

    A million Python dicts need gigabytes. Packed rows need about the size of the file.
    """

    def __init__(self, rows: Iterable[RawRow] = ()) -> None:
        self._chunks: list[Chunk] = []
        self._open: list[RawRow] = []  # rows of the chunk that is not full yet
        self._unpacked: tuple[int, list[RawRow]] = (-1, [])
        self.extend(rows)

    def extend(self, rows: Iterable[RawRow]) -> None:
        """Add rows at the end."""
        for row in rows:
            self._open.append(row)
            if len(self._open) == _CHUNK:
                self._chunks.append(_packed(self._open))
                self._open = []

    def __len__(self) -> int:
        return len(self._chunks) * _CHUNK + len(self._open)

    @overload
    def __getitem__(self, position: int) -> RawRow: ...

    @overload
    def __getitem__(self, position: slice) -> list[RawRow]: ...

    def __getitem__(self, position: int | slice) -> RawRow | list[RawRow]:
        if isinstance(position, slice):
            return [self[place] for place in range(*position.indices(len(self)))]
        chunk, place = divmod(range(len(self))[position], _CHUNK)
        return self._rows(chunk)[place]

    def __iter__(self) -> Iterator[RawRow]:
        for chunk in range(len(self._chunks)):
            yield from _unpacked(self._chunks[chunk])
        yield from self._open

    def _rows(self, chunk: int) -> list[RawRow]:
        if chunk == len(self._chunks):
            return self._open
        if chunk != self._unpacked[0]:
            self._unpacked = chunk, _unpacked(self._chunks[chunk])
        return self._unpacked[1]


def _packed(rows: list[RawRow]) -> Chunk:
    """The rows as JSON, without the names of a table's columns; the rows themselves, if JSON changed them."""
    names = list(rows[0].values)
    is_table = all(list(row.values) == names and not row.repeated for row in rows)
    values = [[*row.values.values(), row.ratings] for row in rows]
    if not is_table or any(type(value) not in _PLAIN for row in values for value in row):
        return rows
    rest = [[row.source, row.number, row.problem] for row in rows]
    return json.dumps([names, values, rest]).encode()


def _unpacked(chunk: Chunk) -> list[RawRow]:
    if isinstance(chunk, list):
        return chunk
    names, values, rest = json.loads(chunk)
    return [
        RawRow(source, number, dict(zip(names, row, strict=True)), problem, ratings)
        for (*row, ratings), (source, number, problem) in zip(values, rest, strict=True)
    ]


@dataclass(frozen=True)
class AllRows:
    """The rows of all splits, one split after the other. May be iterated several times; copies nothing."""

    by_split: Mapping[str, Iterable[RawRow]]

    def __iter__(self) -> Iterator[RawRow]:
        return chain(*self.by_split.values())
