"""What rows.tables promises: a TypedDict is the one declaration of a table's columns."""

from pathlib import Path
from typing import Annotated, Literal, TypedDict

from runtime.errors import StudyError

import pyarrow as pa
import pytest

from rows.tables import read_typed_rows, row_schema, table_of, write_table


class Columns(TypedDict):
    text: str
    count: int
    share: float | None
    right: bool | None
    scores: list[float] | None
    kind: Literal["a", "b"]
    state: Annotated[list[float], pa.list_(pa.float32())]


ROW: Columns = {
    "text": "a",
    "count": 1,
    "share": None,
    "right": True,
    "scores": [0.1, -2.0],
    "kind": "b",
    "state": [0.5],
}


def test_a_schema_has_the_columns_of_its_typed_dict_in_their_order() -> None:
    assert row_schema(Columns).equals(
        pa.schema(
            [
                ("text", pa.string()),
                ("count", pa.int64()),
                ("share", pa.float64()),
                ("right", pa.bool_()),
                ("scores", pa.list_(pa.float64())),
                ("kind", pa.string()),
                ("state", pa.list_(pa.float32())),
            ]
        )
    )


def test_a_column_of_an_unknown_type_raises() -> None:
    class Unknown(TypedDict):
        content: dict[str, str]

    with pytest.raises(KeyError):
        row_schema(Unknown)


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, table_of([ROW], row_schema(Columns)))
    assert read_typed_rows(path, Columns) == [ROW]


def test_rows_of_another_type_are_not_read(tmp_path: Path) -> None:
    class Other(TypedDict):
        text: str

    path = tmp_path / "a.parquet"
    write_table(path, table_of([{"text": "a"}], row_schema(Other)))
    with pytest.raises(StudyError, match="has the columns text, not text, count, share"):
        read_typed_rows(path, Columns)
