"""Logistic regressions that stand beside the language models: on TF-IDF, on hidden states."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def tfidf_classifier() -> Any:
    """Of texts: logistic regression on TF-IDF of words and word pairs."""
    return make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    )


def state_classifier() -> Any:
    """Of hidden states (n, H): logistic regression, its penalty chosen by 3-fold cross-validation."""
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
    """What a fitted classifier gives each label, in nats: (n, K) in the order of `labels`.

    A label that it never saw gets the least that a number can hold.
    """
    known = np.log(np.clip(model.predict_proba(rows), np.finfo(float).tiny, 1))
    found = np.full((len(known), len(labels)), np.log(np.finfo(float).tiny))
    for at, name in enumerate(model.classes_):
        found[:, labels.index(name)] = known[:, at]
    return found
