"""Write each labelled row as an instruction, and each general row in the same prompt format."""

import random
from collections.abc import Sequence
from pathlib import Path

from runtime.clock import write_log
from runtime.files import write_json
from runtime.process import run_stage

import pyarrow as pa

from prompts.format import PromptFormat, write_prompt
from prompts.templates import POOL, Template, read_templates
from rows.instructions import INSTRUCTIONS
from rows.prepared import GENERAL, LABELLED
from rows.tables import concat, read_table, table_of, write_table
from settings.read import read_settings

PREPARED = Path("data/prepared")
INSTRUCTIONS_DIR = Path("data/instructions")


def main() -> None:
    settings = read_settings("seed", "prompt_format", "instructify", "labels")
    labels = settings.labels.names
    pool = read_templates(Path(settings.instructify.templates), labels)
    trained = [template for template in pool if not template.held_out]

    # All is made before anything is written: what fails leaves an earlier run as it was.
    tables: dict[str, pa.Table] = {}

    # The test split is asked in every wording, training and validation in the trained ones alone.
    for split, wordings in (("train", trained), ("validation", trained), ("test", pool)):
        rows = read_table(PREPARED / "labelled" / f"{split}.parquet", LABELLED)
        seed = f"{settings.seed}:templates:{split}"
        table = write_labelled(rows, wordings, labels, settings.prompt_format, seed)
        tables[f"labelled/{split}"] = table
        print(f"labelled {split}: {len(table)} instructions in {len(wordings)} wordings")

    # Some of the test rows in every other wording as well: how much does the wording alone decide?
    count = min(settings.instructify.wording_rows, len(rows))
    drawn = random.Random(f"{settings.seed}:wordings").sample(range(len(rows)), count)
    parts = []
    for template in pool:
        others = [at for at in sorted(drawn) if table["template"][at].as_py() != template.id]
        some = rows.take(pa.array(others, pa.int64())).combine_chunks()
        parts.append(write_labelled(some, [template], labels, settings.prompt_format, ""))
    tables["labelled/wordings"] = concat(parts)
    print(f"labelled wordings: {count} test rows in each of {len(pool)}")

    for split in ("train", "test"):
        rows = read_table(PREPARED / "general" / f"{split}.parquet", GENERAL)
        table = write_general(rows, settings.prompt_format)
        tables[f"general/{split}"] = table
        print(f"general {split}: {len(table)} instructions")
    for name, table in tables.items():
        write_table(INSTRUCTIONS_DIR / f"{name}.parquet", table)
    write_json(POOL, {"templates": [template.model_dump() for template in pool]})
    write_log("instructify")


def write_labelled(
    rows: pa.Table,
    pool: Sequence[Template],
    labels: Sequence[str],
    prompt_format: PromptFormat,
    seed: str,
) -> pa.Table:
    """Write each row with one template, templates in equal shares, drawn by `seed`; order kept."""
    turns = [at % len(pool) for at in range(len(rows))]
    random.Random(seed).shuffle(turns)
    parts, places = [], []
    for turn, template in enumerate(pool):
        chosen = [at for at, which in enumerate(turns) if which == turn]
        part = rows.take(pa.array(chosen, pa.int64())).combine_chunks()
        answers = dict(zip(labels, template.completions(labels), strict=True))
        count = len(part)
        columns = {
            "row_id": part["row_id"],
            "task": ["labelled"] * count,
            "template": [template.id] * count,
            "prompt": template.prompts(_array(part["text"]), labels, prompt_format),
            "completion": [answers[label] for label in part["label"].to_pylist()],
            "label": part["label"],
            "family": pa.nulls(count, pa.string()),
        }
        parts.append(pa.table(columns, schema=INSTRUCTIONS))
        places += chosen
    order = sorted(range(len(places)), key=places.__getitem__)
    return concat(parts).take(pa.array(order, pa.int64())).combine_chunks()


def write_general(rows: pa.Table, prompt_format: PromptFormat) -> pa.Table:
    """Write each general row in the prompt format; its output is the completion."""
    written = [
        {
            "row_id": row["row_id"],
            "task": "general",
            "template": None,
            "prompt": write_prompt(prompt_format, row["instruction"], row["input"]),
            "completion": row["output"],
            "label": None,
            "family": row["family"],
        }
        for row in rows.to_pylist()
    ]
    return table_of(written, INSTRUCTIONS)


def _array(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


if __name__ == "__main__":
    run_stage(main)
