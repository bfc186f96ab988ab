"""What rows.repeats promises: of texts with several labels, one row stays or none, and all are counted."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from runtime.yaml_file import read_yaml

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from rows.judging import labelled_check
from rows.raw_row import RawRow
from rows.repeats import staying_row
from rows.row import Checked
from rows.splitting import check_splits, contradictions, remove_leaks, take_rows
from settings.sources import LabelledRows
from settings.study import Contradictions, Prepare

SOURCE = TypeAdapter(LabelledRows).validate_python(
    {
        "columns": {"text": "text", "label": "label"},
        "label_values": {name: name for name in ("no", "yes", "maybe")},
    }
)
# Three spellings of one text.
COLOURS = ("Dark red!", "dark red", "DARK  RED")


def checked_rows(policy: Contradictions, **rows: Sequence[tuple[str, str]]) -> Checked:
    raw = {
        split: [
            RawRow(split, number, {"text": text, "label": label})
            for number, (text, label) in enumerate(pairs, start=1)
        ]
        for split, pairs in rows.items()
    }
    check = labelled_check([row for rows in raw.values() for row in rows], SOURCE)
    checked = check_splits(raw, check, {}, 1, policy)
    remove_leaks([checked], 1)
    take_rows(checked, {}, 1)
    return checked


def rows_of(checked: Checked, split: str = "train") -> list[tuple[int, str]]:
    return [(row.number, row.values["label"]) for row in checked.rows[split]]


@pytest.mark.parametrize(
    ("labels", "policy", "stays"),
    [
        ("a", "majority", 0),
        ("aa", "majority", 0),
        ("aa", "drop_all", 0),  # one label contradicts nothing
        ("abb", "majority", 1),
        ("abb", "keep_first", 0),
        ("abb", "drop_all", None),
        ("ab", "majority", None),
        ("abba", "majority", None),
        ("ab", "keep_first", 0),
        ("abcb", "majority", 1),  # the most frequent label, not more than half
        ("abc", "majority", None),
    ],
)
def test_which_row_of_a_text_stays(labels: str, policy: Contradictions, stays: int | None) -> None:
    assert staying_row(list(labels), policy) == stays


def test_rows_without_labels_never_contradict() -> None:
    for policy in get_args(Contradictions):
        assert staying_row([None, None], policy) == 0


def test_the_first_row_of_the_majority_stays_and_every_reason_counts_the_labels() -> None:
    pairs = list(zip((*COLOURS, COLOURS[0]), ("no", "yes", "yes", "no"), strict=True))
    checked = checked_rows("majority", train=[*pairs, ("dark red", "yes"), ("blue", "no")])
    assert rows_of(checked) == [(2, "yes"), (6, "no")]
    contradiction = (
        "contradicts a row of its split with the same text (3 yes, 2 no): row 2 stays, whose label is "
        "yes"
    )
    assert [(row.number, row.kind, row.reason) for row in checked.aside] == [
        (1, "contradictions", contradiction),
        (3, "repeats", "repeats row 2 of its split"),
        (4, "contradictions", contradiction),
        (5, "repeats", "repeats row 2 of its split"),
    ]
    assert contradictions(checked)["all"] == {"texts": 1, "rows": 2}


@pytest.mark.parametrize(
    ("policy", "fate"),
    [
        ("majority", "no row stays, because two labels are equally frequent"),
        ("drop_all", "no row stays"),
        ("keep_first", "row 1 stays, whose label is no"),
    ],
)
def test_a_tie_is_set_aside_with_its_reason(policy: Contradictions, fate: str) -> None:
    checked = checked_rows(policy, train=[("dark red", "no"), ("Dark red", "yes")])
    reason = f"contradicts a row of its split with the same text (1 no, 1 yes): {fate}"
    assert {row.reason for row in checked.aside} == {reason}
    assert len(checked.aside) == (1 if policy == "keep_first" else 2)


@pytest.mark.parametrize("policy", get_args(Contradictions))
def test_a_training_row_that_contradicts_a_test_row_leaves_as_a_leak(
    policy: Contradictions,
) -> None:
    checked = checked_rows(
        policy,
        train=[("dark red", "no"), ("DARK RED", "no"), ("blue", "no")],
        test=[("Dark red.", "yes"), ("green", "no")],
    )
    assert rows_of(checked) == [(3, "no")]
    assert rows_of(checked, "test") == [(1, "yes"), (2, "no")]
    assert checked.account["train"]["leaks"] == 1
    assert contradictions(checked)["train"] == {"texts": 1, "rows": 1}


some_rows = st.lists(
    st.tuples(st.sampled_from([*COLOURS, "blue", "Blue", "green"]), st.sampled_from(["no", "yes"])),
    min_size=1,
    max_size=20,
)


@given(some_rows, st.sampled_from(get_args(Contradictions)))
def test_every_row_stays_or_is_set_aside_with_a_reason(
    pairs: list[tuple[str, str]], policy: Contradictions
) -> None:
    checked = checked_rows(policy, train=pairs)
    account = checked.account["train"]
    assert account["in"] == sum(account[fate] for fate in ("out", "repeats", "contradictions"))
    numbers = [number for number, _ in rows_of(checked)]
    assert sorted([*numbers, *(row.number for row in checked.aside)]) == [*range(1, len(pairs) + 1)]
    labels: dict[str, list[str]] = defaultdict(list)
    for text, label in pairs:
        labels[" ".join(text.lower().strip("!").split())].append(label)
    expected = []
    for names in labels.values():
        counts = Counter(names).most_common()
        if len(counts) == 1 or policy == "keep_first":
            expected.append(names[0])
        elif policy == "majority" and counts[0][1] > counts[1][1]:
            expected.append(counts[0][0])
    assert sorted(label for _, label in rows_of(checked)) == sorted(expected)


def test_the_setting_has_three_values_and_a_default() -> None:
    settings = {"max_rejected_share": 0.1, "leak_similarity": 0.7}
    assert Prepare.model_validate(settings).contradictions == "majority"
    with pytest.raises(ValidationError, match="drop_all"):
        Prepare.model_validate(settings | {"contradictions": "first"})


def test_docs_and_params_name_every_value(repo: Path) -> None:
    for path in ("docs/data.md", "params.yaml"):
        text = (repo / path).read_text(encoding="utf-8")
        assert [value for value in get_args(Contradictions) if value not in text] == []
    shipped = read_yaml(repo / "params.yaml")["prepare"]
    assert Prepare.model_validate(shipped).contradictions == "majority"
