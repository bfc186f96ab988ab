"""What rows.checks promises: every row judged, counted once, and never in two splits."""

import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.errors import StudyError, shown

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from rows.checks import (
    SPLITS,
    Check,
    Checked,
    Row,
    SetAside,
    check_splits,
    contradictions,
    draw,
    general_check,
    labelled_check,
    normalised,
    remove_leaks,
    require_rows,
    stop_at_too_many,
    take_rows,
)
from rows.prepared import REJECTED
from rows.sources import RawRow
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


def judge(meaning: LabelledRows, raw: RawRow) -> Row | SetAside:
    columns = {"text": "", "label": "", "rating": ""}
    return labelled_check([RawRow(raw.source, 0, columns)], meaning)(raw)


def judged(values: dict[str, Any], meaning: LabelledRows = LABELLED) -> Row | SetAside:
    return judge(meaning, RawRow("a.csv", 7, values))


def row(key: str, stratum: str = "a", number: int = 1) -> Row:
    return Row("a.csv", number, key, stratum, {"text": key})


# --- one labelled row -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"text": None, "label": 0}, "text is null"),
        ({"label": 0}, "text is null"),
        ({"text": 5, "label": 0}, "text is not text but int"),
        ({"text": ["a"], "label": 0}, "text is not text but list"),
        ({"text": "", "label": 0}, "text is blank"),
        ({"text": " \n\t\u00a0", "label": 0}, "text is blank"),
        ({"text": "a\0b", "label": 0}, "text holds a NUL character"),
        ({"text": "cut \ud83d", "label": 0}, "text holds half of a character (a lone surrogate)"),
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
    aside = judged(values)
    assert isinstance(aside, SetAside)
    assert (aside.kind, aside.source, aside.number) == ("rejected", "a.csv", 7)
    assert aside.reason == reason


@pytest.mark.parametrize("rating", [None, "", "high", math.nan, "nan", [1], 10**400])
def test_a_rating_that_is_no_number_is_rejected(rating: object) -> None:
    aside = judged({"text": "a", "rating": rating}, RATED)
    assert isinstance(aside, SetAside)
    assert aside.kind == "rejected"
    assert aside.reason == f"rating {shown(rating)} is not a number"


def test_a_row_that_could_not_be_read_is_rejected_for_that() -> None:
    aside = judge(LABELLED, RawRow("a.csv", 3, {"": "x"}, "has 1 fields, not 2"))
    assert isinstance(aside, SetAside)
    assert (aside.kind, aside.reason) == ("rejected", "has 1 fields, not 2")
    assert aside.content == '{"": "x"}'


def test_whatever_is_set_aside_can_be_written_down() -> None:
    asides = [
        judged({"text": "cut \ud83d", "label": 0, "more\udc00": b"bytes", "none": math.nan}),
        judge(LABELLED, RawRow("a.csv", 1, {"": "\ud83d"}, "is not a JSON object")),
        judged({"text": "a", "label": "\ud83d"}),
    ]
    rows = [
        {"source": a.source, "row": a.number, "reason": a.reason, "content": a.content}
        for a in asides
        if isinstance(a, SetAside)
    ]
    assert len(table_of(rows, REJECTED)) == 3
    assert r"cut \ud83d" in str(rows[0]["content"])


@pytest.mark.parametrize(
    ("value", "label"),
    [
        *((spelling, "negative") for spelling in (0, "0", 0.0, " 0 ")),
        *((spelling, "positive") for spelling in (4, "4", 4.0, True, "true")),
    ],
)
def test_a_label_is_the_same_however_a_file_spells_it(value: object, label: str) -> None:
    good = judged({"text": "a", "label": value})
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
    result = judged({"text": "a", "rating": rating}, RATED)
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
        ("[0, 0.4, -0.4]", None),  # nobody names a label
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
def test_ratings_that_are_no_list_of_numbers_are_rejected(ratings: object) -> None:
    aside = judge(RATED, RawRow("a.csv", 1, {"text": "a", "rating": 1}, ratings=ratings))
    assert isinstance(aside, SetAside)
    assert aside.kind == "rejected"
    assert aside.reason == f"ratings {shown(ratings)} is not a list of numbers"


def test_a_column_that_happens_to_be_called_ratings_is_no_rating() -> None:
    good = judged({"text": "a", "label": 0, "ratings": "five stars"})
    assert isinstance(good, Row)
    assert good.values["agreement"] is None


def test_a_missing_column_of_the_settings_stops() -> None:
    for meaning, column in ((LABELLED, "label"), (RATED, "rating")):
        with pytest.raises(StudyError, match=rf"b\.csv: has no column {column}; it has text"):
            labelled_check([RawRow("b.csv", 1, {"text": "a"})], meaning)


# --- one general row --------------------------------------------------------------------------


def meaning_of_general(**columns: str | None) -> GeneralRows:
    content = {"kind": "files", "splits": {"train": "g.jsonl"}, "test_share": 0.5}
    return GeneralFiles.model_validate(content | {"columns": columns})


def general(values: dict[str, Any], **columns: str | None) -> Row | SetAside:
    there = dict.fromkeys(("instruction", "input", "output", "context"), "")
    check = general_check([RawRow("g.jsonl", 0, there)], meaning_of_general(**columns))
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
        ({"instruction": "a", "output": "b", "input": "\0"}, "input holds a NUL character"),
        ({"instruction": "a", "output": "\udc00"}, "output holds half of a character"),
    ],
)
def test_a_bad_instruction_is_rejected_with_its_reason(values: dict[str, Any], reason: str) -> None:
    aside = general(values)
    assert isinstance(aside, SetAside)
    assert aside.kind == "rejected"
    assert aside.reason.startswith(reason)


@pytest.mark.parametrize("blank", [None, "", " \n"])
def test_an_instruction_without_input_has_an_empty_one(blank: str | None) -> None:
    good = general({"instruction": "a", "output": "b", "input": blank})
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
        good = general(values, **columns)
        assert isinstance(good, Row)
        assert good.values["input"] == expected


def test_an_input_column_must_be_there_only_where_it_is_named() -> None:
    raw = [RawRow("g.jsonl", 1, {"instruction": "a", "output": "b"})]
    general_check(raw, meaning_of_general())
    with pytest.raises(StudyError, match="has no column context"):
        general_check(raw, meaning_of_general(input="context"))


# --- repeats ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        "what a day this is",
        "WHAT A DAY THIS IS",
        "  What a\tday\n this is ",
        "What a day, this is!!!",
        "What_a-day... (this) is",
        "@bob What a day @alice_1 this is",
        "What a day this is https://t.co/AbC?x=1 www.example.org/a",
        "What a day this is HTTP://T.CO/x",
        "What a day &amp; this is &lt;&gt; &quot;",
        "What a day &amp;amp; this is",
        "What&nbsp;a d&#97;y this is",
    ],
)
def test_texts_that_differ_in_dress_alone_are_repeats(other: str) -> None:
    assert normalised(other) == normalised("What a day this is")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("good", "not good"),
        ("1 of 2", "1 of 3"),
        ("bonjour", "bonjou"),
        ("été", "ete"),
        ("👍", "👎"),
        (":)", ":("),
        ("@bob", "@eve"),
    ],
)
def test_texts_that_say_something_else_are_no_repeats(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


@given(st.text(min_size=1).filter(str.strip))
def test_every_text_has_a_key_and_case_does_not_change_it(text: str) -> None:
    assert normalised(text)
    assert normalised(f" {text}\n") == normalised(text)


# --- splits -----------------------------------------------------------------------------------


def by_key(raw: RawRow) -> Row | SetAside:
    """A check that reads its verdict from the row itself."""
    kind = raw.values["kind"]
    if kind in ("rejected", "neutral"):
        return SetAside(kind, raw.source, raw.number, kind, "{}")
    return Row(raw.source, raw.number, raw.values["key"], raw.values["stratum"], {})


def raw_rows(split: str, keys: Sequence[str]) -> list[RawRow]:
    return [
        RawRow(split, at, {"kind": "good", "key": key, "stratum": "a"})
        for at, key in enumerate(keys, start=1)
    ]


def prepared(
    raw: Mapping[str, Sequence[RawRow]],
    check: Check,
    split_off: Mapping[str, float],
    take: Mapping[str, int | None],
    similarity: float,
    seed: int,
) -> Checked:
    """A source alone, through every step."""
    checked = check_splits(raw, check, split_off, seed)
    remove_leaks([checked], similarity)
    take_rows(checked, take, seed)
    return checked


def keys_of(checked: Checked) -> dict[str, list[str]]:
    return {split: [row.key for row in rows] for split, rows in checked.rows.items()}


def test_a_repeat_stays_where_it_stands_first() -> None:
    raw = {"train": raw_rows("train", "abacab")}
    checked = prepared(raw, by_key, {}, {}, 1, 1)
    assert keys_of(checked) == {"train": ["a", "b", "c"]}
    assert [(a.kind, a.number, a.reason) for a in checked.aside] == [
        ("repeats", 3, "repeats row 1 of its split"),
        ("repeats", 5, "repeats row 1 of its split"),
        ("repeats", 6, "repeats row 2 of its split"),
    ]
    assert checked.account["train"] == {
        "in": 6,
        "moved_in": 0,
        "rejected": 0,
        "neutral": 0,
        "repeats": 3,
        "leaks": 0,
        "near_leaks": 0,
        "moved_out": 0,
        "not_taken": 0,
        "out": 3,
    }


def test_the_same_text_with_another_label_is_told_of_as_a_contradiction() -> None:
    raw = {
        split: [
            RawRow(split, at, {"text": text, "label": label})
            for at, (text, label) in enumerate(rows, start=1)
        ]
        for split, rows in {
            "train": [("Same!", 0), ("same", 4), ("SAME", 0), ("other", 4)],
            "test": [("Other.", 0), ("third", 0)],
        }.items()
    }
    check = labelled_check([row for rows in raw.values() for row in rows], LABELLED)
    checked = prepared(raw, check, {}, {}, 1, 1)
    assert [(row.source, row.number, row.reason) for row in checked.aside if row.contradicts] == [
        *[
            (
                "train",
                2,
                "repeats row 1 of its split, whose label is negative, not positive: contradicts it",
            )
        ],
        *[
            (
                "train",
                4,
                "leaks: it also stands in test, row 1 of test, whose label is negative, not positive: "
                "contradicts it",
            )
        ],
    ]
    assert [row.number for row in checked.aside if not row.contradicts] == [3]


def test_contradictions_are_counted_by_text_and_by_row_for_each_split_and_over_all() -> None:
    texts = {
        "train": [("a", 0), ("a!", 4), ("A", 4), ("b", 0), ("b.", 4), ("c", 0), ("c", 0)],
        "test": [("d", 0), ("D", 4), ("b", 4)],
    }
    raw = {
        split: [RawRow(split, at, {"text": text, "label": label}) for at, (text, label) in rows]
        for split, rows in ((split, enumerate(rows, 1)) for split, rows in texts.items())
    }
    check = labelled_check([row for rows in raw.values() for row in rows], LABELLED)
    checked = prepared(raw, check, {}, {}, 1, 1)
    # b contradicts itself within train, and what stays of it contradicts the row of the test split.
    assert contradictions(checked) == {
        "train": {"texts": 2, "rows": 4},
        "test": {"texts": 1, "rows": 1},
        "all": {"texts": 3, "rows": 5},
    }


def test_a_training_row_leaves_for_its_like_in_the_test_split_of_another_source() -> None:
    sources = [
        check_splits(
            {"train": raw_rows(f"{name} train", train), "test": raw_rows(f"{name} test", test)},
            by_key,
            {},
            1,
        )
        for name, train, test in (
            ("one", ["the same text", "nothing of the kind"], ["abcdefghijklmnoq"]),
            ("two", ["abcdefghijklmnop", "left alone"], ["something else", "the same text"]),
        )
    ]
    remove_leaks(sources, 0.8)
    assert [keys_of(checked)["train"] for checked in sources] == [
        ["nothing of the kind"],
        ["left alone"],
    ]
    assert [len(checked.rows["test"]) for checked in sources] == [1, 2]
    assert [checked.aside[0].reason for checked in sources] == [
        "leaks: it also stands in test, row 2 of two test",
        "near_leaks: 0.87 like row 1 of one test in test",
    ]
    for checked, leaks in zip(sources, (1, 0), strict=True):
        account = checked.account["train"]
        assert (account["leaks"], account["near_leaks"]) == (leaks, 1 - leaks)


def test_rows_of_the_same_split_of_two_sources_leave_neither() -> None:
    sources = [check_splits({"train": raw_rows(name, "ab")}, by_key, {}, 1) for name in ("x", "y")]
    remove_leaks(sources, 0.5)
    assert [keys_of(checked)["train"] for checked in sources] == [["a", "b"]] * 2


def test_a_near_leak_leaves_the_earlier_split_and_names_the_row_that_it_is_like() -> None:
    raw = {
        "train": raw_rows("train", ["abcdefghijklmnop", "nothing of the kind"]),
        "test": raw_rows("test", ["something else", "abcdefghijklmnoq"]),
    }
    checked = prepared(raw, by_key, {}, {}, 0.8, 1)
    assert keys_of(checked)["train"] == ["nothing of the kind"]
    (aside,) = checked.aside
    assert (aside.kind, aside.number) == ("near_leaks", 1)
    assert aside.reason == "near_leaks: 0.87 like row 2 of test in test"
    assert checked.account["train"]["near_leaks"] == 1


def test_a_leak_leaves_the_earlier_split() -> None:
    raw = {
        split: raw_rows(split, keys)
        for split, keys in zip(SPLITS, ("abcd", "bce", "cdf"), strict=True)
    }
    checked = prepared(raw, by_key, {}, {}, 1, 1)
    assert keys_of(checked) == {"train": ["a"], "validation": ["b", "e"], "test": ["c", "d", "f"]}
    assert {(a.source, a.number, a.reason) for a in checked.aside} == {
        ("train", 2, "leaks: it also stands in validation, row 1 of validation"),
        ("train", 3, "leaks: it also stands in test, row 1 of test"),
        ("train", 4, "leaks: it also stands in test, row 2 of test"),
        ("validation", 2, "leaks: it also stands in test, row 1 of test"),
    }


def test_a_row_keeps_the_name_of_its_place_in_its_source() -> None:
    rows = raw_rows("train", "abcdefghij")
    rows[1].values["kind"] = "rejected"
    whole = prepared({"train": rows}, by_key, {"test": 0.3}, {"train": 3}, 1, 1)
    names = {r.key: r.row_id for split in whole.rows.values() for r in split}
    places = {key: f"train-{place:06d}" for place, key in enumerate("abcdefghij", start=1)}
    assert names.items() <= places.items()
    assert len(names) == 6


def test_what_the_source_lacks_is_split_off_in_equal_shares_of_labels() -> None:
    rows = raw_rows("train", [str(at) for at in range(200)])
    for at, raw in enumerate(rows):
        raw.values["stratum"] = "few" if at % 4 == 0 else "many"
    checked = prepared({"train": rows}, by_key, {"validation": 0.1, "test": 0.3}, {}, 1, 1)
    counts = {split: Counter(row.stratum for row in checked.rows[split]) for split in SPLITS}
    assert counts == {
        "train": {"few": 30, "many": 90},
        "validation": {"few": 5, "many": 15},
        "test": {"few": 15, "many": 45},
    }
    assert checked.account["train"]["moved_out"] == 80


kinds = st.sampled_from(["good"] * 6 + ["rejected", "neutral"])
some_rows = st.lists(st.tuples(kinds, st.sampled_from("abcdefghijklmnop"), st.sampled_from("xyz")))
some_splits = st.fixed_dictionaries(
    {"train": some_rows}, optional={"validation": some_rows, "test": some_rows}
)
shares = st.fixed_dictionaries(
    {},
    optional={
        "validation": st.floats(0, 0.999, exclude_min=True),
        "test": st.floats(0, 0.999, exclude_min=True),
    },
)
takes = st.dictionaries(st.sampled_from(SPLITS), st.none() | st.integers(1, 9))


@settings(max_examples=300, deadline=None)
@given(some_splits, shares, takes, st.sampled_from([0.5, 1]), st.integers(0, 5))
def test_no_row_is_lost_and_none_is_counted_twice(
    content: dict[str, list[tuple[str, str, str]]],
    split_off: dict[str, float],
    take: dict[str, int | None],
    similarity: float,
    seed: int,
) -> None:
    raw = {
        split: [
            RawRow(split, at, {"kind": kind, "key": key, "stratum": stratum})
            for at, (kind, key, stratum) in enumerate(rows, start=1)
        ]
        for split, rows in content.items()
    }
    split_off = {split: share for split, share in split_off.items() if split not in raw}
    checked = prepared(raw, by_key, split_off, take, similarity, seed)

    assert set(checked.rows) == set(checked.account) == {*raw, *split_off}
    for split, account in checked.account.items():
        told = dict(account)
        arrived = told.pop("in") + told.pop("moved_in")
        assert min(account.values()) >= 0
        assert arrived == sum(told.values())
        assert account["in"] == len(raw.get(split, []))
        assert account["out"] == len(checked.rows[split])
        if (count := take.get(split)) is not None:
            assert account["out"] <= count
            assert account["out"] == count or account["not_taken"] == 0
    moved = Counter({name: sum(a[name] for a in checked.account.values()) for name in account})
    assert moved["moved_in"] == moved["moved_out"]

    # Every row of the input is out, aside or not taken, once.
    out = [(row.source, row.number) for rows in checked.rows.values() for row in rows]
    aside = [(row.source, row.number) for row in checked.aside]
    places = Counter(out + aside)
    there = {(row.source, row.number) for rows in raw.values() for row in rows}
    assert set(places) <= there
    assert set(places.values()) <= {1}
    assert len(there) - len(places) == moved["not_taken"]
    by_kind = Counter(row.kind for row in checked.aside)
    for kind in ("rejected", "neutral", "repeats", "leaks", "near_leaks"):
        assert by_kind[kind] == moved[kind]

    # No key and no row's name stands twice, in one split or in two.
    rows = [row for part in checked.rows.values() for row in part]
    assert len({row.key for row in rows}) == len(rows)
    assert len({row.row_id for row in rows}) == len(rows)


# --- draw -------------------------------------------------------------------------------------

strata = st.lists(st.sampled_from("aaaaaaabbbc") | st.sampled_from("defghijklmn"), max_size=80)


@settings(max_examples=300, deadline=None)
@given(strata, st.integers(0, 90), st.integers(0, 3))
def test_a_draw_keeps_the_shares_of_the_strata_within_one_row(
    names: list[str], count: int, seed: int
) -> None:
    rows = [row(str(at), name, at) for at, name in enumerate(names)]
    drawn = draw(rows, count, str(seed))
    assert len(drawn) == min(count, len(rows))
    assert [row.number for row in drawn] == sorted({row.number for row in drawn})
    there, taken = Counter(names), Counter(row.stratum for row in drawn)
    for name, size in there.items():
        assert abs(taken[name] - len(drawn) * size / len(rows)) < 1


def test_a_draw_depends_on_its_seed_alone() -> None:
    rows = [row(str(at), "ab"[at % 2]) for at in range(100)]
    again = [draw(rows, 20, "1"), draw(rows, 20, "1"), draw(rows, 20, "2")]
    assert again[0] == again[1] != again[2]
    # Every row has its chance.
    reached = {row.key for seed in range(60) for row in draw(rows, 20, str(seed))}
    assert len(reached) == 100


def test_a_smaller_draw_is_part_of_a_larger_one() -> None:
    # Taking more rows keeps those that were taken, where the strata are of one size.
    rows = [row(str(at), "ab"[at % 2]) for at in range(100)]
    small, large = draw(rows, 20, "1"), draw(rows, 40, "1")
    assert {row.key for row in small} < {row.key for row in large}


def test_splits_do_not_depend_on_how_python_hashes(repo: Path) -> None:
    script = """
from rows.checks import Row, SPLITS, check_splits, remove_leaks, take_rows
from rows.sources import RawRow
rows = [RawRow("s", n, {"key": str(n % 90), "stratum": "abc"[n % 3]}) for n in range(120)]
check = lambda raw: Row(raw.source, raw.number, raw.values["key"], raw.values["stratum"], {})
done = check_splits({"train": rows}, check, {"validation": .2, "test": .3}, 7)
remove_leaks([done], .9)
take_rows(done, {"train": 20}, 7)
print([[row.row_id for row in done.rows[split]] for split in SPLITS], done.account, done.aside)
"""
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": "stages", "PYTHONHASHSEED": seed},
            cwd=repo,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(said) == 1
    assert "train-000" in said.pop()


# --- stopping ---------------------------------------------------------------------------------


def with_rejected(bad: int, good: int) -> Checked:
    aside = [
        SetAside("rejected", "a.csv", at, f"label 'x{at}' is not one of 0, 4", "{}")
        if at % 3
        else SetAside("rejected", "a.csv", at, "text is blank", "{}")
        for at in range(1, bad + 1)
    ]
    neutral = [SetAside("neutral", "a.csv", 99, "neutral", "{}")] * 50
    account = {"train": {"in": bad + good, "rejected": bad, "out": good}}
    return Checked({}, aside + neutral, account)


def test_too_many_bad_rows_stop_with_the_first_ten_and_a_count_by_reason() -> None:
    stop_at_too_many([with_rejected(12, 108)], 0.1)
    with pytest.raises(StudyError) as raised:
        stop_at_too_many([with_rejected(12, 107)], 0.1)
    message = str(raised.value)
    assert "12 of 119 rows are bad, more than prepare.max_rejected_share = 0.1" in message
    shown = [line for line in message.splitlines() if line.startswith("  a.csv row ")]
    assert len(shown) == 10
    assert shown[0] == "  a.csv row 1: label 'x1' is not one of 0, 4"
    assert shown[2] == "  a.csv row 3: text is blank"
    counts = [line.split(" × ") for line in message.splitlines() if " × " in line]
    assert [int(count) for count, _ in counts] == [8, 4]
    assert counts[1][1] == "text is blank"


def test_the_share_of_bad_rows_is_of_all_sources_together() -> None:
    stop_at_too_many([with_rejected(12, 0), with_rejected(0, 108)], 0.1)
    stop_at_too_many([], 0.1)
    stop_at_too_many([with_rejected(0, 0)], 0.0)
    with pytest.raises(StudyError, match="1 of 100 rows"):
        stop_at_too_many([with_rejected(1, 99)], 0.0)


def test_a_split_with_no_row_left_stops_and_says_where_they_went() -> None:
    raw = {"train": raw_rows("train", "abc"), "test": raw_rows("test", "abc")}
    checked = prepared(raw, by_key, {}, {}, 1, 1)
    with pytest.raises(StudyError, match=r"labelled: no row is left in train \(in 3, leaks 3\)$"):
        require_rows(checked, "labelled")
    raw["train"][1].values["kind"] = "rejected"
    checked = prepared(raw, by_key, {}, {}, 1, 1)
    with pytest.raises(StudyError, match=r"leaks 2\); rejected first: train row 2: rejected$"):
        require_rows(checked, "labelled")
