"""Label noise on the default's scores with labels that the test changes; ceilings computed by hand."""

import csv
from pathlib import Path

from runtime.errors import StudyError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ttest_1samp

from settings.labels import Labels
from stats.noise import (
    accuracy_by_band,
    estimated_noise,
    most_suspicious,
    noise_bound,
    one_rater,
    panel_ceiling,
)
from stats.readings import label_probabilities

TWO = Labels(names=["negative", "positive"], positive="positive")
THREE = Labels(names=["bad", "middling", "good"], positive="good")
TUNED = ("sentiment_fine_tuned", "mixed_fine_tuned")


def turn(expected: list[str], share: float, seed: int, only: str | None = None) -> list[str]:
    """Change exactly this share of the labels; with `only`, only labels that equal it."""
    rows = [at for at, label in enumerate(expected) if only in (None, label)]
    drawn = np.random.default_rng(seed).choice(rows, round(share * len(expected)), replace=False)
    turned = {int(at) for at in drawn}
    other = {"negative": "positive", "positive": "negative"}
    return [other[label] if at in turned else label for at, label in enumerate(expected)]


@pytest.fixture(scope="module")
def scored() -> dict[str, list[list[float]]]:
    """{system: (row, label) log-likelihoods} of both tuned models on the 1,000 test rows; negative first."""
    return {
        system: [[float(row[f"{system}_{name}"]) for name in TWO.names] for row in read_rows()]
        for system in TUNED
    }


@pytest.fixture(scope="module")
def labels() -> list[str]:
    return [row["label"] for row in read_rows()]


def read_rows() -> list[dict[str, str]]:
    path = Path(__file__).parent / "data/tuned_log_likelihoods.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("system", TUNED)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.05, 0.1])
def test_turned_labels_are_estimated_within_two_points(
    scored: dict[str, list[list[float]]], labels: list[str], system: str, share: float
) -> None:
    for seed in range(4):
        turned = turn(labels, share, seed)
        estimate = estimated_noise(label_probabilities(scored[system]), turned, TWO, 0.95)
        assert estimate is not None
        assert estimate.value == pytest.approx(share, abs=0.02)
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= share + 1e-6
        assert share <= estimate.high


@pytest.mark.parametrize("system", TUNED)
@pytest.mark.parametrize("only", TWO.names)
def test_labels_that_are_turned_one_way_alone_are_estimated_too(
    scored: dict[str, list[list[float]]], labels: list[str], system: str, only: str
) -> None:
    turned = turn(labels, 0.05, 0, only)
    estimate = estimated_noise(label_probabilities(scored[system]), turned, TWO, 0.95)
    assert estimate is not None
    assert estimate.value == pytest.approx(0.05, abs=0.02)


def test_wrong_labels_of_the_rows_that_the_model_finds_hardest_are_not_seen(
    scored: dict[str, list[list[float]]], labels: list[str]
) -> None:
    probabilities = label_probabilities(scored["mixed_fine_tuned"])
    hardest = set(np.argsort(probabilities.max(1))[:50].tolist())
    other = {"negative": "positive", "positive": "negative"}
    turned = [other[label] if at in hardest else label for at, label in enumerate(labels)]
    estimate = estimated_noise(probabilities, turned, TWO, 0.95)
    assert estimate is not None
    assert estimate.value < 0.02  # the true share is .05; the docstring states this limit


def test_the_interval_is_the_same_at_any_temperature(
    scored: dict[str, list[list[float]]], labels: list[str]
) -> None:
    turned = turn(labels, 0.05, 1)
    logs = np.array(scored["mixed_fine_tuned"])
    one = estimated_noise(label_probabilities(logs), turned, TWO, 0.95)
    two = estimated_noise(label_probabilities(1.3 * logs), turned, TWO, 0.95)
    assert one is not None
    assert two is not None
    assert one[1:] == pytest.approx(two[1:], abs=2e-3)


def test_a_model_that_is_too_weak_has_no_estimate() -> None:
    draws = np.random.default_rng(0)
    positive = draws.uniform(0.2, 0.8, 500)  # right in two of three rows, and calibrated
    expected = [TWO.names[int(is_positive)] for is_positive in draws.uniform(0, 1, 500) < positive]
    probabilities = np.column_stack([1 - positive, positive])
    assert estimated_noise(probabilities, expected, TWO, 0.95) is None
    assert estimated_noise([], [], TWO, 0.95) is None


def three_labels(n: int) -> tuple[NDArray[np.float64], NDArray[np.int_]]:
    draws = np.random.default_rng(1)
    probabilities = label_probabilities(draws.normal(0, 6, (n, 3)))
    return probabilities, np.array([draws.choice(3, p=row) for row in probabilities])


def test_three_labels_have_noise_too() -> None:
    probabilities, true = three_labels(2000)
    draws = np.random.default_rng(2)
    wrong = draws.choice(2000, 160, replace=False)
    noisy = true.copy()
    noisy[wrong] = (true[wrong] + draws.integers(1, 3, 160)) % 3
    estimate = estimated_noise(probabilities, [THREE.names[at] for at in noisy], THREE, 0.95)
    assert estimate is not None
    assert estimate.value == pytest.approx(0.08, abs=0.02)


def test_a_sure_model_that_is_never_wrong_finds_no_noise() -> None:
    probabilities = np.array([[1.0, 0.0], [0.0, 1.0]] * 100)
    estimate = estimated_noise(probabilities, ["negative", "positive"] * 100, TWO, 0.95)
    assert estimate is not None
    assert estimate.value == pytest.approx(0, abs=1e-3)


# --- the bound before training -------------------------------------------------------------------


def texts_and_labels() -> tuple[list[str], list[str]]:
    things = ("train", "soup", "phone", "film", "storm", "match", "queue", "song", "room", "app")
    texts = [
        f"the {thing} was {feeling} on day {day}"
        for thing in things
        for day in range(10)
        for feeling in ("awful", "lovely")
    ]
    return texts, ["negative", "positive"] * 100


def test_turned_training_labels_are_never_more_than_the_bound() -> None:
    texts, expected = texts_and_labels()
    clean, probabilities = noise_bound(texts, expected, TWO, 0)
    assert clean == 0.0
    assert probabilities.sum(1) == pytest.approx(1)
    for share in (0.05, 0.1):
        bound, _ = noise_bound(texts, turn(expected, share, 3), TWO, 0)
        assert share <= bound < share + 0.05


def test_a_row_is_judged_by_models_that_have_not_seen_it() -> None:
    words = [
        f"word{number}" for number in range(60)
    ]  # no word helps to predict the label of another word
    bound, _ = noise_bound(words, ["negative", "positive"] * 30, TWO, 0)
    assert bound >= 0.4
    assert noise_bound(words, ["negative", "positive"] * 30, TWO, 0)[0] == bound


def test_labels_without_rows_are_reported() -> None:
    with pytest.raises(StudyError, match="two labels with two rows each"):
        noise_bound(["good", "fine", "bad"], ["positive", "positive", "negative"], TWO, 0)


# --- suspicious rows -----------------------------------------------------------------------------


def test_the_row_whose_label_the_models_believe_least_comes_first() -> None:
    one = [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.9, 0.1]]
    two = [[0.7, 0.3], [0.4, 0.6], [0.5, 0.5], [0.7, 0.3]]
    expected = [
        "positive",
        "positive",
        "negative",
        "positive",
    ]  # mean probabilities .2, .7, .5, .2
    assert most_suspicious([one, two], expected, TWO) == [0, 3, 2, 1]
    assert most_suspicious([one, two], expected, TWO, 2) == [0, 3]


def test_most_of_a_hundred_turned_labels_are_among_the_most_suspicious(
    scored: dict[str, list[list[float]]], labels: list[str]
) -> None:
    turned = turn(labels, 0.1, 0)
    models = [label_probabilities(scored[system]) for system in TUNED]
    suspicious = most_suspicious(models, turned, TWO, 50)
    assert sum(turned[at] != labels[at] for at in suspicious) >= 45


# --- human agreement -----------------------------------------------------------------------------


def test_one_rater_agrees_as_often_as_raters_do_on_average() -> None:
    known = [1.0, 0.9, 0.6, 0.95]
    agreement = one_rater([*known, None], 0.95)
    assert agreement is not None
    interval = ttest_1samp(known, 0).confidence_interval(0.95)
    assert agreement == pytest.approx((np.mean(known), interval.low, min(1, interval.high)))
    assert one_rater([None], 0.95) is None
    assert one_rater([0.7], 0.95) == (0.7, None, None)


def test_the_bands_borders_are_in_the_middle_one() -> None:
    agreement = [0.5, 0.79, 0.8, 0.95, 0.96, 1.0, None]
    right = [False, True, True, True, True, False, True]
    bands = accuracy_by_band(agreement, right, 0.95)
    assert {name: n for name, (_, n) in bands.items()} == {
        "below .8": 2,
        ".8 to .95": 2,
        "above .95": 2,
    }
    middle = bands[".8 to .95"][0]
    assert middle is not None
    assert middle.value == 1.0
    assert middle.low == pytest.approx(2 / (2 + 1.959964**2), abs=1e-4)  # Wilson's, all right


@given(st.lists(st.tuples(st.none() | st.floats(0, 1), st.booleans())))
def test_every_row_whose_agreement_is_known_is_in_one_band(
    rows: list[tuple[float | None, bool]],
) -> None:
    bands = accuracy_by_band([agreed for agreed, _ in rows], [right for _, right in rows], 0.95)
    assert sum(n for _, n in bands.values()) == sum(agreed is not None for agreed, _ in rows)


def test_a_panel_that_turns_a_label_takes_its_part_of_the_row() -> None:
    assert panel_ceiling([0.0, 0.25, None, 0.05]) == pytest.approx(0.9)
    assert panel_ceiling([None]) is None


def test_the_bound_for_texts_without_words_is_that_of_the_commonest_label() -> None:
    texts = ["👍", "a", "!", "👎"] * 5
    expected = ["positive", "positive", "positive", "negative"] * 5
    bound, probabilities = noise_bound(texts, expected, TWO, 0)
    assert bound == 0.25
    assert probabilities.shape == (20, 2)
