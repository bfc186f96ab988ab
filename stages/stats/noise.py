"""How many labels may be wrong: bounds, estimates, suspicious rows, and what raters' doubt allows."""

from collections import Counter
from collections.abc import Sequence

from runtime.errors import StudyError

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import softmax
from scipy.stats import chi2
from sklearn.model_selection import StratifiedKFold

from settings.labels import Labels
from stats.classifiers import log_probabilities, tfidf_classifier
from stats.estimate import Estimate, mean_share, share

FOLDS = 5
TOO_MANY = 0.2  # a model that disagrees with more of the labels cannot tell its errors from theirs
TEMPERATURE_DOUBT = 0.15  # standard deviation of the log: within a third of 1 for 95%


def noise_bound(
    texts: Sequence[str], expected: Sequence[str], labels: Labels, seed: int
) -> tuple[float, NDArray[np.float64]]:
    """An upper bound of the share of wrong labels, and each row's label probabilities, (n, K).

    The share of rows whose label is not the one that logistic regression on TF-IDF finds without
    having seen the row. A model that is wrong on a share e of the rows, apart from what is wrong
    with the labels, disagrees on noise + e (1 - 2 noise): never less than the noise while that is
    below a half. Its own errors count in it, so most of the bound is usually theirs.
    """
    if sum(n >= 2 for n in Counter(expected).values()) < 2:
        raise StudyError("train: two labels with two rows each are needed; give it more rows")
    parts = min(FOLDS, max(Counter(expected).values()))
    folds = StratifiedKFold(parts, shuffle=True, random_state=seed)
    found = np.empty((len(texts), len(labels.names)))
    for seen, unseen in folds.split(texts, expected):
        model = tfidf_classifier().fit([texts[at] for at in seen], [expected[at] for at in seen])
        rows = [texts[at] for at in unseen]
        found[unseen] = np.exp(log_probabilities(model, rows, labels.names))
    return float((found.argmax(1) != _places(expected, labels)).mean()), found


def estimated_noise(
    probabilities: ArrayLike, expected: Sequence[str], labels: Labels, confidence: float
) -> Estimate | None:
    """The share of wrong labels that the model's confident disagreements with them tell, (n, K).

    Confident learning (Northcutt, Jiang, Chuang 2021) counts confident disagreements and so the
    model's own confident errors too. Here the two are told apart by likelihood: a row's true label
    has the model's probabilities at a temperature, and a label k is wrong with a rate of its own,
    then any other alike: P(given) = sum over k of q_k T_k,given (the forward model of Patrini et
    al. 2017). Errors become rare where the model is sure, wrong labels do not. Temperature and
    rates are fitted to these rows together; the temperature, of a model that was trained by
    likelihood, is expected near 1 (log-normal). The interval is of the likelihood's ratio with the
    temperature free.

    It takes a label's being wrong to have nothing to do with the text: what is wrong on the rows
    that the model finds hard is not seen. None where the model disagrees with more than a fifth of
    the labels: it is too weak to tell, or they are too wrong.
    """
    found = np.asarray(probabilities, float).reshape(-1, len(labels.names))
    given, (n, k) = _places(expected, labels), found.shape
    if not n or (found.argmax(1) != given).mean() > TOO_MANY:
        return None
    logs = np.log(np.clip(found, np.finfo(float).tiny, 1))

    def fitted(at: NDArray[np.float64]) -> tuple[float, float]:
        """Log of 1 / temperature and K rates -> the share of wrong labels, and the likelihood."""
        rates, true = at[1:], softmax(np.exp(at[0]) * logs, axis=1)
        kept = true[np.arange(n), given]
        moved = (true @ rates - kept * rates[given]) / (k - 1)
        seen = np.clip(kept * (1 - rates[given]) + moved, np.finfo(float).tiny, 1)
        return float(true.mean(0) @ rates), float(np.log(seen).sum())

    def unlikely(at: NDArray[np.float64], doubt: float) -> float:
        return -fitted(at)[1] + (at[0] / doubt) ** 2 / 2

    bounds = [(-3.0, 3.0)] + [(0.0, 1 - 1 / k)] * k  # beyond, a label would say less than chance
    best = minimize(unlikely, [0.0] + [0.03] * k, (TEMPERATURE_DOUBT,), "L-BFGS-B", bounds=bounds)
    free = minimize(unlikely, best.x, (np.inf,), "L-BFGS-B", bounds=bounds)
    limit = free.fun + chi2.ppf(confidence, 1) / 2
    likely = {"type": "ineq", "fun": lambda at: limit - unlikely(at, np.inf)}
    value = fitted(best.x)[0]
    ends = [
        minimize(
            lambda at, sign=sign: sign * fitted(at)[0],
            free.x,
            method="SLSQP",
            bounds=bounds,
            constraints=likely,
            options={"maxiter": 500},
        )
        for sign in (1, -1)
    ]
    if not all(end.success for end in ends):
        return Estimate(value, None, None)
    low, high = (fitted(end.x)[0] for end in ends)
    return Estimate(value, min(low, value), max(high, value))


def most_suspicious(
    probabilities: Sequence[ArrayLike], expected: Sequence[str], labels: Labels, count: int = 50
) -> list[int]:
    """Places of the rows whose label the models believe least, the most suspicious first.

    `probabilities` are the models', each (n, K); the given label's are averaged. Ties by place.
    """
    given = _places(expected, labels)
    belief = np.mean([np.asarray(each)[np.arange(len(given)), given] for each in probabilities], 0)
    return [int(at) for at in np.argsort(belief, kind="stable")[:count]]


# --- what people reach ---------------------------------------------------------------------------


def one_rater(agreement: Sequence[float | None], confidence: float) -> Estimate | None:
    """The share of rows where one human rater, neutral ones aside, would name the label.

    The mean agreement of the rows where it is known, with Student's interval over rows, inside 0
    and 1; None where it is nowhere known.
    """
    known = [each for each in agreement if each is not None]
    return mean_share(known, confidence) if known else None


def accuracy_by_band(
    agreement: Sequence[float | None], right: Sequence[bool], confidence: float
) -> dict[str, tuple[Estimate | None, int]]:
    """Band of human agreement -> accuracy with Wilson's interval and n; .8 and .95 are in between."""
    bands: dict[str, list[bool]] = {"below .8": [], ".8 to .95": [], "above .95": []}
    for agreed, is_right in zip(agreement, right, strict=True):
        if agreed is not None:
            bands[
                "below .8" if agreed < 0.8 else ".8 to .95" if agreed <= 0.95 else "above .95"
            ].append(is_right)
    return {name: (share(rows, confidence), len(rows)) for name, rows in bands.items()}


def panel_ceiling(turned: Sequence[float | None]) -> float | None:
    """The accuracy that the raters' disagreement allows at most: the mean of 1 - turned.

    `turned` is each row's share of resampled panels of raters that name another label; None where
    it is nowhere known.
    """
    known = [1 - each for each in turned if each is not None]
    return float(np.mean(known)) if known else None


def _places(expected: Sequence[str], labels: Labels) -> NDArray[np.int_]:
    return np.array([labels.names.index(label) for label in expected], int)
