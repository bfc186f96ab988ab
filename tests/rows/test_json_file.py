"""What rows.json_file promises: a list of objects gives the same rows as one object a line."""

import json
from typing import Any

from runtime.errors import StudyError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rows.json_file import read_json
from rows.raw_row import RawRow


def read(text: str) -> list[RawRow]:
    return list(read_json(text, "a.json"))


scalars = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
objects = st.dictionaries(st.text(), st.recursive(scalars, st.lists, max_leaves=5), max_size=4)


@settings(deadline=None, max_examples=100)
@given(st.lists(objects, min_size=1, max_size=8), st.sampled_from([None, 0, 2]), st.booleans())
def test_a_list_gives_the_same_rows_as_lines(
    rows: list[dict[str, Any]], indent: int | None, blanks: bool
) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii=False)
    text = f"\r\n \t{text}\n\n" if blanks else text
    lines = "\n".join(json.dumps(row) for row in rows)
    assert read(text) == read(lines)
    assert [row.values for row in read(text)] == rows


def test_a_bad_object_of_a_list_is_a_bad_row_with_its_place() -> None:
    deep = '{"a":' * 30 + "1" + "}" * 30
    long = "1" * 5000
    text = f'[{{"a": 1, "a": 2}}, 5, {{"a": {long}}}, {deep}, {{"a": "b\tc"}},\n {{"a": 3}}]'
    rows = read(text)
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6]
    problems = [str(row.problem) for row in rows]
    assert problems[0] == "is not valid JSON: the key 'a' occurs twice"
    assert problems[1] == "is not a JSON object"
    assert problems[2].startswith("is not valid JSON: Exceeds the limit")
    assert problems[3] == "is nested more than 20 levels deep"
    assert problems[4].startswith("is not valid JSON: Invalid control character")
    assert rows[0].values == {"": '{"a": 1, "a": 2}'}
    assert (rows[5].values, rows[5].problem) == ({"a": 3}, None)


@pytest.mark.parametrize("text", ["[]", "[ ]", " [\n]\n"])
def test_an_empty_list_has_no_rows(text: str) -> None:
    assert read(text) == []


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('[{"a": 1}, {"a": 2', ["at object 2 (line 1)"]),
        ('[{"a": 1}\n{"a": 2}]', ["at object 1 (line 2): Expecting ',' or ']'"]),
        ('[{"a": 1},\n]', ["at object 2 (line 2): Expecting value"]),
        ('[{"a": 1}', ["at object 1 (line 1): Expecting ',' or ']'"]),
        ('[{"a": 1}]]', ["Extra data after the list"]),
        ("[" * 100_000, ["at object 1 (line 1): maximum recursion depth"]),
    ],
)
def test_a_broken_list_stops_with_the_place(text: str, parts: list[str]) -> None:
    with pytest.raises(StudyError, match=r"a\.json: begins as a JSON list, but") as raised:
        read(text)
    for part in parts:
        assert part in str(raised.value)


def test_a_line_that_is_a_list_is_one_bad_row_among_lines() -> None:
    rows = read('["a"]\n{"a": 1}\n')
    assert [(row.values, row.problem) for row in rows] == [
        ({"": '["a"]'}, "is not a JSON object"),
        ({"a": 1}, None),
    ]


def test_one_object_over_several_lines_stops() -> None:
    with pytest.raises(
        StudyError, match=r"a\.json: is one JSON object over several lines: write a"
    ):
        read('{\n "data": [{"a": 1}]\n}\n')
    assert [row.values for row in read('{"a": 1}')] == [{"a": 1}]
