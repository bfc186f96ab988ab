"""Checked instructions: what is asked, the checks of an answer, and a gold answer that passes them.

The instructions are data: `data/raw/ten_instructions.yaml` is shown answer by answer, and
`data/raw/hundred_instructions.yaml` gives shares with intervals. Both files may have any length.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from runtime.errors import StudyError, shown
from runtime.yaml_file import read_yaml

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from tasks.checks import bind, faults, passes

TEN: Final = Path("data/raw/ten_instructions.yaml")
HUNDRED: Final = Path("data/raw/hundred_instructions.yaml")
_BEGINNING: Final = 40  # characters of an instruction that a message repeats


def _slug(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text):
        raise PydanticCustomError(
            "slug", "write small letters and digits, words joined by hyphens: five-fruits"
        )
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "is blank: write the text")
    return text


Slug = Annotated[str, AfterValidator(_slug)]
Text = Annotated[str, AfterValidator(_not_blank)]


class CheckedInstruction(BaseModel):
    """One entry of a file of instructions.

    `group`: the kind of task, or None if the file has no groups. Answers within a group are not
    independent. `checks`: the arguments of `tasks.checks.passes`. `gold`: passes all checks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Slug
    group: Slug | None = None
    instruction: Text
    input: str
    checks: Annotated[list[dict[str, Any]], Field(min_length=1)]
    gold: Text


def results(entry: CheckedInstruction, answer: str) -> list[tuple[str, bool]]:
    """(kind, whether the answer passes) of every check of an instruction, in the file's order."""
    return [
        (check["kind"], passes(check, answer, entry.instruction, entry.input))
        for check in entry.checks
    ]


def followed(entry: CheckedInstruction, answer: str) -> bool:
    """Whether an answer follows an instruction: whether the answer passes all checks."""
    return all(passed for _, passed in results(entry, answer))


def load_instructions(path: Path) -> list[CheckedInstruction]:
    """Read a file of instructions, in the file's order.

    Raises `StudyError` naming the file, the entry, the key and how to mend the mistake. A gold
    answer that fails a check of its own instruction is a mistake too.
    """
    rows = read_yaml(path)
    if not isinstance(rows, list) or not rows:
        keys = ", ".join(CheckedInstruction.model_fields)
        raise StudyError(f"{path}: write a list of instructions, each with the keys {keys}")
    places = [_place(path, number, row) for number, row in enumerate(rows, start=1)]
    entries = [_entry(place, row) for place, row in zip(places, rows, strict=True)]
    _refuse_repeats(places, entries)
    _refuse_some_groups(places, entries)
    return entries


def _place(path: Path, number: int, row: object) -> str:
    """File, number, id and beginning of an entry, as a message names them."""
    place = f"{path}: instruction {number}"
    if not isinstance(row, dict):
        return place
    if "id" in row:
        place += f", {shown(row['id'])}"
    if isinstance(row.get("instruction"), str):
        text = " ".join(row["instruction"].split())
        place += f" ({shown(text if len(text) <= _BEGINNING else text[:_BEGINNING] + '…')})"
    return place


def _entry(place: str, row: object) -> CheckedInstruction:
    """One entry, with checks that can be called and a gold answer that passes them."""
    keys = ", ".join(CheckedInstruction.model_fields)
    if not isinstance(row, dict):
        raise StudyError(f"{place}: {shown(row)} is no mapping: write the keys {keys}")
    try:
        entry = CheckedInstruction.model_validate(row)
    except ValidationError as error:
        raise StudyError(f"{place}: {faults(error)}; its keys are {keys}") from None
    for number, check in enumerate(entry.checks, start=1):
        try:
            bind(check)
        except ValueError as error:
            raise StudyError(f"{place}: checks: number {number}: {error}") from None
    failed = [kind for kind, passed in results(entry, entry.gold) if not passed]
    if failed:
        raise StudyError(
            f"{place}: gold = {shown(entry.gold)}: fails {', '.join(failed)}: change the gold answer "
            "or the check"
        )
    return entry


def _refuse_repeats(places: Sequence[str], entries: Sequence[CheckedInstruction]) -> None:
    """Raise `StudyError` if an id, or an instruction with the same input, occurs twice."""
    number_of: dict[tuple[str, ...], int] = {}
    for number, (place, entry) in enumerate(zip(places, entries, strict=True), start=1):
        text = tuple(" ".join(part.casefold().split()) for part in (entry.instruction, entry.input))
        for key, what in (((entry.id,), "id"), (text, "instruction and input")):
            if key in number_of:
                raise StudyError(
                    f"{place}: {what}: the same as of instruction {number_of[key]}: change or remove "
                    "one of the two"
                )
            number_of[key] = number


def _refuse_some_groups(places: Sequence[str], entries: Sequence[CheckedInstruction]) -> None:
    """Raise `StudyError` if some entries have a group and others have none."""
    if all(entry.group is None for entry in entries):
        return
    for place, entry in zip(places, entries, strict=True):
        if entry.group is None:
            raise StudyError(f"{place}: group: missing: other instructions of this file have one")
