"""Load the labelled rows and the general instructions, check every row, split, remove test leaks."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.clock import write_log
from runtime.errors import StudyError
from runtime.files import write_json
from runtime.process import run_stage

import numpy as np
import pyarrow as pa

from rows.checks import (
    Checked,
    check_splits,
    contradictions,
    general_check,
    labelled_check,
    remove_leaks,
    require_labels,
    require_rows,
    stop_at_too_many,
    take_rows,
)
from rows.prepared import GENERAL, LABELLED, RATERS, REJECTED
from rows.raters import count_raters, turned_share
from rows.sources import load_splits
from rows.tables import table_of, write_table
from settings.read import read_settings
from settings.sources import GeneralFiles, GeneralHub, GeneralPackage, LabelledSource, TasksSource
from stats.power import power, smallest_difference
from tasks.families import FAMILIES, Task, make_tasks

PREPARED = Path("data/prepared")
DISAGREEING = 0.1  # a tenth of the rows is about what two good systems disagree on
LARGE = 0.05  # a smallest difference above this is worth a warning


def main() -> None:
    settings = read_settings("seed", "prepare", "sources", "labels")

    similarity = settings.prepare.leak_similarity
    labelled = prepare_labelled(settings.sources.labelled, similarity, settings.seed)
    files = [each for each in settings.sources.general if not isinstance(each, TasksSource)]
    general = prepare_general(files, similarity, settings.seed)
    stop_at_too_many([labelled, *general], settings.prepare.max_rejected_share)
    require_rows(labelled, "labelled")
    require_labels(labelled, settings.labels.names)
    for checked in general:
        require_rows(checked, "general instructions")
    tasks = [
        make_task_rows(source, settings.seed)
        for source in settings.sources.general
        if isinstance(source, TasksSource)
    ]

    # All is made before anything is written: what fails leaves an earlier run as it was.
    tables: dict[str, pa.Table] = {}
    counts: dict[str, dict[str, int]] = {}
    for split in ("train", "validation", "test"):
        rows = [{"row_id": row.row_id, **row.values} for row in labelled.rows[split]]
        tables[f"labelled/{split}"] = table_of(rows, LABELLED)
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
        tables[f"general/{split}"] = table_of(rows, GENERAL)
    aside = [
        {"source": row.source, "row": row.number, "reason": row.reason, "content": row.content}
        for checked in (labelled, *general)
        for row in checked.aside
    ]
    tables["rejected"] = table_of(aside, REJECTED)
    raters = rate(labelled, settings.sources.labelled, settings.seed)
    tables["raters"] = table_of(raters, RATERS)

    contradicting = contradictions(labelled)
    n_test = len(labelled.rows["test"])
    account = {
        "labelled": labelled.account,
        "general": {f"source_{at}": checked.account for at, checked in enumerate(general)},
        "tasks": {f"source_{at}": made["account"] for at, made in enumerate(tasks)},
        "labels": counts,
        "contradictions": contradicting,
        "n_test": n_test,
        "smallest_difference": what_can_show(n_test),
    }
    for name, table in tables.items():
        write_table(PREPARED / f"{name}.parquet", table)
    write_json(Path("metrics/prepare.json"), account)
    write_log("prepare")
    if count := contradicting["all"]["rows"]:
        print(f"labelled: {count} rows repeat a text with another label: rejected.parquet")
    for split, told in labelled.account.items():
        print(f"labelled {split}: " + ", ".join(f"{key} {n}" for key, n in told.items() if n))


def prepare_labelled(source: LabelledSource, similarity: float, seed: int) -> Checked:
    """Check and split the labelled rows of `source`."""
    raw = load_splits(source)
    check = labelled_check([row for rows in raw.values() for row in rows], source)
    shares = {"validation": source.validation_share, "test": source.test_share}
    missing = {split: share for split, share in shares.items() if share and split not in raw}
    checked = check_splits(raw, check, missing, seed)
    remove_leaks([checked], similarity)
    take_rows(checked, dict(source.take), seed)
    return checked


def prepare_general(
    sources: Sequence[GeneralPackage | GeneralFiles | GeneralHub], similarity: float, seed: int
) -> list[Checked]:
    """Check and split general instructions, free of leaks between sources; none for validation."""
    found = []
    for source in sources:
        raw = load_splits(source)
        check = general_check([row for rows in raw.values() for row in rows], source)
        missing = {"test": source.test_share} if source.test_share and "test" not in raw else {}
        found.append(check_splits(raw, check, missing, seed))
    remove_leaks(found, similarity)
    for source, checked in zip(sources, found, strict=True):
        take_rows(checked, dict(source.take), seed)
    return found


def rate(labelled: Checked, source: LabelledSource, seed: int) -> list[dict[str, Any]]:
    """Of every row that has ratings: how many raters agree with its label, and would others."""
    generator = np.random.default_rng(seed)
    return [
        {
            "row_id": row.row_id,
            "split": split,
            **count_raters(row.ratings, row.stratum, source.bands),
            "turned": turned_share(row.ratings, row.stratum, source.bands, generator),
        }
        for split, rows in labelled.rows.items()
        for row in rows
        if row.ratings
    ]


def what_can_show(n: int) -> float | None:
    """The smallest difference of accuracy that n test rows show; a warning where that is large.

    With 80% power, by the exact McNemar test at 5%, of systems that disagree on a tenth of the rows.
    """
    smallest = smallest_difference(n, DISAGREEING)
    if smallest is not None:
        print(f"{n} test rows show a difference of accuracy from {100 * smallest:.1f} points on")
    if smallest is None or smallest > LARGE:
        enough = next(
            more for more in range(n, 10**6, 10) if power(more, DISAGREEING, LARGE) >= 0.8
        )
        shown = "none at all" if smallest is None else f"none under {100 * smallest:.1f} points"
        print(
            f"WARNING: {n} test rows are few: of two systems that disagree on a tenth of them, {shown} "
            f"will show as a difference. For {100 * LARGE:.0f} points it takes about {enough} test rows: "
            "raise sources.labelled.test_share or take.test.",
            file=sys.stderr,
        )
    return smallest


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
