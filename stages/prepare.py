"""Load the labelled rows and the general instructions, check every row, split, remove test leaks."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.clock import write_log
from runtime.files import write_json
from runtime.process import run_stage

import pyarrow as pa

from rows.judging import general_check, labelled_check
from rows.prepared import (
    GENERAL,
    GENERAL_SOURCES,
    LABELLED,
    RATERS,
    REJECTED,
    TEXT_COLUMNS,
    GeneralRow,
    GeneralSourceRow,
)
from rows.raters import rater_rows
from rows.raw_rows import AllRows
from rows.requirements import require_few_rejected, require_labels, require_rows
from rows.row import (
    LISTED,
    SPLITS,
    Checked,
    general_row,
    labelled_row,
    rejected_row,
    text_column_rows,
)
from rows.sources import row_source
from rows.splitting import FATES, check_splits, contradictions, draw_without_leaks
from rows.tables import table_of, write_table
from settings.read import read_settings
from settings.sources import GeneralRows, GeneralTable, LabelledSource, TasksSource
from settings.study import Prepare
from stats.power import power, smallest_difference

PREPARED = Path("data/prepared")
DISAGREEING = 0.1  # two good systems typically disagree on a tenth of the rows
LARGE = 0.05  # a smallest difference above 5 points deserves a warning
POWER = 0.8


def main() -> None:
    settings = read_settings("seed", "prepare", "sources", "labels")
    sources, seed = settings.sources, settings.seed

    # Load, check and split. A general source keeps its number in `sources.general`.
    labelled = prepare_labelled(sources.labelled, settings.prepare, seed, settings.labels.names)
    to_check = {
        number: source
        for number, source in enumerate(sources.general)
        if isinstance(source, GeneralRows)
    }
    general = prepare_general(to_check, settings.prepare, seed)

    # Stop if the rows cannot carry a study.
    require_few_rejected([labelled, *general.values()], settings.prepare.max_rejected_share)
    require_rows(labelled, "labelled")
    require_labels(labelled, settings.labels.names)
    for checked in general.values():
        require_rows(checked, "general instructions")

    # Tasks made by program need no check: every question is new and has exactly one right answer.
    tasks = {
        number: load_tasks(source, seed)
        for number, source in enumerate(sources.general)
        if isinstance(source, TasksSource)
    }

    # All tables are built before the first is written: a failing stage leaves the earlier tables whole.
    tables: dict[str, pa.Table] = {}
    for split in SPLITS:
        rows = [labelled_row(row) for row in labelled.rows[split]]
        tables[f"labelled/{split}"] = table_of(rows, LABELLED)
    text_columns = [
        column_row
        for split in SPLITS
        for row in labelled.rows[split]
        for column_row in text_column_rows(row, sources.labelled.columns.text)
    ]
    if text_columns:
        tables["labelled/text_columns"] = table_of(text_columns, TEXT_COLUMNS)
    source_numbers: list[GeneralSourceRow] = []
    for split in ("train", "test"):
        numbered = numbered_rows(general, tasks, split)
        tables[f"general/{split}"] = table_of([row for _, row in numbered], GENERAL)
        source_numbers += [
            {"row_id": row["row_id"], "source_number": number} for number, row in numbered
        ]
    tables["general_sources"] = table_of(source_numbers, GENERAL_SOURCES)
    aside = [row for checked in (labelled, *general.values()) for row in checked.aside]
    tables["rejected"] = table_of([rejected_row(row) for row in aside], REJECTED)
    tables["raters"] = table_of(rater_rows(labelled, sources.labelled.bands, seed), RATERS)
    account = account_of(
        labelled, list(general.values()), list(tasks.values()), settings.labels.names
    )

    if not text_columns:  # an earlier run by hand may have had several text columns
        (PREPARED / "labelled/text_columns.parquet").unlink(missing_ok=True)
    for name, table in tables.items():
        write_table(PREPARED / f"{name}.parquet", table)
    write_json(Path("metrics/prepare.json"), account)
    write_log("prepare")
    print_account(labelled, settings.prepare)
    print_unlisted("labelled", labelled)
    for number, checked in general.items():
        print_unlisted(f"general source {number}", checked)


def prepare_labelled(
    source: LabelledSource, settings: Prepare, seed: int, labels: Sequence[str]
) -> Checked:
    """The labelled rows of `source`, checked, split and free of leaks. `labels`: of the study."""
    raw = row_source(source).load(seed)
    check = labelled_check(AllRows(raw), source, labels)
    shares = {"validation": source.validation_share, "test": source.test_share}
    split_off = {split: share for split, share in shares.items() if share and split not in raw}
    checked = check_splits(raw, check, split_off, seed, settings.contradictions)
    draw_without_leaks([checked], [dict(source.take)], settings.leak_similarity, seed)
    return checked


def prepare_general(
    sources: Mapping[int, GeneralTable], settings: Prepare, seed: int
) -> dict[int, Checked]:
    """{number: rows} of each source, checked, split, free of leaks across all sources."""
    prepared: dict[int, Checked] = {}
    for number, source in sources.items():
        raw = row_source(source).load(seed)
        check = general_check(AllRows(raw), source)
        split_off = {"test": source.test_share} if source.test_share and "test" not in raw else {}
        prepared[number] = check_splits(raw, check, split_off, seed)
    takes = [dict(source.take) for source in sources.values()]
    draw_without_leaks(list(prepared.values()), takes, settings.leak_similarity, seed)
    return prepared


def load_tasks(source: TasksSource, seed: int) -> dict[str, list[GeneralRow]]:
    """{split: rows} of the tasks that a program makes."""
    return {
        split: [
            {
                "row_id": f"{split}-{row.number:06d}",
                "instruction": row.values["instruction"],
                "input": row.values["input"],
                "output": row.values["output"],
                "family": row.values["family"],
            }
            for row in rows
        ]
        for split, rows in row_source(source).load(seed).items()
    }


def numbered_rows(
    general: Mapping[int, Checked], tasks: Mapping[int, dict[str, list[GeneralRow]]], split: str
) -> list[tuple[int, GeneralRow]]:
    """(source number, row) of every general row of a split, in the order of the sources.

    The source number begins each row id, so that row ids are unique.
    """
    by_source = {
        number: [general_row(row) for row in checked.rows[split]]
        for number, checked in general.items()
    }
    by_source |= {number: rows_by_split[split] for number, rows_by_split in tasks.items()}
    return [
        (number, {**row, "row_id": f"general{number}-{row['row_id']}"})
        for number, rows in sorted(by_source.items())
        for row in rows
    ]


def account_of(
    labelled: Checked,
    general: Sequence[Checked],
    tasks: Sequence[dict[str, list[GeneralRow]]],
    labels: Sequence[str],
) -> dict[str, Any]:
    """The content of `metrics/prepare.json`: every row by source, split and fate; the rows by label."""
    counts = {
        split: Counter(row.values["label"] for row in rows) for split, rows in labelled.rows.items()
    }
    n_test = len(labelled.rows["test"])
    return {
        "labelled": labelled.account,
        "general": {f"source_{number}": checked.account for number, checked in enumerate(general)},
        "tasks": {
            f"source_{number}": {split: {"out": len(rows)} for split, rows in by_split.items()}
            for number, by_split in enumerate(tasks)
        },
        "labels": {split: {name: counts[split][name] for name in labels} for split in SPLITS},
        "contradictions": contradictions(labelled),
        "n_test": n_test,
        "smallest_difference": detectable_difference(n_test),
    }


def detectable_difference(n: int) -> float | None:
    """The smallest difference in accuracy that n test rows can show; None if they can show none.

    Power 80%, exact McNemar test at 5%, for two systems that disagree on a tenth of the rows. Prints a
    warning if the difference is above 5 points.
    """
    smallest = smallest_difference(n, DISAGREEING)
    if smallest is not None:
        print(
            f"{n} test rows can show differences in accuracy of {100 * smallest:.1f} points or more"
        )
    if smallest is None or smallest > LARGE:
        enough = next(
            rows for rows in range(n, 10**6, 10) if power(rows, DISAGREEING, LARGE) >= POWER
        )
        shown = (
            "no difference"
            if smallest is None
            else f"no difference under {100 * smallest:.1f} points"
        )
        print(
            f"WARNING: {n} test rows are few: if two systems disagree on a tenth of the rows, {shown} in "
            f"accuracy can be shown. About {enough} test rows can show {100 * LARGE:.0f} points: raise "
            "sources.labelled.test_share or take.test.",
            file=sys.stderr,
        )
    return smallest


def print_account(labelled: Checked, settings: Prepare) -> None:
    """Print how many labelled rows contradict another row, and every split's count of rows by fate."""
    counts = contradictions(labelled)["all"]
    if counts["rows"]:
        print(
            f"labelled: {counts['texts']} texts have several labels: {counts['rows']} rows are set aside "
            f"(prepare.contradictions: {settings.contradictions}): see rejected.parquet"
        )
    for split, account in labelled.account.items():
        counts_by_fate = ", ".join(f"{fate} {count}" for fate, count in account.items() if count)
        print(f"labelled {split}: {counts_by_fate}")


def print_unlisted(name: str, checked: Checked) -> None:
    """Print the kinds of rows set aside that rejected.parquet does not list completely."""
    for fate in FATES:
        total = sum(account[fate] for account in checked.account.values())
        if total > LISTED:
            print(f"{name}: rejected.parquet lists the first {LISTED} of {total} rows of {fate}")


if __name__ == "__main__":
    run_stage(main)
