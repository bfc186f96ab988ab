"""From the values of a label column to the labels of the study."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from runtime.errors import StudyError, shown

from rows.raw_row import RawRow
from rows.row import UnusableError
from settings.sources import LabelledRows

# Whole numbers are often written as floats if the column has missing values.
_WHOLE_NUMBER = re.compile(r"(?:\+(?!-))?(-?[0-9]+)(?:\.0+)?")
_YAML_BOOLEANS = ("yes", "no", "on", "off")
_SETTINGS = "sources.labelled"
_SHOWN = 20  # values that a message names


def label_reader(
    column: str, source: LabelledRows, rows: Iterable[RawRow], names: Sequence[str]
) -> Callable[[Any], str]:
    """The function from a value of the label column to the label; it raises `UnusableError`.

    Values of `ignore_labels` raise `UnusableError` of the kind neutral. `names`: the labels of the study,
    which are the values of the column if `label_values` is auto. Raises `StudyError` if two settings
    disagree about a value, or if `label_values` is auto and `rows` contain a value that is in neither
    `names` nor `ignore_labels`.
    """
    is_auto = source.label_values == "auto"
    label_values: Mapping[Any, str] = (
        source.label_values
        if isinstance(source.label_values, dict)
        else {name: name for name in names}
    )
    labels = _labels_by_spelling(label_values)
    ignored = {spelling(value) for value in source.ignore_labels}
    for value in source.ignore_labels:
        if spelling(value) in labels:
            label = labels[spelling(value)]
            raise StudyError(
                f"{_SETTINGS}.ignore_labels: {shown(value)} is also a value of the label {label}: remove it "
                "from one of the two"
            )
    if is_auto:
        _require_known(column, rows, labels.keys() | ignored)
    known_values = ", ".join(labels)
    has_booleans = any(isinstance(value, bool) for value in (*label_values, *source.ignore_labels))

    def read_label(value: Any) -> str:
        if _is_null(value):
            raise UnusableError(f"{column} is null")
        key = spelling(value)
        if key in labels:
            return labels[key]
        if key in ignored:
            raise UnusableError(f"neutral: {column} {shown(value)} is in ignore_labels", "neutral")
        reason = f"{column} {shown(value)} is not one of {known_values}"
        if has_booleans and isinstance(value, str) and value.lower() in _YAML_BOOLEANS:
            reason += " (YAML reads yes, no, on, off as true or false: quote them in label_values)"
        raise UnusableError(reason)

    return read_label


def spelling(value: Any) -> str:
    """The same string for all spellings of a label value in files and in YAML.

    1, 1.0, "1", "1.0" and "+1" are the same value. True and "true" are the same value. Texts that Unicode
    writes in two ways, such as é, are the same value: the string is in NFC.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = unicodedata.normalize("NFC", str(value).strip())
    number = _WHOLE_NUMBER.fullmatch(text)
    return number[1] if number else text


def _labels_by_spelling(label_values: Mapping[Any, str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for value, label in label_values.items():
        if labels.setdefault(spelling(value), label) != label:
            raise StudyError(
                f"{_SETTINGS}.label_values: {shown(value)} means {labels[spelling(value)]} and "
                f"also {label}: 1, 1.0 and '1' are the same value"
            )
    return labels


def _require_known(column: str, rows: Iterable[RawRow], known: set[str]) -> None:
    """Raise `StudyError` if a row has a value that is not in `known`; a blank value is only a bad row."""
    values = [row.values.get(column) for row in rows if row.problem is None]
    counts = Counter(spelling(value) for value in values if not _is_null(value))
    unknown = [
        f"{shown(value)} ({count:,} rows)"
        for value, count in counts.most_common()
        if value and value not in known
    ]
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more values" if len(unknown) > _SHOWN else ""
        raise StudyError(
            f"{_SETTINGS}.label_values is auto, but labels.names lacks values of the column {column}: "
            f"{', '.join(unknown[:_SHOWN])}{more}: add the values to labels.names, or to "
            f"{_SETTINGS}.ignore_labels to leave their rows out"
        )


def _is_null(value: Any) -> bool:
    return value is None or value != value  # NaN: some Parquet files write null as NaN
