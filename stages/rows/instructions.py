"""The table of instructions: the rows that systems are trained on and that every model answers."""

from typing import Literal, TypedDict

from rows.tables import row_schema


class InstructionRow(TypedDict):
    """A prompt with its expected answer.

    `template` and `label` are None for a general instruction, `family` is None for a labelled one.
    """

    row_id: str
    task: Literal["labelled", "general"]
    template: str | None
    prompt: str
    completion: str
    label: str | None
    family: str | None


INSTRUCTIONS = row_schema(InstructionRow)


def label_of(row: InstructionRow) -> str:
    """The label of a labelled row. Raises `ValueError` for a general instruction."""
    if row["label"] is None:
        raise ValueError(f"row {row['row_id']} has no label")
    return row["label"]
