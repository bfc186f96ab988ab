"""What rows.judging promises: a good row is read as it is, a bad row is set aside with its reason."""

import math
from typing import Any

from runtime.errors import StudyError, shown

import pytest
from pydantic import TypeAdapter

from rows.judging import general_check, labelled_check
from rows.prepared import REJECTED
from rows.raw_row import RawRow
from rows.row import Row, SetAside, rejected_row
from rows.tables import table_of
from settings.sources import GeneralFiles, GeneralRows, LabelledRows

LABELLED = TypeAdapter(LabelledRows).validate_python(
    {
        "columns": {"text": "text", "label": "label"},
        "label_values": {0: "negative", "4": "positive", True: "positive"},
    }
)
RATED = TypeAdapter(LabelledRows).validate_python(
    {
        "columns": {"text": "text", "rating": "rating"},
        "bands": {"negative": {"max": -0.5}, "positive": {"min": 0.5}},
    }
)


def judge(source: LabelledRows, raw: RawRow) -> Row | SetAside:
    columns = {"text": "", "label": "", "rating": ""}
    return labelled_check([RawRow(raw.source, 0, columns)], source)(raw)


def judge_values(values: dict[str, Any], source: LabelledRows = LABELLED) -> Row | SetAside:
    return judge(source, RawRow("a.csv", 7, values))


# --- labelled rows ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"text": None, "label": 0}, "text is null"),
        ({"label": 0}, "text is null"),
        ({"text": 5, "label": 0}, "text is not text but int"),
        ({"text": ["a"], "label": 0}, "text is not text but list"),
        ({"text": "", "label": 0}, "text is blank"),
        ({"text": " \n\t\u00a0", "label": 0}, "text is blank"),
        ({"text": "a\0b", "label": 0}, "text contains a NUL character"),
        (
            {"text": "cut \ud83d", "label": 0},
            "text contains half of a character (a lone surrogate)",
        ),
        (
            {"text": "it\x92s", "label": 0},
            "text contains the control character U+0092: text in cp1252 was once read as latin-1: read it "
            "as cp1252, and write the file again",
        ),
        ({"text": "a", "label": None}, "label is null"),
        ({"text": "a"}, "label is null"),
        ({"text": "a", "label": math.nan}, "label is null"),
        ({"text": "a", "label": 2}, "label 2 is not one of 0, 4, true"),
        ({"text": "a", "label": ""}, "label '' is not one of 0, 4, true"),
        ({"text": "a", "label": "Positive"}, "label 'Positive' is not one of 0, 4, true"),
        ({"text": "a", "label": [0]}, "label [0] is not one of 0, 4, true"),
        ({"text": "a", "label": False}, "label False is not one of 0, 4, true"),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason(values: dict[str, Any], reason: str) -> None:
    aside = judge_values(values)
    assert isinstance(aside, SetAside)
    assert (aside.kind, aside.source, aside.number) == ("rejected", "a.csv", 7)
    assert aside.reason == reason


@pytest.mark.parametrize("rating", [None, "", "high", math.nan, "nan", [1], 10**400])
def test_a_rating_that_is_not_a_number_is_rejected(rating: object) -> None:
    aside = judge_values({"text": "a", "rating": rating}, RATED)
    assert isinstance(aside, SetAside)
    assert aside.kind == "rejected"
    assert aside.reason == f"rating {shown(rating)} is not a number"


def test_a_row_that_could_not_be_read_is_rejected_with_that_reason() -> None:
    aside = judge(LABELLED, RawRow("a.csv", 3, {"": "x"}, "has 1 fields, not 2"))
    assert isinstance(aside, SetAside)
    assert (aside.kind, aside.reason) == ("rejected", "has 1 fields, not 2")
    assert aside.content == '{"": "x"}'


def test_a_line_separator_of_unicode_is_text() -> None:
    assert isinstance(judge_values({"text": "one\x85two\u2028three", "label": 0}), Row)


def test_a_row_with_any_content_can_be_written_when_set_aside() -> None:
    results = [
        judge_values({"text": "cut \ud83d", "label": 0, "more\udc00": b"bytes", "none": math.nan}),
        judge(LABELLED, RawRow("a.csv", 1, {"": "\ud83d"}, "is not a JSON object")),
        judge_values({"text": "a", "label": "\ud83d"}),
    ]
    rows = [rejected_row(result) for result in results if isinstance(result, SetAside)]
    assert len(table_of(rows, REJECTED)) == 3
    assert r"cut \ud83d" in rows[0]["content"]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        *((spelling, "negative") for spelling in (0, "0", 0.0, " 0 ")),
        *((spelling, "positive") for spelling in (4, "4", 4.0, True, "true")),
    ],
)
def test_a_label_is_the_same_however_a_file_spells_it(value: object, label: str) -> None:
    good = judge_values({"text": "a", "label": value})
    assert isinstance(good, Row)
    assert good.values == {"text": "a", "label": label, "agreement": None}
    assert good.stratum == label


@pytest.mark.parametrize(
    ("rating", "label"),
    [
        *((rating, "negative") for rating in (-math.inf, -4, -0.5, "-0.5")),
        *((rating, None) for rating in (-0.49, 0, 0.49)),
        *((rating, "positive") for rating in (0.5, "3e0", math.inf)),
    ],
)
def test_a_rating_outside_the_bands_is_neutral(rating: object, label: str | None) -> None:
    result = judge_values({"text": "a", "rating": rating}, RATED)
    if label is not None:
        assert isinstance(result, Row)
        assert result.values["label"] == label
    else:
        assert isinstance(result, SetAside)
        assert (result.kind, result.reason) == ("neutral", f"neutral: rating {rating:g}")


@pytest.mark.parametrize(
    ("ratings", "agreement"),
    [
        (None, None),
        ("[2, 1, 0.5, -1]", 0.75),
        ([2, 1], 1.0),
        ("[0, 0.4, -0.4]", None),  # no rater names a label
        ("[0, 0, 3]", 1.0),
        ("[-1, -2]", 0.0),
        ("[]", None),
    ],
)
def test_agreement_is_the_share_of_raters_who_are_not_neutral(
    ratings: object, agreement: float | None
) -> None:
    good = judge(RATED, RawRow("a.csv", 1, {"text": "a", "rating": 1}, ratings=ratings))
    assert isinstance(good, Row)
    assert good.values["agreement"] == agreement


@pytest.mark.parametrize("ratings", ["", "[1, 2", "5", '["x"]', "[null]", 5, f"[{10**400}]"])
def test_ratings_that_are_not_a_list_of_numbers_are_rejected(ratings: object) -> None:
    aside = judge(RATED, RawRow("a.csv", 1, {"text": "a", "rating": 1}, ratings=ratings))
    assert isinstance(aside, SetAside)
    assert aside.kind == "rejected"
    assert aside.reason == f"ratings {shown(ratings)} is not a list of numbers"


def test_a_column_that_happens_to_be_called_ratings_contains_no_ratings() -> None:
    good = judge_values({"text": "a", "label": 0, "ratings": "five stars"})
    assert isinstance(good, Row)
    assert good.values["agreement"] is None


def test_a_labelled_column_of_the_settings_that_is_missing_stops() -> None:
    for source, column in ((LABELLED, "label"), (RATED, "rating")):
        with pytest.raises(StudyError, match=rf"b\.csv: has no column {column}; it has text"):
            labelled_check([RawRow("b.csv", 1, {"text": "a"})], source)


def test_the_texts_of_several_columns_become_one_text_with_a_blank_line() -> None:
    columns = {"text": ["title", "body"], "label": "label"}
    pair = LabelledRows.model_validate({"columns": columns, "label_values": {0: "a", 1: "b"}})
    raw = [
        RawRow("a.csv", 1, {"title": "One", "body": "Two\n\nthree", "label": 0}),
        RawRow("a.csv", 2, {"title": "One", "body": " ", "label": 0}),
        RawRow("a.csv", 3, {"title": None, "body": "Two", "label": 0}),
    ]
    check = labelled_check(raw, pair)
    good = check(raw[0])
    assert isinstance(good, Row)
    assert good.values == {"text": "One\n\nTwo\n\nthree", "label": "a", "agreement": None}
    assert good.texts == ("One", "Two\n\nthree")
    assert good.key == "onetwothree"
    reasons = [aside.reason for aside in map(check, raw[1:]) if isinstance(aside, SetAside)]
    assert reasons == ["body is blank", "title is null"]
    with pytest.raises(StudyError, match="has no column body; it has title, label"):
        labelled_check([RawRow("a.csv", 1, {"title": "One", "label": 0})], pair)


# --- general rows -----------------------------------------------------------------------------


def general_source(**columns: str | None) -> GeneralRows:
    content = {"kind": "files", "splits": {"train": "g.jsonl"}, "test_share": 0.5}
    return GeneralFiles.model_validate(content | {"columns": columns})


def judge_general(values: dict[str, Any], **columns: str | None) -> Row | SetAside:
    all_columns = dict.fromkeys(("instruction", "input", "output", "context"), "")
    check = general_check([RawRow("g.jsonl", 0, all_columns)], general_source(**columns))
    return check(RawRow("g.jsonl", 1, values))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"instruction": None, "output": "b"}, "instruction is null"),
        ({"instruction": " ", "output": "b"}, "instruction is blank"),
        ({"instruction": "a", "output": ""}, "output is blank"),
        ({"instruction": "a"}, "output is null"),
        ({"instruction": "a", "output": 5}, "output is not text but int"),
        ({"instruction": "a", "output": "b", "input": 5}, "input is not text but int"),
        ({"instruction": "a", "output": "b", "input": "\0"}, "input contains a NUL character"),
        ({"instruction": "a", "output": "\udc00"}, "output contains half of a character"),
    ],
)
def test_a_bad_instruction_is_rejected_with_its_reason(values: dict[str, Any], reason: str) -> None:
    aside = judge_general(values)
    assert isinstance(aside, SetAside)
    assert aside.kind == "rejected"
    assert aside.reason.startswith(reason)


@pytest.mark.parametrize("blank", [None, "", " \n"])
def test_an_instruction_without_input_has_an_empty_one(blank: str | None) -> None:
    good = judge_general({"instruction": "a", "output": "b", "input": blank})
    assert isinstance(good, Row)
    assert good.values == {"instruction": "a", "input": "", "output": "b", "family": None}
    assert good.key == "a"


def test_an_input_column_may_be_renamed_or_left_out() -> None:
    values = {"instruction": "a", "output": "b", "input": "i", "context": "c"}
    cases: list[tuple[dict[str, str | None], str]] = [
        ({}, "i"),
        ({"input": "context"}, "c"),
        ({"input": None}, ""),
    ]
    for columns, expected in cases:
        good = judge_general(values, **columns)
        assert isinstance(good, Row)
        assert good.values["input"] == expected


def test_an_input_column_that_a_file_has_twice_stops() -> None:
    values = {"instruction": "a", "output": "b"}
    raw = [RawRow("g.csv", 1, values, repeated=frozenset({"input"}))]
    with pytest.raises(StudyError, match=r"g\.csv: the header names input twice"):
        general_check(raw, general_source())
    general_check(raw, general_source(input=None))


def test_an_input_column_is_required_only_if_the_settings_name_it() -> None:
    raw = [RawRow("g.jsonl", 1, {"instruction": "a", "output": "b"})]
    general_check(raw, general_source())
    with pytest.raises(StudyError, match="has no column context"):
        general_check(raw, general_source(input="context"))
