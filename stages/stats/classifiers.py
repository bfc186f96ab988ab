"""Logistic regressions to compare language models with: on TF-IDF, and on hidden states."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

_WORD = re.compile(r"\b\w\w+\b")  # the pattern of TfidfVectorizer


def has_words(texts: Sequence[str]) -> bool:
    """Whether TF-IDF finds a word in the texts: two letters or digits in a row."""
    return any(_WORD.search(text) for text in texts)


def fitted_tfidf(texts: Sequence[str], labels: Sequence[str]) -> Any:
    """A classifier of texts, fitted: `tfidf_classifier`.

    If no text has a word, such as a lone emoji, the classifier predicts the shares of the labels.
    """
    model = tfidf_classifier() if has_words(texts) else DummyClassifier(strategy="prior")
    return model.fit(texts, labels)


def tfidf_classifier() -> Any:
    """A classifier of texts: logistic regression on TF-IDF of words and word pairs."""
    return make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    )


def state_classifier() -> Any:
    """A classifier of hidden states (n, H): logistic regression on standardised states.

    Cross-validation with 3 folds chooses the penalty.
    """
    return make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(
            Cs=[1e-4, 1e-3, 1e-2, 1e-1],
            l1_ratios=(0,),
            cv=3,
            scoring="neg_log_loss",
            max_iter=1000,
            use_legacy_attributes=False,
        ),
    )


def log_probabilities(model: Any, rows: Any, labels: Sequence[str]) -> NDArray[np.float64]:
    """Log-probabilities of the labels by a fitted classifier, in nats: (n, K) in the order of `labels`.

    A label without training rows gets the log of the smallest positive normal float.
    """
    fitted = np.log(np.clip(model.predict_proba(rows), np.finfo(float).tiny, 1))
    logs = np.full((len(fitted), len(labels)), np.log(np.finfo(float).tiny))
    for column, name in enumerate(model.classes_):
        logs[:, labels.index(name)] = fitted[:, column]
    return logs
