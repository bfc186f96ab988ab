"""The logistic regressions: order of labels, unseen labels, separation."""

import numpy as np
import pytest

from stats.classifiers import (
    fitted_tfidf,
    has_words,
    log_probabilities,
    state_classifier,
    tfidf_classifier,
)

TEXTS = ["good film", "good soup", "bad film", "bad soup", "so so film", "so so soup"] * 3
LABELS = ["positive", "positive", "negative", "negative", "neutral", "neutral"] * 3


def test_log_probabilities_are_in_the_order_of_the_labels() -> None:
    model = tfidf_classifier().fit(TEXTS, LABELS)
    for labels in (["negative", "neutral", "positive"], ["positive", "negative", "neutral"]):
        scores = log_probabilities(model, ["good day", "bad day", "so so day"], labels)
        assert np.exp(scores).sum(1) == pytest.approx(1)
        assert [labels[at] for at in scores.argmax(1)] == ["positive", "negative", "neutral"]


def test_a_label_that_was_never_seen_is_never_the_most_likely() -> None:
    model = tfidf_classifier().fit(TEXTS, LABELS)
    scores = log_probabilities(model, TEXTS, ["furious", "negative", "neutral", "positive"])
    assert np.isfinite(scores).all()
    assert (scores[:, 0] < scores[:, 1:].min(1)).all()


def test_a_probe_finds_the_direction_that_decides() -> None:
    draws = np.random.default_rng(0)
    states = draws.normal(size=(300, 20))
    labels = ["yes" if state > 0 else "no" for state in states[:, 3] * 5]
    model = state_classifier().fit(states[:200], labels[:200])
    scores = log_probabilities(model, states[200:], ["no", "yes"])
    predicted = ["yes" if yes > no else "no" for no, yes in scores]
    assert np.mean([a == b for a, b in zip(predicted, labels[200:], strict=True)]) > 0.9


def test_texts_without_words_get_the_shares_of_the_labels() -> None:
    texts = ["👍", "a", "!", "👎", "é"]
    assert not has_words(texts)
    model = fitted_tfidf(texts, ["good", "good", "bad", "good", "bad"])
    scores = log_probabilities(model, ["👍", "a word"], ["bad", "good"])
    assert np.exp(scores) == pytest.approx(np.array([[0.4, 0.6]] * 2))


def test_one_word_is_enough_for_tfidf() -> None:
    texts = ["👍", "ab", "c", "d"]
    assert has_words(texts)
    model = fitted_tfidf(texts, ["good", "good", "bad", "bad"])
    assert log_probabilities(model, ["ab", "👍"], ["bad", "good"]).shape == (2, 2)
    assert type(model) is type(tfidf_classifier())
