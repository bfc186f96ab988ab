"""Two systems on the same rows: the exact test, and the bootstrap of each difference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from settings.labels import Labels
from stats.classification import classification_metrics
from stats.intervals import paired_difference_interval
from stats.paired import (
    METRICS,
    alone,
    bootstrap_differences,
    bootstrap_intervals,
    holm,
    mcnemar_exact,
    right_rows,
)

TWO = Labels(names=["negative", "positive"], positive="positive")
THREE = Labels(names=["bad", "middling", "good"], positive="good")


def _predictions(
    labels: Labels, n: int, shares: tuple[float, float], seed: int
) -> tuple[list[str], list[str | None], list[str | None]]:
    """Expected labels and two systems right that often, else any label or none."""
    draws = np.random.default_rng(seed)
    expected = [str(each) for each in draws.choice(labels.names, n)]
    others = [*labels.names, None]

    def guessed(share: float) -> list[str | None]:
        return [
            label if draws.random() < share else others[draws.integers(len(others))]
            for label in expected
        ]

    return expected, guessed(shares[0]), guessed(shares[1])


# --- exact test ---------------------------------------------------------------------------------


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_exact_test_is_that_of_statsmodels(b: int, c: int) -> None:
    wanted = mcnemar([[5, b], [c, 5]], exact=True).pvalue if b + c else 1.0
    assert mcnemar_exact(b, c) == pytest.approx(min(1.0, wanted), rel=1e-9)


def test_the_seed_studys_ranking_is_unsupported_at_best() -> None:
    assert (
        mcnemar_exact(2, 0) == 0.5
    )  # 46 and 44 right of 50, those of the second among the first's


@given(st.lists(st.floats(0, 1), max_size=28))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    wanted = multipletests(p_values, method="holm")[1] if p_values else []
    assert holm(p_values) == pytest.approx(list(wanted))


def test_rows_that_one_system_alone_gets_right_are_counted() -> None:
    expected = ["a", "b", "a", "b"]
    first = right_rows(expected, ["a", None, "a", "b"])
    second = right_rows(expected, ["b", "b", None, "b"])
    assert alone(first, second) == (2, 1)


# --- bootstrap ----------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [TWO, THREE])
def test_the_figures_are_those_of_each_system(labels: Labels) -> None:
    expected, first, second = _predictions(labels, 200, (0.8, 0.6), 0)
    found = bootstrap_differences(expected, first, second, labels, 0.95, 1)
    own = bootstrap_intervals(expected, first, labels, 0.95, 1)
    of_first, of_second = (
        classification_metrics(expected, each, labels) for each in (first, second)
    )
    for name in METRICS:
        assert found[name].value == pytest.approx(of_first[name] - of_second[name])
        assert own[name].value == pytest.approx(of_first[name])


@pytest.mark.parametrize("labels", [TWO, THREE])
def test_counts_are_resampled_as_rows_would_be(labels: Labels) -> None:
    expected, first, second = _predictions(labels, 150, (0.8, 0.6), 2)
    draws = np.random.default_rng(3)
    plain: dict[str, list[float]] = {name: [] for name in METRICS}
    for _ in range(1500):
        places = draws.integers(0, 150, 150)
        of_first, of_second = (
            classification_metrics(
                [expected[at] for at in places], [each[at] for at in places], labels
            )
            for each in (first, second)
        )
        for name in METRICS:
            plain[name].append(of_first[name] - of_second[name])
    found = bootstrap_differences(expected, first, second, labels, 0.95, 4)
    for name in METRICS[1:]:
        wanted = np.quantile(plain[name], [0.025, 0.975])
        assert (found[name].low, found[name].high) == pytest.approx(wanted, abs=0.025)


def test_accuracy_has_the_score_interval() -> None:
    expected, first, second = _predictions(TWO, 200, (0.8, 0.6), 5)
    found = bootstrap_differences(expected, first, second, TWO, 0.95, 6)["accuracy"]
    counts = alone(right_rows(expected, first), right_rows(expected, second))
    assert (found.low, found.high) == paired_difference_interval(*counts, 200, 0.95)


def test_below_25_differing_rows_there_is_no_interval_but_that_of_accuracy() -> None:
    expected = ["negative", "positive"] * 100
    first: list[str | None] = list(expected)
    for changed, has_interval in ((24, False), (25, True)):
        second = [None] * changed + first[changed:]
        found = bootstrap_differences(expected, first, second, TWO, 0.95, 0)
        assert all((found[name].low is not None) == has_interval for name in METRICS[1:])
        assert found["accuracy"].low is not None


def test_identical_predictions_divide_by_nothing() -> None:
    for guesses in (["negative"] * 30, [None] * 30):
        found = bootstrap_differences(["positive"] * 30, guesses, guesses, TWO, 0.95, 0)
        assert all(found[name].value == 0 for name in METRICS)
        assert all(np.isfinite(found[name].value) for name in METRICS)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_turned_systems_have_the_turned_difference(seed: int) -> None:
    expected, first, second = _predictions(TWO, 200, (0.7, 0.5), seed)  # so that 25 differ
    one = bootstrap_differences(expected, first, second, TWO, 0.95, 7)
    other = bootstrap_differences(expected, second, first, TWO, 0.95, 7)
    for name in METRICS:
        assert one[name].value == pytest.approx(-other[name].value)
        low, high = one[name].low, one[name].high
        assert low is not None
        assert high is not None
        assert low <= one[name].value <= high
