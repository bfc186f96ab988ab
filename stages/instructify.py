"""Write each labelled row as an instruction, and each general row in the same prompt format."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from runtime.clock import write_log
from runtime.files import write_json
from runtime.process import run_stage

import pyarrow as pa

from prompts.format import PromptFormat, write_prompt
from prompts.templates import POOL, Template, read_templates
from rows.instructions import INSTRUCTIONS, InstructionRow
from rows.prepared import GeneralRow, LabelledRow, TextColumnRow
from rows.tables import read_typed_rows, table_of, write_table
from settings.read import read_settings

PREPARED = Path("data/prepared")
INSTRUCTIONS_DIR = Path("data/instructions")

Texts = Mapping[str, Mapping[str, str]]  # {row id: {column: text}}
ONE_COLUMN: Texts = {}  # a source with one text column has no texts of single columns


def main() -> None:
    settings = read_settings("seed", "prompt_format", "instructify", "labels")
    seed, prompt_format, labels = settings.seed, settings.prompt_format, settings.labels.names
    texts = column_texts(PREPARED / "labelled/text_columns.parquet")
    columns = list(dict.fromkeys(column for of_row in texts.values() for column in of_row))
    pool = read_templates(Path(settings.instructify.templates), labels, columns)
    trained = [template for template in pool if not template.held_out]

    # All rows are built before the first table is written: a failing stage leaves the tables whole.
    tables: dict[str, list[InstructionRow]] = {}

    # Training and validation rows use the trained wordings only, test rows use every wording.
    for split, wordings in (("train", trained), ("validation", trained), ("test", pool)):
        rows = read_typed_rows(PREPARED / f"labelled/{split}.parquet", LabelledRow)
        instructions = write_labelled(
            rows, wordings, labels, prompt_format, f"{seed}:templates:{split}", texts
        )
        tables[f"labelled/{split}"] = instructions
        print(f"labelled {split}: {len(rows)} instructions in {len(wordings)} wordings")

    # Some test rows in every other wording too: how much does the wording alone change?
    count = min(settings.instructify.wording_rows, len(rows))
    drawn = sorted(random.Random(f"{seed}:wordings").sample(range(len(rows)), count))
    tables["labelled/wordings"] = []
    for template in pool:
        others = [rows[place] for place in drawn if instructions[place]["template"] != template.id]
        tables["labelled/wordings"] += with_template(others, template, labels, prompt_format, texts)
    print(f"labelled wordings: {count} test rows in each of {len(pool)}")

    for split in ("train", "test"):
        general = read_typed_rows(PREPARED / f"general/{split}.parquet", GeneralRow)
        tables[f"general/{split}"] = [general_instruction(row, prompt_format) for row in general]
        print(f"general {split}: {len(general)} instructions")

    for name, instructions in tables.items():
        write_table(INSTRUCTIONS_DIR / f"{name}.parquet", table_of(instructions, INSTRUCTIONS))
    # The pool names the columns only if there are several: templates may then contain their names.
    content = {"columns": columns} if columns else {}
    write_json(POOL, {**content, "templates": [template.model_dump() for template in pool]})
    write_log("instructify")


def column_texts(path: Path) -> Texts:
    """{row id: {column: text}} of a table of text columns; empty if there is no such table."""
    texts: dict[str, dict[str, str]] = {}
    if path.is_file():
        for row in read_typed_rows(path, TextColumnRow):
            texts.setdefault(row["row_id"], {})[row["column"]] = row["text"]
    return texts


def write_labelled(
    rows: Sequence[LabelledRow],
    pool: Sequence[Template],
    labels: Sequence[str],
    prompt_format: PromptFormat,
    seed: str,
    texts: Texts = ONE_COLUMN,
) -> list[InstructionRow]:
    """One instruction for each row, in the order of `rows`.

    Each template writes the same number of rows, one more or less. `seed` decides which rows. `texts`:
    the texts of single columns, empty if the source has one text column.
    """
    turns = [place % len(pool) for place in range(len(rows))]
    random.Random(seed).shuffle(turns)
    instructions: dict[int, InstructionRow] = {}
    for turn, template in enumerate(pool):
        places = [place for place, row_turn in enumerate(turns) if row_turn == turn]
        with_turn = [rows[place] for place in places]
        written = with_template(with_turn, template, labels, prompt_format, texts)
        instructions.update(zip(places, written, strict=True))
    return [instructions[place] for place in range(len(rows))]


def with_template(
    rows: Sequence[LabelledRow],
    template: Template,
    labels: Sequence[str],
    prompt_format: PromptFormat,
    texts: Texts = ONE_COLUMN,
) -> list[InstructionRow]:
    """Each row as an instruction in the wording of one template. `texts`: as for `write_labelled`."""
    names = list(next(iter(texts.values()), ()))
    columns = {
        name: pa.array([texts[row["row_id"]][name] for row in rows], pa.string()) for name in names
    }
    joined = pa.array([row["text"] for row in rows], pa.string())
    prompts = template.prompts(joined, labels, prompt_format, columns).to_pylist()
    completions = dict(zip(labels, template.completions(labels), strict=True))
    return [
        {
            "row_id": row["row_id"],
            "task": "labelled",
            "template": template.id,
            "prompt": prompt,
            "completion": completions[row["label"]],
            "label": row["label"],
            "family": None,
        }
        for row, prompt in zip(rows, prompts, strict=True)
    ]


def general_instruction(row: GeneralRow, prompt_format: PromptFormat) -> InstructionRow:
    """A general row in the prompt format; the row's output is the completion."""
    return {
        "row_id": row["row_id"],
        "task": "general",
        "template": None,
        "prompt": write_prompt(prompt_format, row["instruction"], row["input"]),
        "completion": row["output"],
        "label": None,
        "family": row["family"],
    }


if __name__ == "__main__":
    run_stage(main)
