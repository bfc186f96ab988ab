"""Checks of single rows: which labelled rows and which general rows of a source are good."""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from runtime.errors import StudyError, shown

from rows.normalise import normalised
from rows.raters import count_raters
from rows.reading import RawRow, require_columns
from rows.row import Check, Kind, Row, SetAside, set_aside
from settings.sources import Band, GeneralRows, LabelledRows

# Whole numbers are often written as floats if the column has missing values.
_WHOLE_NUMBER = re.compile(r"-?[0-9]+\.0+")
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_YAML_BOOLEANS = ("yes", "no", "on", "off")


class _UnusableError(Exception):
    """A row cannot be used. `reason` is written to rejected.parquet."""

    def __init__(self, reason: str, kind: Kind = "rejected") -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


def labelled_check(raw_rows: Iterable[RawRow], source: LabelledRows) -> Check:
    """The check of labelled rows of `source`: the text is not blank, the label is known.

    Raises `StudyError` if `raw_rows` lack a column that `source` names, or if two labels of
    `source.label_values` have the same value.
    """
    columns = source.columns
    label_column = columns.label or str(columns.rating)
    require_columns(raw_rows, [columns.text, label_column])
    if columns.label is not None:
        read_label = _label_reader(columns.label, source.label_values)
    else:
        read_label = _rating_reader(str(columns.rating), source.bands)

    def check(row: RawRow) -> Row | SetAside:
        try:
            text = _text(row, columns.text)
            label = read_label(row.values.get(label_column))
            ratings = _ratings(row.ratings)
        except _UnusableError as error:
            return set_aside(error.kind, row, error.reason)
        counts = count_raters(ratings, label, source.bands)
        agreement = counts["agreeing"] / counts["named"] if counts["named"] else None
        values = {"text": text, "label": label, "agreement": agreement}
        return Row(row.source, row.number, normalised(text), label, values, ratings=ratings)

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
    require_columns(raw_rows, required)

    def check(row: RawRow) -> Row | SetAside:
        try:
            instruction = _text(row, columns.instruction)
            output = _text(row, columns.output)
            input = _optional_text(row, columns.input)
        except _UnusableError as error:
            return set_aside(error.kind, row, error.reason)
        values = {"instruction": instruction, "input": input, "output": output, "family": None}
        key = normalised(f"{instruction}\n{input}")
        return Row(row.source, row.number, key, str(row.values.get("kind")), values)

    return check


def _text(row: RawRow, column: str) -> str:
    """The text of a column. Raises `_UnusableError` for a text that is missing, blank or invalid."""
    if row.problem is not None:
        raise _UnusableError(row.problem)
    text = row.values.get(column)
    if text is None:
        raise _UnusableError(f"{column} is null")
    if isinstance(text, str) and not text.strip():
        raise _UnusableError(f"{column} is blank")
    return _valid_text(column, text)


def _optional_text(row: RawRow, column: str | None) -> str:
    """The text of a column, "" if it is missing or blank. Raises `_UnusableError` for invalid text."""
    value = None if column is None else row.values.get(column)
    if value is None:
        return ""
    text = _valid_text(str(column), value)
    return text if text.strip() else ""


def _valid_text(column: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _UnusableError(f"{column} is not text but {type(value).__name__}")
    if "\x00" in value:
        raise _UnusableError(f"{column} contains a NUL character")
    if _LONE_SURROGATE.search(value):
        raise _UnusableError(f"{column} contains half of a character (a lone surrogate)")
    return value


def _label_reader(column: str, label_values: Mapping[Any, str]) -> Callable[[Any], str]:
    """The function from a value of the label column to the label."""
    labels: dict[str, str] = {}
    for value, label in label_values.items():
        if labels.setdefault(_spelling(value), label) != label:
            raise StudyError(
                f"sources.labelled.label_values: {shown(value)} means {labels[_spelling(value)]} and "
                f"also {label}: 1, 1.0 and '1' are the same value"
            )
    known_values = ", ".join(labels)
    has_booleans = any(isinstance(value, bool) for value in label_values)

    def read_label(value: Any) -> str:
        if value is None or value != value:  # NaN: some Parquet files write null as NaN
            raise _UnusableError(f"{column} is null")
        label = labels.get(_spelling(value))
        if label is not None:
            return label
        reason = f"{column} {shown(value)} is not one of {known_values}"
        if has_booleans and isinstance(value, str) and value.lower() in _YAML_BOOLEANS:
            reason += " (YAML reads yes, no, on, off as true or false: quote them in label_values)"
        raise _UnusableError(reason)

    return read_label


def _rating_reader(column: str, bands: Mapping[str, Band]) -> Callable[[Any], str]:
    """The function from a rating to the label whose band contains the rating."""

    def read_label(value: Any) -> str:
        try:
            rating = float(value)
        except (TypeError, ValueError, OverflowError):
            rating = math.nan
        if math.isnan(rating):
            raise _UnusableError(f"{column} {shown(value)} is not a number")
        for label, band in bands.items():
            if band.holds(rating):
                return label
        raise _UnusableError(f"neutral: {column} {rating:g}", "neutral")

    return read_label


def _ratings(value: Any) -> tuple[float, ...]:
    """Every rater's rating, from a list or from the JSON of a list; empty for None.

    Raises `_UnusableError` for any other value, and for ratings that are not finite numbers.
    """
    if value is None:
        return ()
    try:
        numbers = json.loads(value) if isinstance(value, str) else value
        ratings = tuple(map(float, numbers)) if isinstance(numbers, list) else (math.nan,)
    except (TypeError, ValueError, OverflowError, RecursionError):
        ratings = (math.nan,)
    if not all(map(math.isfinite, ratings)):
        raise _UnusableError(f"ratings {shown(value)} is not a list of numbers")
    return ratings


def _spelling(value: Any) -> str:
    """The same string for all spellings of a label value in files and in YAML.

    1, 1.0, "1" and "1.0" are the same value. True and "true" are the same value.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    return text.partition(".")[0] if _WHOLE_NUMBER.fullmatch(text) else text
