"""What rows.raw_rows promises: a packed row equals the row that was read."""

import datetime
import random
import tracemalloc
from collections.abc import Iterator

from runtime.errors import StudyError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rows.raw_row import RawRow
from rows.raw_rows import RawRows
from rows.reading import read_rows
from settings.sources import Reading

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters()),  # halves of characters included
    st.lists(st.integers(), max_size=3),
    st.dates(),
    st.decimals(allow_nan=False),
    st.binary(max_size=3),
)
raw_row = st.builds(
    RawRow,
    st.sampled_from(["a.csv", "b.csv"]),
    st.integers(1, 10**7),
    st.dictionaries(st.sampled_from(["text", "label", "", "\ud83d"]), values),
    st.none() | st.just("has 1 fields, not 2"),
    st.none() | st.lists(st.floats(allow_nan=False), max_size=3),
)


@pytest.fixture(autouse=True, scope="module")
def small_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rows.raw_rows._CHUNK", 3)
        yield


@given(st.lists(raw_row, max_size=11))
def test_packed_rows_equal_the_rows_that_were_read(rows: list[RawRow]) -> None:
    packed = RawRows(rows[:2])
    packed.extend(iter(rows[2:]))
    assert len(packed) == len(rows)
    assert list(packed) == rows
    assert [packed[position] for position in range(len(rows))] == rows
    assert packed[-1:] == rows[-1:]
    assert packed[1:9:2] == rows[1:9:2]
    # The order of a row's columns stays.
    assert [list(row.values) for row in packed] == [list(row.values) for row in rows]


def test_a_position_outside_the_rows_raises_as_a_list_does() -> None:
    packed = RawRows([RawRow("a", 1, {"day": datetime.date(2020, 1, 1)})])
    assert packed[-1] == packed[0]
    for position in (1, -2):
        with pytest.raises(IndexError):
            packed[position]


def test_packed_rows_need_less_than_half_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rows.raw_rows._CHUNK", 500)

    def rows() -> Iterator[RawRow]:
        draws = random.Random(1)
        for number in range(5000):
            values = {"text": f"{draws.random()}" * 4, "label": str(number)}
            yield RawRow("a.csv", number, values)

    tracemalloc.start()
    unpacked = list(rows())
    size = tracemalloc.get_traced_memory()[0]
    packed = RawRows(rows())
    packed_size = tracemalloc.get_traced_memory()[0] - size
    tracemalloc.stop()
    assert list(packed) == unpacked
    assert packed_size < size / 2


@given(st.text(st.sampled_from('a",\r\n \u2028')), st.integers(1, 9))
def test_a_file_read_in_blocks_has_the_same_rows(text: str, size: int) -> None:
    def read(quoting: bool) -> object:
        reading = Reading(header=["text", "label"], quoting=quoting)
        try:
            return list(read_rows(text.encode(), "a.csv", reading))
        except StudyError as error:
            return str(error)

    with pytest.MonkeyPatch.context() as patch:
        whole = [read(True), read(False)]
        patch.setattr("rows.csv_file._BLOCK", size)
        assert [read(True), read(False)] == whole
