"""What rows.requirements promises: a study with unusable rows stops with counts and an example."""

from collections.abc import Mapping

from runtime.errors import StudyError

import pytest

from rows.requirements import require_few_rejected, require_labels, require_rows
from rows.row import Checked, Row, SetAside


def with_rejected(bad: int, good: int) -> Checked:
    aside = [
        SetAside("rejected", "a.csv", number, f"label 'x{number}' is not one of 0, 4", "{}")
        if number % 3
        else SetAside("rejected", "a.csv", number, "text is blank", "{}")
        for number in range(1, bad + 1)
    ]
    neutral = [SetAside("neutral", "a.csv", 99, "neutral", "{}")] * 50
    account = {"train": {"in": bad + good, "rejected": bad, "out": good}}
    return Checked({}, aside + neutral, account)


def test_too_many_bad_rows_stop_with_the_first_ten_and_a_count_by_reason() -> None:
    require_few_rejected([with_rejected(12, 108)], 0.1)
    with pytest.raises(StudyError) as raised:
        require_few_rejected([with_rejected(12, 107)], 0.1)
    message = str(raised.value)
    assert "12 of 119 rows are bad, more than prepare.max_rejected_share = 0.1" in message
    examples = [line for line in message.splitlines() if line.startswith("  a.csv row ")]
    assert len(examples) == 10
    assert examples[0] == "  a.csv row 1: label 'x1' is not one of 0, 4"
    assert examples[2] == "  a.csv row 3: text is blank"
    counts = [line.split(" × ") for line in message.splitlines() if " × " in line]
    assert [int(count) for count, _ in counts] == [8, 4]
    assert counts[1][1] == "text is blank"


def test_the_share_of_bad_rows_is_of_all_sources_together() -> None:
    require_few_rejected([with_rejected(12, 0), with_rejected(0, 108)], 0.1)
    require_few_rejected([], 0.1)
    require_few_rejected([with_rejected(0, 0)], 0.0)
    with pytest.raises(StudyError, match="1 of 100 rows"):
        require_few_rejected([with_rejected(1, 99)], 0.0)


def with_counts(**counts: int) -> Checked:
    """A source whose one split, train, has these counts, and two rejected rows."""
    aside = [SetAside("rejected", "a.csv", number, "text is blank", "{}") for number in (2, 5)]
    return Checked({}, aside[: counts.get("rejected", 0)], {"train": dict(counts)})


def test_a_split_without_rows_stops_and_reports_the_fate_of_its_rows() -> None:
    require_rows(with_counts(leaks=2, out=1), "labelled")
    with pytest.raises(StudyError, match=r"^labelled: no row is left in train \(leaks 3\)$"):
        require_rows(with_counts(leaks=3, repeats=0, out=0), "labelled")
    with pytest.raises(
        StudyError, match=r"^labelled: no row is left in train \(the split was empty"
    ):
        require_rows(with_counts(out=0), "labelled")


def test_a_split_without_rows_stops_with_the_first_rejected_row() -> None:
    with pytest.raises(
        StudyError, match=r"leaks 2, rejected 2\); rejected first: a\.csv row 2: text is blank$"
    ):
        require_rows(with_counts(leaks=2, rejected=2, out=0), "labelled")


def with_labels(counts: Mapping[str, Mapping[str, int]]) -> Checked:
    """Rows of {split: {label: count}}."""
    return Checked(
        {
            split: [
                Row("a.csv", number, f"{label}{number}", label, {})
                for label, count in labels.items()
                for number in range(count)
            ]
            for split, labels in counts.items()
        }
    )


def test_every_label_needs_a_training_row() -> None:
    test = {"a": 1, "b": 1}
    require_labels(with_labels({"train": {"a": 1, "b": 1, "c": 1}, "test": test}), ["a", "b", "c"])
    with pytest.raises(
        StudyError, match=r"^labelled: train has no row of some label \(a 3, b 2, c 0\)"
    ):
        require_labels(with_labels({"train": {"a": 3, "b": 2}, "test": test}), ["a", "b", "c"])


def test_the_test_rows_need_two_labels() -> None:
    train = {"a": 1, "b": 1, "c": 1}
    with pytest.raises(
        StudyError, match=r"^labelled: all rows of test have one label \(a 0, b 9, c 0\)"
    ):
        require_labels(with_labels({"train": train, "test": {"b": 9}}), ["a", "b", "c"])
