"""Tables that pass between stages: written whole or not at all, and checked when read.

The columns of a table are declared once, as a TypedDict; `row_schema` derives the table's schema.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from runtime.errors import StudyError
from runtime.files import write_atomically

import pyarrow as pa
import pyarrow.parquet as pq

_ARROW_TYPES: Mapping[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    list[float]: pa.list_(pa.float64()),
}

_RowType = TypeVar("_RowType", bound=Mapping[str, Any])


def row_schema(row_type: type[Mapping[str, Any]]) -> pa.Schema:
    """The schema of a TypedDict's columns, in their order; every column may contain nulls.

    `Annotated[X, pa.DataType]` names the column's type for an X that is not in `_ARROW_TYPES`.
    Raises `KeyError` for a column of any other type.
    """
    hints = get_type_hints(row_type, include_extras=True)
    return pa.schema([(name, _arrow_type(hint)) for name, hint in hints.items()])


def _arrow_type(hint: Any) -> pa.DataType:
    if get_origin(hint) is Annotated:
        return hint.__metadata__[0]
    if get_origin(hint) is Literal:
        return pa.string()
    if NoneType in get_args(hint):
        (hint,) = set(get_args(hint)) - {NoneType}
    return _ARROW_TYPES[hint]


def schema_of(**types: pa.DataType) -> pa.Schema:
    """The schema of columns by name, in their order."""
    return pa.schema(list(types.items()))


def table_of(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """A table of `schema` from rows that have all columns of `schema`."""
    columns = [[row[name] for row in rows] for name in schema.names]
    return pa.table(columns, schema=schema)


def write_table(path: Path, table: pa.Table) -> None:
    """Write `table` as Parquet, atomically; equal tables give equal bytes."""
    write_atomically(path, lambda partial: pq.write_table(table, partial, compression="zstd"))


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a table that an earlier stage wrote.

    Raises `StudyError` if the file is missing, is damaged, or has another schema.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise StudyError(f"{path}: no such file; `dvc repro` makes it") from None
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise StudyError(
            f"{path}: cannot be read as Parquet: {reason}; `dvc repro` makes it"
        ) from None
    if not table.schema.equals(schema):
        raise StudyError(
            f"{path}: has the columns {', '.join(table.schema.names)}, "
            f"not {', '.join(schema.names)}; `dvc repro` makes it anew"
        )
    return table


def read_typed_rows(path: Path, row_type: type[_RowType]) -> list[_RowType]:
    """Read the rows of a table that an earlier stage wrote. Raises `StudyError` as `read_table`."""
    rows: list[_RowType] = read_table(path, row_schema(row_type)).to_pylist()
    return rows


def concat(tables: Iterable[pa.Table]) -> pa.Table:
    """Join tables of one schema, one below the other, in one chunk."""
    return pa.concat_tables(list(tables)).combine_chunks()
