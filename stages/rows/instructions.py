"""The table of instructions: what the tuned systems learn from and every model is asked."""

import pyarrow as pa

from rows.tables import schema_of

TEXT, FLOAT = pa.string(), pa.float64()

INSTRUCTIONS = schema_of(
    row_id=TEXT,
    task=TEXT,
    template=TEXT,
    prompt=TEXT,
    completion=TEXT,
    label=TEXT,
    family=TEXT,
)
