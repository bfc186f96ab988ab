"""The labelled predictions of a system, written to `predictions/SYSTEM/` with a chart's CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.files import write_text

from rows.answers import LABELLED_PREDICTIONS, LabelledPrediction
from rows.tables import table_of, write_table

PREDICTIONS = Path("predictions")


def write_labelled_predictions(system: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the columns of `LabelledPrediction`, and the (label, scored) pairs that DVC draws."""
    folder = PREDICTIONS / system
    write_table(folder / "labelled.parquet", table_of(rows, LABELLED_PREDICTIONS))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("actual", "predicted"))
    writer.writerows((row["label"], row["scored"]) for row in rows)
    write_text(folder / "confusion.csv", text.getvalue())


def label_rows(
    row_ids: Sequence[str],
    labels: Sequence[str],
    scored: Sequence[str | None],
    log_likelihoods: Sequence[list[float]] | None = None,
) -> list[LabelledPrediction]:
    """The predictions of a system that reads no prompt: one label a row, with scores if it has any."""
    scores: Sequence[list[float] | None] = log_likelihoods or [None] * len(row_ids)
    return [
        {
            "row_id": row_id,
            "label": label,
            "template": None,
            "prompt": None,
            "log_likelihoods": log_likelihood,
            "scored": prediction,
            "generated": None,
            "parsed": None,
        }
        for row_id, label, prediction, log_likelihood in zip(
            row_ids, labels, scored, scores, strict=True
        )
    ]
