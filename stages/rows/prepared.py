"""The tables that `prepare` writes to `data/prepared/`."""

import pyarrow as pa

from rows.tables import schema_of

TEXT, FLOAT = pa.string(), pa.float64()

LABELLED = schema_of(row_id=TEXT, text=TEXT, label=TEXT, agreement=FLOAT)

GENERAL = schema_of(row_id=TEXT, instruction=TEXT, input=TEXT, output=TEXT, family=TEXT)

REJECTED = schema_of(source=TEXT, row=pa.int64(), reason=TEXT, content=TEXT)

RATERS = schema_of(  # of the rows that have ratings: how surely their labels are the raters'
    row_id=TEXT,
    split=TEXT,
    raters=pa.int64(),
    named=pa.int64(),
    agreeing=pa.int64(),
    turned=FLOAT,
)
