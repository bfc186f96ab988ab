"""What every system leaves in `predictions/SYSTEM/`: its answers as tables, and a chart's CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.files import write_text

from rows.answers import LABELLED_PREDICTIONS
from rows.tables import table_of, write_table

PREDICTIONS = Path("predictions")


def write_labelled_predictions(system: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the predicted labels, and `confusion.csv` with the pairs that DVC's chart counts."""
    folder = PREDICTIONS / system
    write_table(folder / "labelled.parquet", table_of(rows, LABELLED_PREDICTIONS))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("actual", "predicted"))
    table.writerows((row["label"], row["scored"]) for row in rows)
    write_text(folder / "confusion.csv", text.getvalue())


def label_rows(
    row_ids: Sequence[str],
    labels: Sequence[str],
    scored: Sequence[str | None],
    log_likelihoods: Sequence[list[float]] | None = None,
) -> list[dict[str, Any]]:
    """Prediction rows of a system that reads no prompt: labels, and their scores where it has any."""
    scores: Sequence[list[float] | None] = log_likelihoods or [None] * len(row_ids)
    blank = dict.fromkeys(("template", "prompt", "generated", "parsed"))
    return [
        {"row_id": row_id, "label": label, **blank, "scored": guess, "log_likelihoods": score}
        for row_id, label, guess, score in zip(row_ids, labels, scored, scores, strict=True)
    ]
