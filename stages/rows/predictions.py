"""What every system leaves in `predictions/SYSTEM/`: its answers as tables, and a chart's CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from command import write_text
from rows.tables import SENTIMENT_PREDICTIONS, table_of, write_table

PREDICTIONS = Path("predictions")


def write_sentiment_predictions(system: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the predicted labels, and `confusion.csv` with the pairs that DVC's chart counts."""
    folder = PREDICTIONS / system
    write_table(folder / "sentiment.parquet", table_of(rows, SENTIMENT_PREDICTIONS))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("actual", "predicted"))
    table.writerows((row["label"], row["scored"]) for row in rows)
    write_text(folder / "confusion.csv", text.getvalue())
