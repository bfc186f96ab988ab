"""What rows.label_values promises: all spellings of a value are one value, and none is guessed."""

import unicodedata
from typing import Any

from runtime.errors import StudyError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rows.label_values import label_reader, spelling
from rows.raw_row import RawRow
from rows.row import UnusableError
from settings.sources import LabelledRows

COMPOSED, DECOMPOSED = "f\u00e9lin", "fe\u0301lin"


def reader(values: list[Any], names: list[str] | None = None, **source: Any) -> Any:
    """The reader of a column `label` with these values."""
    columns = {"text": "text", "label": "label"}
    rows = [RawRow("a.csv", at, {"label": value}) for at, value in enumerate(values, start=1)]
    section = LabelledRows.model_validate({"columns": columns, **source})
    return label_reader("label", section, rows, names or [])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((value, "1") for value in (1, 1.0, "1", "1.0", "+1", "+1.0", " 1 ")),
        *((value, "-1") for value in (-1, -1.0, "-1", "-1.00")),
        *((value, "true") for value in (True, "true")),
        *((value, value) for value in ("+-1", "++1", "+", "1.5", "+1.5", "1e0", "١")),
        (DECOMPOSED, COMPOSED),
    ],
)
def test_a_value_has_one_spelling(value: object, expected: str) -> None:
    assert spelling(value) == expected


@settings(deadline=None)
@given(st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans())
def test_the_spelling_of_a_spelling_is_the_same(value: object) -> None:
    assert spelling(spelling(value)) == spelling(value)


@settings(deadline=None)
@given(st.text(min_size=1))
def test_a_text_and_its_decomposed_form_are_one_value(text: str) -> None:
    assert spelling(unicodedata.normalize("NFD", text)) == spelling(text)


def test_a_label_is_found_in_either_unicode_form() -> None:
    for in_file, in_settings in ((COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)):
        read_label = reader([in_file], label_values={in_settings: "cat", "x": "dog"})
        assert read_label(in_file) == "cat"


# --- labels that are left out -----------------------------------------------------------------


def test_an_ignored_label_is_neutral_and_not_a_bad_row() -> None:
    read_label = reader([], label_values={"a": "A", "b": "B"}, ignore_labels=["neutral", 3])
    for value in ("neutral", " neutral", 3, "3.0"):
        with pytest.raises(UnusableError) as raised:
            read_label(value)
        assert raised.value.kind == "neutral"
        assert raised.value.reason == f"neutral: label {value!r} is in ignore_labels"
    with pytest.raises(UnusableError, match="label 'Neutral' is not one of a, b") as raised:
        read_label("Neutral")
    assert raised.value.kind == "rejected"


def test_a_value_cannot_be_a_label_and_ignored() -> None:
    with pytest.raises(StudyError, match=r"ignore_labels: '1\.0' is also a value of the label A"):
        reader([], label_values={1: "A", 2: "B"}, ignore_labels=["1.0"])


# --- labels as they stand ---------------------------------------------------------------------


def test_auto_takes_the_values_as_labels_in_the_spelling_of_the_names() -> None:
    names = ["1", "2", DECOMPOSED]
    values = [1, "+2", "2.0", COMPOSED, DECOMPOSED, "ignored"]
    read_label = reader(values, names, label_values="auto", ignore_labels=["ignored"])
    assert [read_label(value) for value in values[:-1]] == ["1", "2", "2", DECOMPOSED, DECOMPOSED]
    with pytest.raises(UnusableError, match="is in ignore_labels"):
        read_label("ignored")


def test_auto_stops_with_every_value_that_the_names_lack_and_its_rows() -> None:
    values = ["a"] * 5 + ["b"] * 4 + ["c"] * 3 + ["B"] + [None, "", " ", float("nan")]
    with pytest.raises(StudyError) as raised:
        reader(values, ["a", "x"], label_values="auto")
    assert str(raised.value) == (
        "sources.labelled.label_values is auto, but labels.names lacks values of the column label: "
        "'b' (4 rows), 'c' (3 rows), 'B' (1 rows): add the values to labels.names, or to "
        "sources.labelled.ignore_labels to leave their rows out"
    )
    with pytest.raises(StudyError, match=r"'19' \(1 rows\) and 80 more values: add"):
        reader(list(range(100)), ["a"], label_values="auto")


def test_a_blank_value_is_a_bad_row_where_labels_stand_as_they_are() -> None:
    read_label = reader(["a", ""], ["a", "b"], label_values="auto")
    for value, reason in (("", "label '' is not one of a, b"), (None, "label is null")):
        with pytest.raises(UnusableError, match=reason) as raised:
            read_label(value)
        assert raised.value.kind == "rejected"
