"""The tables that every system leaves in `predictions/SYSTEM/`."""

import pyarrow as pa

from rows.tables import schema_of

TEXT, FLOAT = pa.string(), pa.float64()

LABELLED_PREDICTIONS = schema_of(
    row_id=TEXT,
    label=TEXT,
    template=TEXT,
    prompt=TEXT,
    log_likelihoods=pa.list_(FLOAT),
    scored=TEXT,
    generated=TEXT,
    parsed=TEXT,
)

GENERAL_PREDICTIONS = schema_of(
    row_id=TEXT,
    family=TEXT,
    prompt=TEXT,
    expected=TEXT,
    generated=TEXT,
    exact=pa.bool_(),
)

TEN_PREDICTIONS = schema_of(instruction=TEXT, input=TEXT, generated=TEXT)  # of the hundred too

SCORES = (
    schema_of(  # labels scored without a free answer: validation rows, test rows in every wording
        row_id=TEXT,
        label=TEXT,
        template=TEXT,
        log_likelihoods=pa.list_(FLOAT),
        scored=TEXT,
    )
)

LIKELIHOODS = schema_of(  # of the answers that the free-form general rows themselves have
    row_id=TEXT, log_likelihood=FLOAT, tokens=pa.int64()
)

STATES = schema_of(row_id=TEXT, state=pa.list_(pa.float32()))  # hidden, at the end of the prompt

TOKENS = schema_of(row_id=TEXT, prompt_tokens=pa.int64(), generated_tokens=pa.int64())
