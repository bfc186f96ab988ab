"""Mix the sentiment instructions with the general ones: each row once, in a seeded order."""

import random
from pathlib import Path

from command import StudyError, run_stage, write_log

import pyarrow as pa

from rows.tables import INSTRUCTIONS, concat, read_table, write_table
from settings import Mix, read_settings

INSTRUCTIONS_DIR = Path("data/instructions")


def main() -> None:
    settings = read_settings("seed", "mix")
    sentiment = read_table(INSTRUCTIONS_DIR / "sentiment/train.parquet", INSTRUCTIONS)
    general = read_table(INSTRUCTIONS_DIR / "general/train.parquet", INSTRUCTIONS)

    count = general_count(settings.mix, len(sentiment))
    if count > len(general):
        raise StudyError(
            f"params.yaml: mix asks for {count} general instructions, the sources give "
            f"{len(general)}: ask for fewer, or raise train or take under sources.general"
        )
    generator = random.Random(f"{settings.seed}:mix")
    drawn = sorted(generator.sample(range(len(general)), count))
    mixed = concat([sentiment, general.take(pa.array(drawn, pa.int64()))])
    order = list(range(len(mixed)))
    generator.shuffle(order)

    write_table(Path("data/mixed/train.parquet"), mixed.take(pa.array(order, pa.int64())))
    write_log("mix")
    print(f"mixed: {len(sentiment)} sentiment and {count} general instructions")


def general_count(mix: Mix, sentiment_rows: int) -> int:
    """How many general rows the mix takes: a count, or the share of the whole that they make up."""
    if mix.general_rows is not None:
        return mix.general_rows
    assert mix.general_share is not None
    return round(sentiment_rows * mix.general_share / (1 - mix.general_share))


if __name__ == "__main__":
    run_stage(main)
