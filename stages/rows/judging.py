"""Checks of single rows: which labelled rows and which general rows of a source are good."""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from runtime.errors import shown

from rows.label_values import label_reader
from rows.normalise import normalised
from rows.raters import count_raters
from rows.raw_row import RawRow, require_columns
from rows.row import Check, Row, SetAside, UnusableError, set_aside
from settings.sources import Band, GeneralRows, LabelledRows

BETWEEN_TEXTS = "\n\n"  # a blank line between the texts of several columns
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
# U+0085 is missing: Unicode has it as a line separator.
_C1_CONTROL = re.compile(r"[\x80-\x84\x86-\x9f]")


def labelled_check(
    raw_rows: Iterable[RawRow], source: LabelledRows, names: Sequence[str] = ()
) -> Check:
    """The check of labelled rows of `source`: no text is blank, the label is known.

    The texts of several columns become one text, with a blank line between them. `names`: the labels of
    the study, which `label_values: auto` needs. `raw_rows` may be iterated twice. Raises `StudyError` if
    `raw_rows` lack a column that `source` names, and for label values as `label_reader` does.
    """
    columns = source.columns
    label_column = columns.label or str(columns.rating)
    require_columns(raw_rows, [*columns.text, label_column])
    if columns.label is not None:
        read_label = label_reader(columns.label, source, raw_rows, names)
    else:
        read_label = _rating_reader(str(columns.rating), source.bands)

    def check(row: RawRow) -> Row | SetAside:
        try:
            texts = tuple(_text(row, column) for column in columns.text)
            label = read_label(row.values.get(label_column))
            ratings = _ratings(row.ratings)
        except UnusableError as error:
            return set_aside(error.kind, row, error.reason)
        text = BETWEEN_TEXTS.join(texts)
        counts = count_raters(ratings, label, source.bands)
        agreement = counts["agreeing"] / counts["named"] if counts["named"] else None
        values = {"text": text, "label": label, "agreement": agreement}
        return Row(
            row.source,
            row.number,
            normalised(text),
            label,
            values,
            ratings=ratings,
            texts=texts if len(texts) > 1 else (),
        )

    return check


def general_check(raw_rows: Iterable[RawRow], source: GeneralRows) -> Check:
    """The check of general rows of `source`: instruction and output are not blank.

    The input may be blank or missing. Raises `StudyError` if `raw_rows` lack a column that `source`
    names.
    """
    columns = source.columns
    required = [columns.instruction, columns.output]
    if columns.input is not None and "input" in columns.model_fields_set:
        required.append(columns.input)
    optional = [] if columns.input is None else [columns.input]
    require_columns(raw_rows, required, optional)

    def check(row: RawRow) -> Row | SetAside:
        try:
            instruction = _text(row, columns.instruction)
            output = _text(row, columns.output)
            input = _optional_text(row, columns.input)
        except UnusableError as error:
            return set_aside(error.kind, row, error.reason)
        values = {"instruction": instruction, "input": input, "output": output, "family": None}
        key = normalised(f"{instruction}\n{input}")
        return Row(row.source, row.number, key, str(row.values.get("kind")), values)

    return check


def _text(row: RawRow, column: str) -> str:
    """The text of a column. Raises `UnusableError` for a text that is missing, blank or invalid."""
    if row.problem is not None:
        raise UnusableError(row.problem)
    text = row.values.get(column)
    if text is None:
        raise UnusableError(f"{column} is null")
    if isinstance(text, str) and not text.strip():
        raise UnusableError(f"{column} is blank")
    return _valid_text(column, text)


def _optional_text(row: RawRow, column: str | None) -> str:
    """The text of a column, "" if it is missing or blank. Raises `UnusableError` for invalid text."""
    value = None if column is None else row.values.get(column)
    if value is None:
        return ""
    text = _valid_text(str(column), value)
    return text if text.strip() else ""


def _valid_text(column: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UnusableError(f"{column} is not text but {type(value).__name__}")
    if "\x00" in value:
        raise UnusableError(f"{column} contains a NUL character")
    if _LONE_SURROGATE.search(value):
        raise UnusableError(f"{column} contains half of a character (a lone surrogate)")
    if control := _C1_CONTROL.search(value):
        raise UnusableError(
            f"{column} contains the control character U+{ord(control[0]):04X}: text in cp1252 was once read "
            "as latin-1: read it as cp1252, and write the file again"
        )
    return value


def _rating_reader(column: str, bands: Mapping[str, Band]) -> Callable[[Any], str]:
    """The function from a rating to the label whose band contains the rating."""

    def read_label(value: Any) -> str:
        try:
            rating = float(value)
        except (TypeError, ValueError, OverflowError):
            rating = math.nan
        if math.isnan(rating):
            raise UnusableError(f"{column} {shown(value)} is not a number")
        for label, band in bands.items():
            if band.holds(rating):
                return label
        raise UnusableError(f"neutral: {column} {rating:g}", "neutral")

    return read_label


def _ratings(value: Any) -> tuple[float, ...]:
    """Every rater's rating, from a list or from the JSON of a list; empty for None.

    Raises `UnusableError` for any other value, and for ratings that are not finite numbers.
    """
    if value is None:
        return ()
    try:
        numbers = json.loads(value) if isinstance(value, str) else value
        ratings = tuple(map(float, numbers)) if isinstance(numbers, list) else (math.nan,)
    except (TypeError, ValueError, OverflowError, RecursionError):
        ratings = (math.nan,)
    if not all(map(math.isfinite, ratings)):
        raise UnusableError(f"ratings {shown(value)} is not a list of numbers")
    return ratings
