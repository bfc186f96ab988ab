"""The figures of a system: the positive label's with two labels, macro averages with more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from settings.labels import Labels
from stats.classification import classification_metrics

TWO = Labels(names=["negative", "positive"], positive="positive")
THREE = Labels(names=["bad", "middling", "good"], positive="good")


def test_the_seed_studys_table_comes_from_its_counts() -> None:
    # TP 21, FP 2, FN 2, TN 25 of 50 rows: 0.92 / 0.913 / 0.913 / 0.913.
    expected = ["positive"] * 23 + ["negative"] * 27
    predicted = ["positive"] * 21 + ["negative"] * 2 + ["positive"] * 2 + ["negative"] * 25
    metrics = classification_metrics(expected, predicted, TWO)
    assert metrics["accuracy"] == pytest.approx(0.92)
    for name in ("f1", "precision", "recall"):
        assert metrics[name] == pytest.approx(21 / 23)
    assert metrics["n"] == 50


def test_an_answer_that_names_no_label_is_wrong() -> None:
    metrics = classification_metrics(["positive", "negative"], [None, "negative"], TWO)
    assert metrics["accuracy"] == 0.5
    assert metrics["recall"] == 0.0


def test_three_labels_are_averaged() -> None:
    expected = ["bad", "good", "middling", "good"]
    predicted = ["bad", "bad", "middling", "good"]
    metrics = classification_metrics(expected, predicted, THREE)
    wanted = f1_score(expected, predicted, average="macro")
    assert metrics["f1"] == pytest.approx(wanted)
    assert metrics["macro_f1"] == pytest.approx(wanted)


@given(st.lists(st.tuples(st.sampled_from(TWO.names), st.sampled_from(TWO.names)), min_size=1))
def test_figures_are_shares(pairs: list[tuple[str, str]]) -> None:
    metrics = classification_metrics([a for a, _ in pairs], [b for _, b in pairs], TWO)
    assert all(0 <= metrics[name] <= 1 for name in metrics if name != "n")
