"""The schemas of every table that passes between stages, and Parquet written whole or not at all."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.errors import StudyError
from runtime.files import write_atomically

import pyarrow as pa
import pyarrow.parquet as pq


def _schema(**types: pa.DataType) -> pa.Schema:
    return pa.schema(list(types.items()))


_text, _float = pa.string(), pa.float64()

LABELLED = _schema(row_id=_text, text=_text, label=_text, agreement=_float)
GENERAL = _schema(row_id=_text, instruction=_text, input=_text, output=_text, family=_text)
REJECTED = _schema(source=_text, row=pa.int64(), reason=_text, content=_text)
RATERS = _schema(  # of the rows that have ratings: how surely their labels are the raters'
    row_id=_text,
    split=_text,
    raters=pa.int64(),
    named=pa.int64(),
    agreeing=pa.int64(),
    turned=_float,
)
INSTRUCTIONS = _schema(
    row_id=_text,
    task=_text,
    template=_text,
    prompt=_text,
    completion=_text,
    label=_text,
    family=_text,
)
LABELLED_PREDICTIONS = _schema(
    row_id=_text,
    label=_text,
    template=_text,
    prompt=_text,
    log_likelihoods=pa.list_(_float),
    scored=_text,
    generated=_text,
    parsed=_text,
)
GENERAL_PREDICTIONS = _schema(
    row_id=_text,
    family=_text,
    prompt=_text,
    expected=_text,
    generated=_text,
    exact=pa.bool_(),
)
TEN_PREDICTIONS = _schema(instruction=_text, input=_text, generated=_text)  # of the hundred too
SCORES = (
    _schema(  # labels scored without a free answer: validation rows, test rows in every wording
        row_id=_text,
        label=_text,
        template=_text,
        log_likelihoods=pa.list_(_float),
        scored=_text,
    )
)
LIKELIHOODS = _schema(  # of the answers that the free-form general rows themselves have
    row_id=_text, log_likelihood=_float, tokens=pa.int64()
)
STATES = _schema(row_id=_text, state=pa.list_(pa.float32()))  # hidden, at the end of the prompt
REPLICATES = _schema(  # of models from other training seeds
    recipe=_text, training_seed=pa.int64(), system=_text, row_id=_text, scored=_text
)
TOKENS = _schema(row_id=_text, prompt_tokens=pa.int64(), generated_tokens=pa.int64())


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
