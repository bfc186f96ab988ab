"""How many labels may be wrong, which rows are suspicious, and how accurate human raters are."""

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
from stats.classifiers import fitted_tfidf, log_probabilities
from stats.estimate import Estimate, mean_share, share

FOLDS = 5
# A model that disagrees with more of the labels cannot separate its own errors from label errors.
MAX_DISAGREEMENT = 0.2
# Prior standard deviation of the log temperature: 95% of temperatures are between 0.74 and 1.34.
LOG_TEMPERATURE_SD = 0.15
MAX_RATES = 10


def noise_bound(
    texts: Sequence[str], expected: Sequence[str], labels: Labels, seed: int
) -> tuple[float, NDArray[np.float64]]:
    """An upper bound of the share of wrong labels, and the label probabilities (n, K) behind it.

    The bound is the share of labels that differ from the prediction of a logistic regression on TF-IDF
    in cross-validation. Suppose that a model errs on a share e of the rows, independently of label
    errors. Then it disagrees with a share noise + e (1 - 2 noise) of the labels, which is at least the
    noise if the noise is below one half. The bound includes the model's own errors, which are usually
    most of it. If no text has a word, the prediction is the commonest label.

    Raises `StudyError` if fewer than two labels have two rows.
    """
    rows_by_label = Counter(expected)
    if sum(n >= 2 for n in rows_by_label.values()) < 2:
        raise StudyError("train: at least two labels with two rows each are needed: add more rows")
    n_folds = min(FOLDS, max(rows_by_label.values()))
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    probabilities = np.empty((len(texts), len(labels.names)))
    for train, test in folds.split(texts, expected):
        model = fitted_tfidf([texts[at] for at in train], [expected[at] for at in train])
        test_texts = [texts[at] for at in test]
        probabilities[test] = np.exp(log_probabilities(model, test_texts, labels.names))
    disagrees = probabilities.argmax(1) != _label_places(expected, labels)
    return float(disagrees.mean()), probabilities


def estimated_noise(
    probabilities: ArrayLike, expected: Sequence[str], labels: Labels, confidence: float
) -> Estimate | None:
    """The share of wrong labels, estimated from a model's confident disagreements, (n, K).

    Confident learning (Northcutt, Jiang, Chuang 2021) counts all confident disagreements, which include
    the model's own confident errors. Here a likelihood separates model errors from label errors. The
    true label has the model's probabilities q at some temperature. A true label k is recorded wrongly
    at a rate of its own, as every other label with equal probability: P(recorded) = sum over k of
    q_k T_k,recorded (the forward model of Patrini et al. 2017). Where the model is confident, model
    errors are rare, but label errors are not.

    With more than `MAX_RATES` labels, one rate holds for all labels: a label then has too few rows for a
    rate of its own. Temperature and rates are fitted to these rows together. The temperature has a
    log-normal prior around 1, because the model was trained by likelihood. The interval is a
    likelihood-ratio interval without the prior.

    The model of label errors ignores the text, so label errors on rows that are hard for the model are
    mostly missed. None if there is no row, or if the model disagrees with more than a fifth of the
    labels: then the model is too weak, or the labels are too often wrong.
    """
    model_probabilities = np.asarray(probabilities, float).reshape(-1, len(labels.names))
    recorded, (n, k) = _label_places(expected, labels), model_probabilities.shape
    if not n or (model_probabilities.argmax(1) != recorded).mean() > MAX_DISAGREEMENT:
        return None
    logs = np.log(np.clip(model_probabilities, np.finfo(float).tiny, 1))

    def noise_and_log_likelihood(parameters: NDArray[np.float64]) -> tuple[float, float]:
        """`parameters`: log of 1 / temperature, then K error rates, or one rate."""
        rates, p_true = np.zeros(k) + parameters[1:], softmax(np.exp(parameters[0]) * logs, axis=1)
        p_label = p_true[np.arange(n), recorded]
        p_from_other_labels = (p_true @ rates - p_label * rates[recorded]) / (k - 1)
        p_recorded = p_label * (1 - rates[recorded]) + p_from_other_labels
        p_recorded = np.clip(p_recorded, np.finfo(float).tiny, 1)
        return float(p_true.mean(0) @ rates), float(np.log(p_recorded).sum())

    def loss(parameters: NDArray[np.float64], prior_sd: float) -> float:
        log_likelihood = noise_and_log_likelihood(parameters)[1]
        return -log_likelihood + (parameters[0] / prior_sd) ** 2 / 2

    # With an error rate above 1 - 1 / K, a label would be worse than a random label.
    n_rates = k if k <= MAX_RATES else 1
    bounds = [(-3.0, 3.0)] + [(0.0, 1 - 1 / k)] * n_rates
    best = minimize(
        loss, [0.0] + [0.03] * n_rates, (LOG_TEMPERATURE_SD,), "L-BFGS-B", bounds=bounds
    )
    without_prior = minimize(loss, best.x, (np.inf,), "L-BFGS-B", bounds=bounds)
    limit = without_prior.fun + chi2.ppf(confidence, 1) / 2
    within_limit = {"type": "ineq", "fun": lambda parameters: limit - loss(parameters, np.inf)}
    value = noise_and_log_likelihood(best.x)[0]
    ends = [
        minimize(
            lambda parameters, sign=sign: sign * noise_and_log_likelihood(parameters)[0],
            without_prior.x,
            method="SLSQP",
            bounds=bounds,
            constraints=within_limit,
            options={"maxiter": 500},
        )
        for sign in (1, -1)
    ]
    if not all(end.success for end in ends):
        return Estimate(value, None, None)
    low, high = (noise_and_log_likelihood(end.x)[0] for end in ends)
    return Estimate(value, min(low, value), max(high, value))


def most_suspicious(
    probabilities: Sequence[ArrayLike], expected: Sequence[str], labels: Labels, count: int = 50
) -> list[int]:
    """Places of the `count` rows whose labels are least probable for the models, least probable first.

    `probabilities`: one array (n, K) a model. The probability of a row's label is averaged over models.
    Ties are in order of place.
    """
    recorded = _label_places(expected, labels)
    rows = np.arange(len(recorded))
    p_recorded = np.mean([np.asarray(model)[rows, recorded] for model in probabilities], 0)
    return [int(at) for at in np.argsort(p_recorded, kind="stable")[:count]]


# --- the accuracy of human raters ----------------------------------------------------------------


def one_rater(agreement: Sequence[float | None], confidence: float) -> Estimate | None:
    """The share of rows to which one human rater who is not neutral would give the label.

    It is the mean agreement of the rows with known agreement, with Student's t interval over rows, cut
    at 0 and 1. None if no row has a known agreement.
    """
    known = [value for value in agreement if value is not None]
    return mean_share(known, confidence) if known else None


def accuracy_by_band(
    agreement: Sequence[float | None], right: Sequence[bool], confidence: float
) -> dict[str, tuple[Estimate | None, int]]:
    """Accuracy with Wilson's interval, and n, by band of human agreement.

    Agreements of exactly .8 and .95 are in the middle band. Rows without agreement are in no band.
    """
    bands: dict[str, list[bool]] = {"below .8": [], ".8 to .95": [], "above .95": []}
    for agreed, is_right in zip(agreement, right, strict=True):
        if agreed is not None:
            bands[
                "below .8" if agreed < 0.8 else ".8 to .95" if agreed <= 0.95 else "above .95"
            ].append(is_right)
    return {name: (share(rows, confidence), len(rows)) for name, rows in bands.items()}


def panel_ceiling(turned: Sequence[float | None]) -> float | None:
    """The highest accuracy that the raters' disagreement allows: the mean of 1 - turned.

    `turned`: for each row, the share of resampled panels of raters with another label. The result is
    None if no row has a known share.
    """
    known = [1 - share_turned for share_turned in turned if share_turned is not None]
    return float(np.mean(known)) if known else None


def _label_places(expected: Sequence[str], labels: Labels) -> NDArray[np.int_]:
    return np.array([labels.names.index(label) for label in expected], int)
