"""Tables that pass between stages: built by a schema, written whole or not at all, checked when read."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.errors import StudyError
from runtime.files import write_atomically

import pyarrow as pa
import pyarrow.parquet as pq


def schema_of(**types: pa.DataType) -> pa.Schema:
    """The schema of columns by name, in their order."""
    return pa.schema(list(types.items()))


def table_of(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Build a table of `schema` from rows that have all of its columns."""
    columns = [[row[name] for row in rows] for name in schema.names]
    return pa.table(columns, schema=schema)


def write_table(path: Path, table: pa.Table) -> None:
    """Write `table` as Parquet, atomically; equal tables give equal bytes."""
    write_atomically(path, lambda partial: pq.write_table(table, partial, compression="zstd"))


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a table that an earlier stage wrote; a `StudyError` where it is missing or another one."""
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise StudyError(f"{path}: no such file; `dvc repro` makes it") from None
    except (pa.ArrowException, OSError) as error:
        told = " ".join(str(error).split())
        raise StudyError(
            f"{path}: cannot be read as Parquet: {told}; `dvc repro` makes it"
        ) from None
    if not table.schema.equals(schema):
        raise StudyError(
            f"{path}: has the columns {', '.join(table.schema.names)}, "
            f"not {', '.join(schema.names)}; `dvc repro` makes it anew"
        )
    return table


def concat(tables: Iterable[pa.Table]) -> pa.Table:
    """Join tables of one schema, one below the other, in one chunk."""
    return pa.concat_tables(list(tables)).combine_chunks()
