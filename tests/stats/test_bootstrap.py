"""The bootstrap of every metric, for one system and for the difference of two."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settings.labels import Labels
from stats import bootstrap
from stats.bootstrap import (
    Differences,
    Metrics,
    metric_differences,
    metric_intervals,
    resampled_metrics,
)
from stats.confusion import METRICS, classification_metrics
from stats.intervals import paired_difference_interval
from stats.paired import alone, right_rows

KEYS = [metric.key for metric in METRICS]  # accuracy first
TWO = Labels(names=["negative", "positive"], positive="positive")
THREE = Labels(names=["bad", "middling", "good"], positive="good")


def _predictions(
    labels: Labels, n: int, shares: tuple[float, float], seed: int
) -> tuple[list[str], list[str | None], list[str | None]]:
    """Expected labels and the predictions of two systems with these accuracies; errors are random."""
    draws = np.random.default_rng(seed)
    expected = [str(label) for label in draws.choice(labels.names, n)]
    others = [*labels.names, None]

    def guessed(share: float) -> list[str | None]:
        return [
            label if draws.random() < share else others[draws.integers(len(others))]
            for label in expected
        ]

    return expected, guessed(shares[0]), guessed(shares[1])


def bootstrap_differences(
    expected: list[str],
    first: Sequence[str | None],
    second: Sequence[str | None],
    labels: Labels,
    confidence: float,
    seed: int,
) -> Differences:
    """The differences of two systems that are resampled together."""
    values = resampled_metrics(expected, {"first": first, "second": second}, labels, seed)
    own = (values["first"], values["second"])
    return metric_differences(expected, first, second, *own, confidence)


def bootstrap_intervals(
    expected: list[str],
    predicted: Sequence[str | None],
    labels: Labels,
    confidence: float,
    seed: int,
) -> Metrics:
    """The metrics of one system, resampled alone."""
    values = resampled_metrics(expected, {"one": predicted}, labels, seed)
    return metric_intervals(values["one"], confidence)


def test_the_interval_of_a_system_does_not_depend_on_the_other_systems() -> None:
    expected, first, second = _predictions(THREE, 120, (0.8, 0.6), 9)
    values = resampled_metrics(expected, {"second": second, "first": first}, THREE, 3)
    alone_values = resampled_metrics(expected, {"first": first}, THREE, 3)
    for key in KEYS:
        assert (values["first"][key] == alone_values["first"][key]).all()


def test_resamples_in_chunks_are_the_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, first, second = _predictions(THREE, 90, (0.8, 0.6), 10)
    systems = {"first": first, "second": second}
    monkeypatch.setattr(bootstrap, "REPLICATES", 40)
    whole = resampled_metrics(expected, systems, THREE, 3)
    monkeypatch.setattr(bootstrap, "_CHUNK", 7 * 90)
    in_chunks = resampled_metrics(expected, systems, THREE, 3)
    for name in systems:
        for key in KEYS:
            assert len(whole[name][key]) == 41
            assert (in_chunks[name][key] == whole[name][key]).all()


@pytest.mark.parametrize("labels", [TWO, THREE])
def test_the_values_are_those_of_each_system(labels: Labels) -> None:
    expected, first, second = _predictions(labels, 200, (0.8, 0.6), 0)
    differences = bootstrap_differences(expected, first, second, labels, 0.95, 1)
    own = bootstrap_intervals(expected, first, labels, 0.95, 1)
    of_first, of_second = (
        classification_metrics(expected, scored, labels) for scored in (first, second)
    )
    for name in KEYS:
        assert differences[name].value == pytest.approx(of_first[name] - of_second[name])
        assert own[name].value == pytest.approx(of_first[name])


@pytest.mark.parametrize("labels", [TWO, THREE])
def test_counts_are_resampled_as_rows_would_be(labels: Labels) -> None:
    expected, first, second = _predictions(labels, 150, (0.8, 0.6), 2)
    draws = np.random.default_rng(3)
    plain: dict[str, list[float]] = {name: [] for name in KEYS}
    for _ in range(1500):
        indices = draws.integers(0, 150, 150)
        of_first, of_second = (
            classification_metrics(
                [expected[at] for at in indices], [scored[at] for at in indices], labels
            )
            for scored in (first, second)
        )
        for name in KEYS:
            plain[name].append(of_first[name] - of_second[name])
    differences = bootstrap_differences(expected, first, second, labels, 0.95, 4)
    for name in KEYS[1:]:
        wanted = np.quantile(plain[name], [0.025, 0.975])
        assert (differences[name].low, differences[name].high) == pytest.approx(wanted, abs=0.025)


def test_accuracy_has_the_score_interval() -> None:
    expected, first, second = _predictions(TWO, 200, (0.8, 0.6), 5)
    accuracy = bootstrap_differences(expected, first, second, TWO, 0.95, 6)["accuracy"]
    counts = alone(right_rows(expected, first), right_rows(expected, second))
    assert (accuracy.low, accuracy.high) == paired_difference_interval(*counts, 200, 0.95)


def test_below_25_differing_rows_there_is_no_interval_but_that_of_accuracy() -> None:
    expected = ["negative", "positive"] * 100
    first: list[str | None] = list(expected)
    for changed, has_interval in ((24, False), (25, True)):
        second = [None] * changed + first[changed:]
        differences = bootstrap_differences(expected, first, second, TWO, 0.95, 0)
        assert all((differences[name].low is not None) == has_interval for name in KEYS[1:])
        assert differences["accuracy"].low is not None


def test_identical_predictions_divide_by_nothing() -> None:
    for guesses in (["negative"] * 30, [None] * 30):
        differences = bootstrap_differences(["positive"] * 30, guesses, guesses, TWO, 0.95, 0)
        assert all(differences[name].value == 0 for name in KEYS)
        assert all(np.isfinite(differences[name].value) for name in KEYS)


@settings(max_examples=20, deadline=None)  # two bootstraps of 10,000 resamples each
@given(st.integers(0, 10_000))
def test_turned_systems_have_the_turned_difference(seed: int) -> None:
    expected, first, second = _predictions(TWO, 200, (0.7, 0.5), seed)  # at least 25 rows differ
    one = bootstrap_differences(expected, first, second, TWO, 0.95, 7)
    other = bootstrap_differences(expected, second, first, TWO, 0.95, 7)
    for name in KEYS:
        assert one[name].value == pytest.approx(-other[name].value)
        low, high = one[name].low, one[name].high
        assert low is not None
        assert high is not None
        assert low <= one[name].value <= high
