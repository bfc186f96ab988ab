"""What rows.csv_file promises: CSV of other programs is read, and no quotation mark swallows rows."""

import csv
import io
import re
from typing import Any

from runtime.errors import StudyError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rows.csv_file import read_csv
from rows.raw_row import RawRow, require_columns
from settings.sources import Reading


def read(text: str, name: str = "a.csv", **reading: Any) -> list[RawRow]:
    return list(read_csv(text, name, name, Reading(**reading)))


def values(text: str, name: str = "a.csv", **reading: Any) -> list[dict[str, Any]]:
    rows = read(text, name, **reading)
    assert [row.problem for row in rows] == [None] * len(rows)
    return [row.values for row in rows]


# --- names of columns -------------------------------------------------------------------------


def test_columns_without_a_name_are_left_out() -> None:
    assert values("v1,v2,, ,\nham,Hello,,x,\n") == [{"v1": "ham", "v2": "Hello"}]
    assert values(",text\n0,a\n1,b\n") == [{"text": "a"}, {"text": "b"}]


def test_a_repeated_name_matters_only_if_the_settings_name_the_column() -> None:
    rows = read("text,label,note,note\na,1,x,y\n")
    assert rows[0].values == {"text": "a", "label": "1"}
    require_columns(rows, ["text", "label"])
    for columns, optional in ((["text", "note"], []), (["text"], ["note"])):
        with pytest.raises(StudyError, match=r"a\.csv: the header names note twice: rename one of"):
            require_columns(rows, columns, optional)


def test_a_header_in_the_settings_names_every_column() -> None:
    rows = values("a,1,x,y\n", header=["text", "label", "note", "note 2"])
    assert rows == [{"text": "a", "label": "1", "note": "x", "note 2": "y"}]


# --- blanks and escapes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ('a, "b"', ["a", "b"]),
        (' "a",  "b, c"', ["a", "b, c"]),
        ('"a", "b ""c"", d"', ["a", 'b "c", d']),
        ('"a, ""b"", c", "d\ne"', ['a, "b", c', "d\ne"]),
        ("a, b", ["a", " b"]),
        ('a, "b" c', ["a", ' "b" c']),
        ('5" screen, "b, c"', ['5" screen', "b, c"]),
        ('", ""b", ""', [', "b', ""]),
    ],
)
def test_blanks_before_a_quoted_field_are_skipped_and_no_others(
    line: str, fields: list[str]
) -> None:
    assert values(f"one,two\n{line}\n") == [dict(zip(("one", "two"), fields, strict=True))]


def test_blanks_in_a_file_delimited_by_blanks_are_delimiters() -> None:
    assert values('one two\na "b c"\n', delimiter=" ") == [{"one": "a", "two": "b c"}]


@pytest.mark.parametrize("escape", ["\\", "~", "]"])
def test_an_escape_takes_the_next_character_as_text(escape: str) -> None:
    text = 'text,label\n"say *"a, b*" **", "1"\nc*,d,0\n'.replace("*", escape)
    assert values(text, escape=escape) == [
        {"text": f'say "a, b" {escape}', "label": "1"},
        {"text": "c,d", "label": "0"},
    ]


def test_a_missing_escape_is_named_where_it_would_help() -> None:
    with pytest.raises(StudyError, match=r"row 1 has text after .*, or set reading\.escape: '\\'"):
        read('text,label\n"say \\"a\\" b",1\n')
    with pytest.raises(StudyError) as raised:
        read('text,label\n"a" b,1\n')
    assert "escape" not in str(raised.value)


# --- quotation marks that swallow lines -------------------------------------------------------

PLAIN = [(f"Text number {number}", str(number % 3)) for number in range(60)]


def table(rows: list[tuple[str, str]], delimiter: str = "\t") -> str:
    return "".join(delimiter.join(row) + "\n" for row in [("text", "label"), *rows])


@pytest.mark.parametrize(("first", "last"), [(10, 11), (10, 14), (0, 59)])
@pytest.mark.parametrize("swap", [False, True])
def test_a_stray_mark_that_swallows_rows_stops_with_the_lines(
    first: int, last: int, swap: bool
) -> None:
    rows = list(PLAIN)
    rows[first] = (f'"{rows[first][0]}', rows[first][1])
    rows[last] = (f'{rows[last][0]}"', rows[last][1])
    text = table(rows)
    if swap:
        text = "".join("\t".join(reversed(line.split("\t"))) + "\n" for line in text.splitlines())
    if (first, last) == (0, 59):  # no other row shows what a label is
        assert len(read(text, "a.tsv")) == 1
        return
    place = rf"a\.tsv: lines {first + 2} to {last + 2} \(row {first + 1}\): one quoted field"
    with pytest.raises(StudyError, match=place) as raised:
        read(text, "a.tsv")
    for remedy in ("reading.quoting: false", "reading.quoting: true", "stray quotation mark"):
        assert remedy in str(raised.value)
    assert len(values(text, "a.tsv", quoting=False)) == 60
    assert len(values(text, "a.tsv", quoting=True)) == 60 - (last - first)


def test_a_file_without_labels_of_its_own_stops_if_hardly_any_field_has_lines() -> None:
    rows = [(f"Text {number}", f"{number / 7:.6f}") for number in range(300)]
    rows[5], rows[9] = ('"Text 5', rows[5][1]), ('Text 9"', rows[9][1])
    with pytest.raises(StudyError, match=r"lines 7 to 11 \(row 6\)"):
        read(table(rows), "a.tsv")


def test_marks_in_different_columns_swallow_no_rows_either() -> None:
    rows = [(f"name {at}", f"Text number {at}", str(at % 2)) for at in range(30)]
    rows[10], rows[13] = ("name 10", '"Text', "0"), ('name 13"', "Text", "1")
    text = "".join("\t".join(row) + "\n" for row in [("name", "text", "label"), *rows])
    with pytest.raises(StudyError, match=r"lines 12 to 15 \(row 11\)"):
        read(text, "a.tsv")
    assert len(values(text, "a.tsv", quoting=False)) == 30


def test_rows_of_another_width_than_the_header_prove_nothing() -> None:
    text = "text\na,b,c,d,e\n" * 3 + '"x, y\nz",1\n"x, y\nz"\n'
    rows = read(text)
    assert [row.problem for row in rows[-2:]] == ["has 2 fields, not 1", None]
    assert rows[-1].values == {"text": "x, y\nz"}
    assert len(read(text, header=["one", "two", "three"])) == len(rows) + 1


wild = st.text(st.sampled_from('ab,"\n\r 01\\'), max_size=60)


@settings(deadline=None, max_examples=300)
@given(wild, st.sampled_from([None, ["text", "label"], ["a", "b", "c"]]), st.booleans())
def test_any_text_is_read_or_refused(text: str, header: list[str] | None, escaped: bool) -> None:
    reading: dict[str, Any] = {"header": header, "escape": "\\" if escaped else None}
    message = ""
    try:
        read(text, **reading)
    except StudyError as error:
        message = str(error)
    assert not message or message.startswith("a.csv: ")


def test_a_message_names_five_places_and_counts_the_others() -> None:
    rows = list(PLAIN)
    for number in range(0, 49, 7):
        rows[number] = (f'"{rows[number][0]}', rows[number][1])
        rows[number + 1] = (f'{rows[number + 1][0]}"', rows[number + 1][1])
    with pytest.raises(StudyError, match=r"lines 30 to 31 \(row 25\) and 2 more places: one"):
        read(table(rows), "a.tsv")


@pytest.mark.parametrize("share", [1, 3, 50])
def test_texts_of_several_lines_with_commas_are_read(share: int) -> None:
    rows = [
        (f"Well, number {number},\nI liked it, 1\nreally,\nthanks", str(number % 2))
        if number % share == 0
        else (f"Well, number {number}", str(number % 2))
        for number in range(200)
    ]
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows([("text", "label"), *rows])
    assert [tuple(row.values()) for row in values(sink.getvalue())] == rows


letters = st.text(st.sampled_from('ab ,;"\n\r\u2028é👍'), min_size=1, max_size=30)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(letters, st.sampled_from(["x1", "x2", "x3"])), min_size=1, max_size=40),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from([",", ";"]),
    st.booleans(),
)
def test_what_a_csv_writer_writes_is_read_as_it_is(
    rows: list[tuple[str, str]], quoting: Any, delimiter: str, escaped: bool
) -> None:
    sink = io.StringIO(newline="")
    writer = csv.writer(
        sink,
        delimiter=delimiter,
        quoting=quoting,
        doublequote=not escaped,
        escapechar="\\" if escaped else None,
    )
    writer.writerows([("text", "label"), *rows])
    reading = {"escape": "\\"} if escaped else {}
    got = read(sink.getvalue(), delimiter=delimiter, **reading)
    assert [(row.values["text"], row.values["label"]) for row in got] == rows
    assert [row.number for row in got] == list(range(1, len(rows) + 1))


plain = st.text(st.sampled_from("abc ,.é👍'"), min_size=1, max_size=20)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(plain, st.sampled_from("01")), min_size=10, max_size=40),
    st.data(),
)
def test_no_stray_marks_swallow_rows_without_a_word(
    rows: list[tuple[str, str]], data: st.DataObject
) -> None:
    """Rows before and after the marks contain both labels."""
    rows = [("first", "0"), ("second", "1"), *rows, ("third", "0"), ("last", "1")]
    first = data.draw(st.integers(2, len(rows) - 4))
    last = data.draw(st.integers(first + 1, len(rows) - 3))
    rows[first] = (f'"{rows[first][0]}', rows[first][1])
    rows[last] = (f'{rows[last][0]}"', rows[last][1])
    with pytest.raises(StudyError, match=re.escape(f"(row {first + 1})")):
        read(table(rows), "a.tsv")
