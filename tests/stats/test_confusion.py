"""Every metric on confusion counts, compared with scikit-learn: nulls, absent labels, 2 to 6 labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    matthews_corrcoef,
    precision_recall_fscore_support,
)

from settings.labels import Labels
from stats.confusion import (
    METRICS,
    absent_labels,
    classification_metrics,
    confusion_counts,
    metric_values,
)

TWO = Labels(names=["negative", "positive"], positive="positive")
THREE = Labels(names=["bad", "middling", "good"], positive="good")
ALL_LABELS = ["anger", "fear", "joy", "love", "sadness", "surprise"]

Rows = tuple[Labels, list[str], list[str | None]]


@st.composite
def rows(draw: st.DrawFn, all_labels_occur: bool = False) -> Rows:
    """Two to six labels, expected labels (some may be absent), predictions (some may be null)."""
    names = draw(st.permutations(ALL_LABELS))[: draw(st.integers(2, 6))]
    labels = Labels(names=list(names), positive=draw(st.sampled_from(names)))
    occurring = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    pairs = draw(
        st.lists(
            st.tuples(st.sampled_from(occurring), st.sampled_from([*names, None])),
            min_size=1,
            max_size=40,
        )
    )
    if all_labels_occur:
        pairs += [(name, draw(st.sampled_from([*names, None]))) for name in names]
    return labels, [label for label, _ in pairs], [guess for _, guess in pairs]


def by_scikit_learn(
    expected: list[str], predicted: list[str | None], labels: Labels
) -> dict[str, float]:
    """Every metric except balanced accuracy, by scikit-learn; a null is an additional label."""
    guesses = [guess or "" for guess in predicted]
    occurring = [name for name in labels.names if name in expected]
    macro = precision_recall_fscore_support(
        expected, guesses, labels=occurring, average=None, zero_division=0
    )
    macro = [by_label.mean() for by_label in macro[:3]]
    of_positive = precision_recall_fscore_support(
        expected, guesses, labels=[labels.positive], average=None, zero_division=0
    )
    shown = [values[0] for values in of_positive[:3]] if len(labels.names) == 2 else macro
    return {
        "accuracy": accuracy_score(expected, guesses),
        **dict(zip(("precision", "recall", "f1"), map(float, shown), strict=True)),
        "macro_f1": float(macro[2]),
        "matthews": float(matthews_corrcoef(expected, guesses)),
    }


# --- against scikit-learn -------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@given(rows())
def test_every_metric_is_that_of_scikit_learn(study: Rows) -> None:
    labels, expected, predicted = study
    metrics = classification_metrics(expected, predicted, labels)
    assert metrics.keys() == {*(metric.key for metric in METRICS), "n"}
    assert metrics.pop("n") == len(expected)
    wanted = by_scikit_learn(expected, predicted, labels)
    wanted["balanced_accuracy"] = balanced_accuracy_score(
        expected, [guess or "" for guess in predicted]
    )
    assert metrics == pytest.approx(wanted, rel=0, abs=1e-12)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@given(rows(all_labels_occur=True))
def test_where_all_labels_occur_the_first_versions_metrics_are_the_same_floats(study: Rows) -> None:
    labels, expected, predicted = study
    guesses = [guess or "" for guess in predicted]
    precision, recall, f1, _ = precision_recall_fscore_support(
        expected, guesses, labels=labels.names, average=None, zero_division=0
    )
    place = labels.names.index(labels.positive)
    first_version = {
        key: float(values[place] if len(labels.names) == 2 else values.mean())
        for key, values in (("precision", precision), ("recall", recall), ("f1", f1))
    }
    first_version |= {
        "accuracy": float(accuracy_score(expected, guesses)),
        "macro_f1": float(f1.mean()),
        "n": len(expected),
    }
    metrics = classification_metrics(expected, predicted, labels)
    assert {key: metrics[key] for key in first_version} == first_version


def test_matthews_of_many_rows_does_not_overflow() -> None:
    draws = np.random.default_rng(0)
    expected = draws.choice(THREE.names, 200_000).tolist()
    predicted = np.where(draws.random(200_000) < 0.7, expected, "bad").tolist()
    metrics = classification_metrics(expected, predicted, THREE)
    assert metrics["matthews"] == pytest.approx(matthews_corrcoef(expected, predicted), abs=1e-12)


# --- properties -----------------------------------------------------------------------------------


@given(rows(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(study: Rows, random: np.random.Generator) -> None:
    labels, expected, predicted = study
    places = list(range(len(expected)))
    random.shuffle(places)
    shuffled = [expected[place] for place in places], [predicted[place] for place in places]
    assert classification_metrics(*shuffled, labels) == classification_metrics(
        expected, predicted, labels
    )


@given(rows(), st.permutations(ALL_LABELS))
def test_the_order_and_the_names_of_labels_change_nothing(
    study: Rows, new_names: list[str]
) -> None:
    labels, expected, predicted = study
    metrics = classification_metrics(expected, predicted, labels)
    reordered = Labels(names=labels.names[::-1], positive=labels.positive)
    assert classification_metrics(expected, predicted, reordered) == pytest.approx(
        metrics, rel=0, abs=1e-12
    )
    renamed = dict(zip(ALL_LABELS, new_names, strict=True))
    assert metrics == classification_metrics(
        [renamed[label] for label in expected],
        [guess and renamed[guess] for guess in predicted],
        Labels(names=[renamed[name] for name in labels.names], positive=renamed[labels.positive]),
    )


@given(rows())
def test_shares_lie_in_0_to_1_and_matthews_in_minus_1_to_1(study: Rows) -> None:
    labels, expected, predicted = study
    metrics = classification_metrics(expected, predicted, labels)
    assert -1 - 1e-12 <= metrics["matthews"] <= 1 + 1e-12
    assert all(0 <= value <= 1 for key, value in metrics.items() if key not in ("n", "matthews"))


@given(rows())
def test_several_tables_have_the_metrics_of_each_table_alone(study: Rows) -> None:
    labels, expected, predicted = study
    counts = confusion_counts(expected, predicted, labels)
    right = confusion_counts(expected, expected, labels)
    together = metric_values(np.stack([counts, right]), labels)
    for place, table in enumerate((counts, right)):
        alone = metric_values(table[None], labels)
        assert {key: value[place] for key, value in together.items()} == {
            key: value[0] for key, value in alone.items()
        }


# --- what counts as wrong, what is excluded ----------------------------------------------------------


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
    for invalid in (None, "no label"):
        metrics = classification_metrics(
            ["positive", "negative", "negative"], [invalid, "negative", "negative"], TWO
        )
        assert metrics["accuracy"] == pytest.approx(2 / 3)
        assert metrics["recall"] == 0.0
        assert metrics["macro_f1"] == metrics["balanced_accuracy"] == 0.5
        assert 0 < metrics["matthews"] < 1
    counts = confusion_counts(["positive", "negative"], [None, "negative"], TWO)
    assert counts.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_three_labels_are_averaged() -> None:
    expected = ["bad", "good", "middling", "good"]
    predicted = ["bad", "bad", "middling", "good"]
    metrics = classification_metrics(expected, predicted, THREE)
    wanted = f1_score(expected, predicted, average="macro")
    assert metrics["f1"] == pytest.approx(wanted)
    assert metrics["macro_f1"] == pytest.approx(wanted)


def test_macro_averages_run_over_the_labels_that_occur_and_absent_labels_are_named() -> None:
    expected, predicted = ["bad", "good", "good"], ["bad", "good", "middling"]
    assert absent_labels(expected, THREE) == ["middling"]
    assert absent_labels(["good", "middling", "bad"], THREE) == []
    metrics = classification_metrics(expected, predicted, THREE)
    assert metrics["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
    assert metrics["balanced_accuracy"] == pytest.approx((1 + 1 / 2) / 2)


def test_resamples_are_averaged_over_the_labels_of_the_observed_rows() -> None:
    observed = confusion_counts(["bad", "good"], ["bad", "good"], THREE)
    resample = confusion_counts(["bad", "bad"], ["bad", "bad"], THREE)  # without a row of "good"
    values = metric_values(np.stack([observed, resample]), THREE)
    assert values["macro_f1"].tolist() == [1.0, 0.5]
    assert values["balanced_accuracy"].tolist() == [1.0, 0.5]


def test_the_commonest_label_has_accuracy_but_no_matthews_correlation() -> None:
    expected = ["positive"] * 90 + ["negative"] * 10
    metrics = classification_metrics(expected, ["positive"] * 100, TWO)
    assert metrics["accuracy"] == 0.9
    assert metrics["balanced_accuracy"] == 0.5
    assert metrics["matthews"] == 0


def test_no_rows_divide_by_nothing() -> None:
    assert set(classification_metrics([], [], THREE).values()) == {0}


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 expected labels, 1 predictions"):
        classification_metrics(["good", "bad"], ["good"], THREE)
    with pytest.raises(KeyError, match="other"):
        classification_metrics(["other"], ["good"], THREE)
