"""Load the labelled rows and the general instructions, check every row, split, remove test leaks."""

from pathlib import Path
from typing import Any

from command import StudyError, run_stage, write_json, write_log
from rows.checks import (
    Checked,
    check_splits,
    general_check,
    require_rows,
    sentiment_check,
    stop_at_too_many,
)
from rows.sources import load_splits
from rows.tables import GENERAL, REJECTED, SENTIMENT, table_of, write_table
from rows.tasks import FAMILIES, Task, make_tasks
from settings import GeneralSource, SentimentSource, TasksSource, read_settings

PREPARED = Path("data/prepared")


def main() -> None:
    settings = read_settings("seed", "prepare", "sources", "labels")

    sentiment = prepare_sentiment(settings.sources.sentiment, settings.seed)
    general = [
        prepare_general(source, settings.seed)
        for source in settings.sources.general
        if not isinstance(source, TasksSource)
    ]
    stop_at_too_many([sentiment, *general], settings.prepare.max_rejected_share)
    require_rows(sentiment, "sentiment")
    for checked in general:
        require_rows(checked, "general instructions")
    tasks = [
        make_task_rows(source, settings.seed)
        for source in settings.sources.general
        if isinstance(source, TasksSource)
    ]

    counts: dict[str, dict[str, int]] = {}
    for split in ("train", "validation", "test"):
        rows = [{"row_id": row.row_id, **row.values} for row in sentiment.rows[split]]
        write_table(PREPARED / "sentiment" / f"{split}.parquet", table_of(rows, SENTIMENT))
        counts[split] = {
            name: sum(row["label"] == name for row in rows) for name in settings.labels.names
        }
    for split in ("train", "test"):
        parts = [
            [{**row.values, "row_id": row.row_id} for row in checked.rows[split]]
            for checked in general
        ] + [made[split] for made in tasks]
        rows = [
            {**row, "row_id": f"general{number}-{row['row_id']}"}
            for number, part in enumerate(parts)
            for row in part
        ]
        write_table(PREPARED / "general" / f"{split}.parquet", table_of(rows, GENERAL))
    aside = [
        {"source": row.source, "row": row.number, "reason": row.reason, "content": row.content}
        for checked in (sentiment, *general)
        for row in checked.aside
    ]
    write_table(PREPARED / "rejected.parquet", table_of(aside, REJECTED))

    account = {
        "sentiment": sentiment.account,
        "general": {f"source_{at}": checked.account for at, checked in enumerate(general)},
        "tasks": {f"source_{at}": made["account"] for at, made in enumerate(tasks)},
        "labels": counts,
    }
    write_json(Path("metrics/prepare.json"), account)
    write_log("prepare")
    for split, told in sentiment.account.items():
        print(f"sentiment {split}: " + ", ".join(f"{key} {n}" for key, n in told.items() if n))


def prepare_sentiment(source: SentimentSource, seed: int) -> Checked:
    """Check and split the labelled rows of `source`."""
    raw = load_splits(source)
    check = sentiment_check([row for rows in raw.values() for row in rows], source)
    shares = {"validation": source.validation_share, "test": source.test_share}
    missing = {split: share for split, share in shares.items() if share and split not in raw}
    return check_splits(raw, check, missing, dict(source.take), seed)


def prepare_general(source: GeneralSource, seed: int) -> Checked:
    """Check and split general instructions; they have no validation split."""
    assert not isinstance(source, TasksSource)
    raw = load_splits(source)
    check = general_check([row for rows in raw.values() for row in rows], source)
    missing = {"test": source.test_share} if source.test_share and "test" not in raw else {}
    return check_splits(raw, check, missing, dict(source.take), seed)


def make_task_rows(source: TasksSource, seed: int) -> dict[str, Any]:
    """Make checkable tasks: train and test rows of the seen families, test rows of the others."""
    seen = [family for family in FAMILIES if not family.held_out]
    held_out = [family for family in FAMILIES if family.held_out]
    try:
        train = make_tasks(source.train, seed, seen)
        test = make_tasks(source.test_seen, seed + 1, seen, exclude=train)
        test += make_tasks(source.test_held_out, seed + 1, held_out)
    except ValueError as error:
        raise StudyError(f"sources.general: kind tasks: {error}: ask for fewer rows") from None
    return {
        "train": [_task_row("train", number, task) for number, task in enumerate(train, start=1)],
        "test": [_task_row("test", number, task) for number, task in enumerate(test, start=1)],
        "account": {"train": {"out": len(train)}, "test": {"out": len(test)}},
    }


def _task_row(split: str, number: int, task: Task) -> dict[str, str]:
    return {
        "row_id": f"{split}-{number:06d}",
        "instruction": task.instruction,
        "input": task.input,
        "output": task.output,
        "family": task.family,
    }


if __name__ == "__main__":
    run_stage(main)
