"""Read the rows of one JSON file: one object a line (JSON Lines), or one list of objects."""

import json
import re
from collections.abc import Iterator
from typing import Any

from runtime.errors import StudyError, shown

from rows.raw_row import RawRow

MAX_DEPTH = 20  # levels of lists and objects in a row
_BLANK = re.compile(r"[ \t\r\n]*")
# Finds the end of an object whose values are refused: a key that occurs twice, a number too long.
_LENIENT = json.JSONDecoder(parse_int=str, strict=False)


def read_json(text: str, name: str) -> Iterator[RawRow]:
    """The rows of a file; `name` is the file's name in messages. A bad object gets a problem.

    A row's number is its line, or its place in the list. Raises `StudyError` for a list that is cut off
    or otherwise no JSON, and for a file that is one object over several lines.
    """
    start = text.lstrip()
    first_line = start.partition("\n")[0]
    if start.startswith("[") and not (first_line != start.rstrip() and _is_json(first_line)):
        yield from _read_list(text, name)
        return
    if start.startswith("{") and not _is_json(first_line) and _is_json(text):
        raise StudyError(
            f"{name}: is one JSON object over several lines: write a list of objects, or each object in "
            "one line"
        )
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _row(line, name, number)


def _read_list(text: str, name: str) -> Iterator[RawRow]:
    """The objects of a list, read one by one, so that a bad object is no more than a bad row."""
    place = _after_blanks(text, text.index("[") + 1)
    number = 0
    while text[place : place + 1] != "]" or number:
        number += 1
        try:
            end = _LENIENT.raw_decode(text, place)[1]
        except (ValueError, RecursionError) as error:
            raise _not_a_list(name, text, place, number, str(error)) from None
        yield _row(text[place:end], name, number)
        place = _after_blanks(text, end)
        if text[place : place + 1] != ",":
            break
        place = _after_blanks(text, place + 1)
    if text[place : place + 1] != "]":
        raise _not_a_list(name, text, place, number, "Expecting ',' or ']'")
    rest = _after_blanks(text, place + 1)
    if rest < len(text):
        raise _not_a_list(name, text, rest, number, "Extra data after the list")


def _not_a_list(name: str, text: str, place: int, number: int, reason: str) -> StudyError:
    line = text.count("\n", 0, place) + 1
    return StudyError(
        f"{name}: begins as a JSON list, but cannot be read at object {number} (line {line}): {reason}: "
        "mend the file, or write one object a line"
    )


def _row(text: str, name: str, number: int) -> RawRow:
    """One object as a row."""
    try:
        values = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        return RawRow(name, number, {"": text}, f"is not valid JSON: {error}")
    if not isinstance(values, dict):
        return RawRow(name, number, {"": text}, "is not a JSON object")
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_too_deep(values):
        return RawRow(name, number, {"": text}, f"is nested more than {MAX_DEPTH} levels deep")
    return RawRow(name, number, values)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _after_blanks(text: str, place: int) -> int:
    match = _BLANK.match(text, place)
    return match.end() if match else place


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shown(repeated)} occurs twice")
    return values


def _is_too_deep(values: Any) -> bool:
    level = [values]
    for _ in range(MAX_DEPTH + 1):
        containers = [value for value in level if isinstance(value, dict | list)]
        level = [
            inner
            for container in containers
            for inner in (container.values() if isinstance(container, dict) else container)
        ]
    return bool(level)
