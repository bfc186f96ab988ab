"""What rows.splitting promises: every row is counted once, and no text is in two splits."""

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from runtime.errors import StudyError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from rows.judging import labelled_check
from rows.leaks import near_duplicates
from rows.raw_row import RawRow
from rows.requirements import require_rows
from rows.row import SPLITS, Check, Checked, Kind, Row, SetAside
from rows.splitting import (
    check_splits,
    contradictions,
    draw,
    draw_without_leaks,
    remove_leaks,
    take_rows,
)
from settings.sources import LabelledRows
from settings.study import Contradictions

LABELLED = TypeAdapter(LabelledRows).validate_python(
    {
        "columns": {"text": "text", "label": "label"},
        "label_values": {0: "negative", "4": "positive", True: "positive"},
    }
)


def row(key: str, stratum: str = "a", number: int = 1) -> Row:
    return Row("a.csv", number, key, stratum, {"text": key})


# --- splits -----------------------------------------------------------------------------------


def by_key(raw: RawRow) -> Row | SetAside:
    """A check whose result each raw row contains."""
    kind = raw.values["kind"]
    if kind in ("rejected", "neutral"):
        return SetAside(kind, raw.source, raw.number, kind, "{}")
    label = {"label": raw.values["stratum"]} if raw.values.get("is_labelled") else {}
    return Row(raw.source, raw.number, raw.values["key"], raw.values["stratum"], label)


def raw_rows(split: str, keys: Sequence[str]) -> list[RawRow]:
    return [
        RawRow(split, number, {"kind": "good", "key": key, "stratum": "a"})
        for number, key in enumerate(keys, start=1)
    ]


def prepared(
    raw: Mapping[str, Sequence[RawRow]],
    check: Check,
    split_off: Mapping[str, float],
    take: Mapping[str, int | None],
    similarity: float,
    seed: int,
) -> Checked:
    """One source after every step."""
    checked = check_splits(raw, check, split_off, seed)
    remove_leaks([checked], similarity)
    take_rows(checked, take, seed)
    return checked


def keys_of(checked: Checked) -> dict[str, list[str]]:
    return {split: [row.key for row in rows] for split, rows in checked.rows.items()}


def test_of_repeats_the_first_row_stays() -> None:
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
        "contradictions": 0,
        "leaks": 0,
        "near_leaks": 0,
        "moved_out": 0,
        "not_taken": 0,
        "out": 3,
    }


def test_the_same_text_with_another_label_is_reported_as_a_contradiction() -> None:
    raw = {
        split: [
            RawRow(split, number, {"text": text, "label": label})
            for number, (text, label) in enumerate(rows, start=1)
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
                "contradicts a row of its split with the same text (2 negative, 1 positive): row 1 "
                "stays, whose label is negative",
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
        "train": [("a", 0), ("a!", 4), ("A", 4), ("b", 0), ("c", 0), ("c", 0)],
        "test": [("d", 0), ("D", 4), ("b", 4)],
    }
    raw = {
        split: [
            RawRow(split, number, {"text": text, "label": label}) for number, (text, label) in rows
        ]
        for split, rows in ((split, enumerate(rows, 1)) for split, rows in texts.items())
    }
    check = labelled_check([row for rows in raw.values() for row in rows], LABELLED)
    checked = prepared(raw, check, {}, {}, 1, 1)
    # One row of a contradicts the majority, b contradicts b in test, and d has no majority.
    assert contradictions(checked) == {
        "train": {"texts": 2, "rows": 2},
        "test": {"texts": 1, "rows": 2},
        "all": {"texts": 3, "rows": 4},
    }
    account = checked.account
    assert (account["train"]["contradictions"], account["train"]["leaks"]) == (1, 1)
    assert account["test"]["contradictions"] == 2
    assert keys_of(checked) == {"train": ["a", "c"], "test": ["b"]}


def test_a_training_row_is_set_aside_for_a_similar_test_row_of_another_source() -> None:
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


def test_equal_rows_in_the_same_split_of_two_sources_both_stay() -> None:
    sources = [check_splits({"train": raw_rows(name, "ab")}, by_key, {}, 1) for name in ("x", "y")]
    remove_leaks(sources, 0.5)
    assert [keys_of(checked)["train"] for checked in sources] == [["a", "b"]] * 2


def test_a_near_leak_leaves_the_earlier_split_and_its_reason_names_the_similar_row() -> None:
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


def test_a_row_id_is_the_position_of_the_row_in_its_source() -> None:
    rows = raw_rows("train", "abcdefghij")
    rows[1].values["kind"] = "rejected"
    whole = prepared({"train": rows}, by_key, {"test": 0.3}, {"train": 3}, 1, 1)
    names = {r.key: r.row_id for split in whole.rows.values() for r in split}
    places = {key: f"train-{place:06d}" for place, key in enumerate("abcdefghij", start=1)}
    assert names.items() <= places.items()
    assert len(names) == 6


def test_a_split_that_the_source_lacks_is_split_off_with_equal_shares_of_labels() -> None:
    rows = raw_rows("train", [str(number) for number in range(200)])
    for position, raw in enumerate(rows):
        raw.values["stratum"] = "few" if position % 4 == 0 else "many"
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
@given(
    some_splits,
    shares,
    takes,
    st.sampled_from([0.5, 1]),
    st.integers(0, 5),
    st.sampled_from(get_args(Contradictions)),
    st.booleans(),
    st.sampled_from([0, 100]),
)
def test_every_row_is_counted_exactly_once(
    content: dict[str, list[tuple[str, str, str]]],
    split_off: dict[str, float],
    take: dict[str, int | None],
    similarity: float,
    seed: int,
    policy: Contradictions,
    is_labelled: bool,
    searched_before_draw: int,
) -> None:
    columns = ("kind", "key", "stratum", "is_labelled")
    raw = {
        split: [
            RawRow(
                split,
                number,
                dict(zip(columns, (kind, key * 4, stratum, is_labelled), strict=True)),
            )
            for number, (kind, key, stratum) in enumerate(rows, start=1)
        ]
        for split, rows in content.items()
    }
    split_off = {split: share for split, share in split_off.items() if split not in raw}
    checked = check_splits(raw, by_key, split_off, seed, policy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rows.splitting.SEARCHED_BEFORE_DRAW", searched_before_draw)
        draw_without_leaks([checked], [take], similarity, seed)

    assert set(checked.rows) == set(checked.account) == {*raw, *split_off}
    for split, account in checked.account.items():
        leaving = dict(account)
        arriving = leaving.pop("in") + leaving.pop("moved_in")
        assert min(account.values()) >= 0
        assert arriving == sum(leaving.values())
        assert account["in"] == len(raw.get(split, []))
        assert account["out"] == len(checked.rows[split])
        if (count := take.get(split)) is not None:
            assert account["out"] <= count
            assert account["out"] == count or account["not_taken"] == 0
    moved = Counter({name: sum(a[name] for a in checked.account.values()) for name in account})
    assert moved["moved_in"] == moved["moved_out"]

    # Every row of the input is either in a split, or set aside, or not taken.
    out = [(row.source, row.number) for rows in checked.rows.values() for row in rows]
    aside = [(row.source, row.number) for row in checked.aside]
    places = Counter(out + aside)
    all_rows = {(row.source, row.number) for rows in raw.values() for row in rows}
    assert set(places) <= all_rows
    assert set(places.values()) <= {1}
    assert len(all_rows) - len(places) == moved["not_taken"]
    by_kind = Counter(row.kind for row in checked.aside)
    for kind in get_args(Kind):
        assert by_kind[kind] == moved[kind]

    # No key and no row id occurs twice, neither in one split nor in two.
    rows = [row for part in checked.rows.values() for row in part]
    assert len({row.key for row in rows}) == len(rows)
    assert len({row.row_id for row in rows}) == len(rows)


# --- the search for near leaks after the draw -------------------------------------------------


def random_text(number: int) -> str:
    return "".join(random.Random(number).choices("abcdefghijklmnopqrst", k=40))


def random_rows(split: str, numbers: range) -> list[RawRow]:
    return raw_rows(split, [random_text(number) for number in numbers])


def drawn_after(
    monkeypatch: pytest.MonkeyPatch, limit: int, raw: Mapping[str, Sequence[RawRow]], n_train: int
) -> Checked:
    monkeypatch.setattr("rows.splitting.SEARCHED_BEFORE_DRAW", limit)
    checked = check_splits(raw, by_key, {}, 1)
    draw_without_leaks([checked], [{"train": n_train, "test": 20}], 0.7, 1)
    return checked


def test_a_draw_before_the_search_replaces_every_near_leak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Half of the training rows are near leaks of test rows: one character differs.
    raw = {
        "train": random_rows("train", range(200)),
        "test": raw_rows("test", [random_text(number) + "!" for number in range(0, 200, 2)]),
    }
    checked = drawn_after(monkeypatch, 0, raw, 60)
    train, test = checked.account["train"], checked.account["test"]
    assert (train["out"], test["out"]) == (60, 20)
    assert 0 < train["near_leaks"] <= 20  # only the 20 test rows that were drawn count
    assert sum(train[fate] for fate in ("near_leaks", "not_taken", "out")) == 200
    keys = keys_of(checked)
    assert near_duplicates(keys["train"], keys["test"], 0.7) == {}
    # A repeated draw is the same draw.
    assert keys_of(drawn_after(monkeypatch, 0, raw, 60)) == keys_of(checked)
    # More rows than are left: all rows but the near leaks.
    assert drawn_after(monkeypatch, 0, raw, 190).account["train"]["out"] == 180
    assert drawn_after(monkeypatch, 300, raw, 190).account["train"]["out"] == 100


def test_without_near_leaks_both_orders_draw_the_same_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = {
        "train": random_rows("train", range(80)),
        "test": random_rows("test", range(80, 120)),
    }
    before, after = (drawn_after(monkeypatch, limit, raw, 30) for limit in (200, 0))
    assert keys_of(before) == keys_of(after)
    assert before.account == after.account


def test_a_search_after_the_draw_protects_the_test_rows_of_every_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rows.splitting.SEARCHED_BEFORE_DRAW", 0)
    text = "a long text that stands in a split"
    one = check_splits({"train": raw_rows("one", [text, "a b c"])}, by_key, {}, 1)
    raw = {"train": raw_rows("two", ["x y z"]), "test": raw_rows("two", [text + "!"])}
    two = check_splits(raw, by_key, {}, 1)
    draw_without_leaks([one, two], [{"train": 2}, {}], 0.7, 1)
    assert keys_of(one) == {"train": ["a b c"]}
    assert [row.reason for row in one.aside] == ["near_leaks: 0.97 like row 1 of two in test"]


# --- many rows set aside ----------------------------------------------------------------------


def test_rows_beyond_the_limit_are_counted_and_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rows.row.LISTED", 3)
    rows = raw_rows("train", "aaaaaaabc")
    for number in (7, 8):
        rows[number].values["kind"] = "rejected"
    checked = check_splits({"train": rows}, by_key, {}, 1)
    assert (checked.account["train"]["repeats"], checked.account["train"]["rejected"]) == (6, 2)
    assert [(row.kind, row.number) for row in checked.aside] == [
        *[("rejected", 8), ("rejected", 9)],
        *[("repeats", 2), ("repeats", 3), ("repeats", 4)],
    ]


# --- draw -------------------------------------------------------------------------------------

strata = st.lists(st.sampled_from("aaaaaaabbbc") | st.sampled_from("defghijklmn"), max_size=80)


@settings(max_examples=300, deadline=None)
@given(strata, st.integers(0, 90), st.integers(0, 3))
def test_a_draw_keeps_the_shares_of_the_strata_within_one_row(
    names: list[str], count: int, seed: int
) -> None:
    rows = [row(str(number), name, number) for number, name in enumerate(names)]
    drawn = draw(rows, count, str(seed))
    assert len(drawn) == min(count, len(rows))
    assert [row.number for row in drawn] == sorted({row.number for row in drawn})
    sizes, drawn_sizes = Counter(names), Counter(row.stratum for row in drawn)
    for name, size in sizes.items():
        assert abs(drawn_sizes[name] - len(drawn) * size / len(rows)) < 1


def test_a_draw_depends_on_its_seed_alone() -> None:
    rows = [row(str(number), "ab"[number % 2]) for number in range(100)]
    draws = [draw(rows, 20, "1"), draw(rows, 20, "1"), draw(rows, 20, "2")]
    assert draws[0] == draws[1] != draws[2]
    # Every row can be drawn.
    reached = {row.key for seed in range(60) for row in draw(rows, 20, str(seed))}
    assert len(reached) == 100


def test_a_smaller_draw_is_part_of_a_larger_one() -> None:
    # If the strata have one size, a larger take contains every row of a smaller take.
    rows = [row(str(number), "ab"[number % 2]) for number in range(100)]
    small, large = draw(rows, 20, "1"), draw(rows, 40, "1")
    assert {row.key for row in small} < {row.key for row in large}


def test_splits_do_not_depend_on_how_python_hashes(repo: Path) -> None:
    script = """
from rows.row import Row, SPLITS
from rows.raw_row import RawRow
from rows.splitting import check_splits, remove_leaks, take_rows
rows = [RawRow("s", n, {"key": str(n % 90), "stratum": "abc"[n % 3]}) for n in range(120)]
check = lambda raw: Row(raw.source, raw.number, raw.values["key"], raw.values["stratum"], {})
done = check_splits({"train": rows}, check, {"validation": .2, "test": .3}, 7)
remove_leaks([done], .9)
take_rows(done, {"train": 20}, 7)
print([[row.row_id for row in done.rows[split]] for split in SPLITS], done.account, done.aside)
"""
    outputs = {
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
    assert len(outputs) == 1
    assert "train-000" in outputs.pop()


def test_the_account_of_a_split_without_rows_explains_the_loss() -> None:
    raw = {"train": raw_rows("train", "abc"), "test": raw_rows("test", "abc")}
    checked = prepared(raw, by_key, {}, {}, 1, 1)
    with pytest.raises(StudyError, match=r"labelled: no row is left in train \(in 3, leaks 3\)$"):
        require_rows(checked, "labelled")
    raw["train"][1].values["kind"] = "rejected"
    checked = prepared(raw, by_key, {}, {}, 1, 1)
    with pytest.raises(StudyError, match=r"leaks 2\); rejected first: train row 2: rejected$"):
        require_rows(checked, "labelled")
