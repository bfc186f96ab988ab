"""The good rows of a split, before the rows of the study are drawn."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import overload

from rows.raw_row import RawRow
from rows.row import Check, Row


class GoodRows(Sequence[Row]):
    """The good rows of a split. Of a row, only place, number, key, stratum and label stay in memory.

    A row is checked again when it is read. `name`: the split that the rows were read for.
    """

    def __init__(self, name: str, raw: Sequence[RawRow], check: Check) -> None:
        self.name = name
        self.raw = raw
        self.check = check
        self.places = array("q")  # positions in `raw`, from 0
        self.files: list[str] = []
        self.numbers = array("q")
        self.keys: list[bytes] = []
        self.strata: list[str] = []
        self.labels: list[str | None] = []

    def add(self, place: int, row: Row) -> None:
        """Add the row that `check` returned for `raw[place]`."""
        self.places.append(place)
        self.files.append(row.source)
        self.numbers.append(row.number)
        self.keys.append(hashed(row.key))
        self.strata.append(row.stratum)
        self.labels.append(row.values.get("label"))

    def select(self, positions: Iterable[int]) -> "GoodRows":
        """The rows at `positions`."""
        selected = GoodRows(self.name, self.raw, self.check)
        for position in positions:
            selected.places.append(self.places[position])
            selected.files.append(self.files[position])
            selected.numbers.append(self.numbers[position])
            selected.keys.append(self.keys[position])
            selected.strata.append(self.strata[position])
            selected.labels.append(self.labels[position])
        return selected

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, position: int) -> Row: ...

    @overload
    def __getitem__(self, position: slice) -> list[Row]: ...

    def __getitem__(self, position: int | slice) -> Row | list[Row]:
        if isinstance(position, slice):
            return [self[place] for place in range(*position.indices(len(self)))]
        place = self.places[position]
        row = self.check(self.raw[place])
        assert isinstance(row, Row)
        return row.with_id(f"{self.name}-{place + 1:06d}")

    def __iter__(self) -> Iterator[Row]:
        return (self[position] for position in range(len(self)))


def hashed(key: str) -> bytes:
    """128 bits of a key: two of a billion keys have equal bits with a probability of 1e-21."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
