"""Write the training rows of every tuned system that learns from more than labelled instructions."""

import random
from collections.abc import Sequence
from pathlib import Path

from runtime.clock import write_log
from runtime.errors import StudyError
from runtime.process import run_stage

from rows.instructions import INSTRUCTIONS, InstructionRow
from rows.tables import read_typed_rows, table_of, write_table
from settings.read import read_settings
from settings.study import Mix

INSTRUCTIONS_DIR = Path("data/instructions")


def main() -> None:
    settings = read_settings("seed", "mix")
    labelled = read_typed_rows(INSTRUCTIONS_DIR / "labelled/train.parquet", InstructionRow)
    general = read_typed_rows(INSTRUCTIONS_DIR / "general/train.parquet", InstructionRow)

    # One recipe for each path `data/mixed/NAME.parquet` in systems.py.
    recipes = {"train": mixed_rows(labelled, general, settings.mix, settings.seed)}
    for name, rows in recipes.items():
        write_table(Path(f"data/mixed/{name}.parquet"), table_of(rows, INSTRUCTIONS))
        count = sum(row["task"] == "labelled" for row in rows)
        print(f"mixed: {count} labelled and {len(rows) - count} general instructions")
    write_log("mix")


def mixed_rows(
    labelled: Sequence[InstructionRow], general: Sequence[InstructionRow], mix: Mix, seed: int
) -> list[InstructionRow]:
    """All labelled rows and the general rows that `mix` asks for, each once, in a seeded order.

    Raises `StudyError` if `general` has fewer rows than `mix` asks for.
    """
    count = general_count(mix, len(labelled))
    if count > len(general):
        raise StudyError(
            f"params.yaml: mix asks for {count} general instructions, the sources have "
            f"{len(general)}: ask for fewer, or raise train or take under sources.general"
        )
    generator = random.Random(f"{seed}:mix")
    drawn = sorted(generator.sample(range(len(general)), count))
    rows = [*labelled, *(general[place] for place in drawn)]
    generator.shuffle(rows)
    return rows


def general_count(mix: Mix, labelled_count: int) -> int:
    """How many general rows the mix has: `general_rows`, or a share `general_share` of all its rows."""
    if mix.general_rows is not None:
        return mix.general_rows
    assert mix.general_share is not None
    return round(labelled_count * mix.general_share / (1 - mix.general_share))


if __name__ == "__main__":
    run_stage(main)
