"""Write the rows of every tuned system that learns from more than the labelled instructions."""

import random
from pathlib import Path

from runtime.clock import write_log
from runtime.errors import StudyError
from runtime.process import run_stage

import pyarrow as pa

from rows.instructions import INSTRUCTIONS
from rows.tables import concat, read_table, write_table
from settings.read import read_settings
from settings.study import Mix

INSTRUCTIONS_DIR = Path("data/instructions")


def main() -> None:
    settings = read_settings("seed", "mix")
    labelled = read_table(INSTRUCTIONS_DIR / "labelled/train.parquet", INSTRUCTIONS)
    general = read_table(INSTRUCTIONS_DIR / "general/train.parquet", INSTRUCTIONS)

    # The rows of each system: an entry here for each path `data/mixed/NAME.parquet` of systems.py.
    recipes = {"train": mixed_rows(labelled, general, settings.mix, settings.seed)}
    for name, rows in recipes.items():
        write_table(Path(f"data/mixed/{name}.parquet"), rows)
        count = sum(task == "labelled" for task in rows["task"].to_pylist())
        print(f"mixed: {count} labelled and {len(rows) - count} general instructions")
    write_log("mix")


def mixed_rows(labelled: pa.Table, general: pa.Table, mix: Mix, seed: int) -> pa.Table:
    """Mix all labelled rows with the general rows that `mix` asks for: each row once, in a seeded order.

    Raises `StudyError` where the sources hold fewer general rows.
    """
    count = general_count(mix, len(labelled))
    if count > len(general):
        raise StudyError(
            f"params.yaml: mix asks for {count} general instructions, the sources give "
            f"{len(general)}: ask for fewer, or raise train or take under sources.general"
        )
    generator = random.Random(f"{seed}:mix")
    drawn = sorted(generator.sample(range(len(general)), count))
    mixed = concat([labelled, general.take(pa.array(drawn, pa.int64()))])
    order = list(range(len(mixed)))
    generator.shuffle(order)
    return mixed.take(pa.array(order, pa.int64()))


def general_count(mix: Mix, labelled_rows: int) -> int:
    """How many general rows the mix takes: a count, or the share of the whole that they make up."""
    if mix.general_rows is not None:
        return mix.general_rows
    assert mix.general_share is not None
    return round(labelled_rows * mix.general_share / (1 - mix.general_share))


if __name__ == "__main__":
    run_stage(main)
