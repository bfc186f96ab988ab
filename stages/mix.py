"""Mix the labelled instructions with the general ones: each row once, in a seeded order."""

import random
from pathlib import Path

from runtime.clock import write_log
from runtime.errors import StudyError
from runtime.process import run_stage

import pyarrow as pa

from rows.tables import INSTRUCTIONS, concat, read_table, write_table
from settings.read import read_settings
from settings.study import Mix

INSTRUCTIONS_DIR = Path("data/instructions")


def main() -> None:
    settings = read_settings("seed", "mix")
    labelled = read_table(INSTRUCTIONS_DIR / "labelled/train.parquet", INSTRUCTIONS)
    general = read_table(INSTRUCTIONS_DIR / "general/train.parquet", INSTRUCTIONS)

    count = general_count(settings.mix, len(labelled))
    if count > len(general):
        raise StudyError(
            f"params.yaml: mix asks for {count} general instructions, the sources give "
            f"{len(general)}: ask for fewer, or raise train or take under sources.general"
        )
    generator = random.Random(f"{settings.seed}:mix")
    drawn = sorted(generator.sample(range(len(general)), count))
    mixed = concat([labelled, general.take(pa.array(drawn, pa.int64()))])
    order = list(range(len(mixed)))
    generator.shuffle(order)

    write_table(Path("data/mixed/train.parquet"), mixed.take(pa.array(order, pa.int64())))
    write_log("mix")
    print(f"mixed: {len(labelled)} labelled and {count} general instructions")


def general_count(mix: Mix, labelled_rows: int) -> int:
    """How many general rows the mix takes: a count, or the share of the whole that they make up."""
    if mix.general_rows is not None:
        return mix.general_rows
    assert mix.general_share is not None
    return round(labelled_rows * mix.general_share / (1 - mix.general_share))


if __name__ == "__main__":
    run_stage(main)
