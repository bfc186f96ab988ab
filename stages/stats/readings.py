"""Readings of a model's answers: label probabilities, a moved threshold, answers without a label."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from settings.labels import Labels


def label_probabilities(log_likelihoods: ArrayLike) -> NDArray[np.float64]:
    """Probabilities (n, K) that sum to 1 a row, from log-likelihoods of the labels in nats (n, K)."""
    return np.asarray(softmax(np.asarray(log_likelihoods, float), axis=1))


def chosen_shift(
    log_likelihoods: ArrayLike, expected: Sequence[str], labels: Labels
) -> list[float]:
    """Constants in nats (K), added to the labels' log-likelihoods (n, K), that maximise accuracy.

    The first label's constant is 0. With two labels, the second constant is a moved threshold. Accuracy
    changes only at the constants where a row changes its label. Of the intervals between two such
    constants, those with the highest accuracy are kept, then the widest of these. The result is the
    middle of the remaining interval whose middle is nearest to 0. The two outermost intervals count as
    one nat wide. With more than two labels, one constant after the other is chosen until accuracy no
    longer rises: a local optimum. All constants are 0 if there is no row.
    """
    scores = np.asarray(log_likelihoods, float).reshape(-1, len(labels.names))
    expected_places = np.array([labels.names.index(label) for label in expected], int)
    shift, best_shift = np.zeros(len(labels.names)), np.zeros(len(labels.names))
    best_count = -1
    while len(expected_places):
        count_before = best_count
        for label in range(1, len(shift)):
            shift[label], count = _best_constant(scores, shift, expected_places, label)
            if count > best_count:
                best_shift, best_count = shift.copy(), count
        if best_count == count_before:
            break
    return [float(constant) for constant in best_shift]


def _best_constant(
    scores: NDArray[np.float64],
    shift: NDArray[np.float64],
    expected_places: NDArray[np.int_],
    label: int,
) -> tuple[float, int]:
    """The best constant of `label` while other constants stay, and its number of correct rows."""
    other_scores = scores + shift
    other_scores[:, label] = -np.inf
    thresholds = other_scores.max(1) - scores[:, label]  # above, the row's prediction is `label`
    right_above = expected_places == label
    right_below = expected_places == other_scores.argmax(1)
    edges = np.unique(thresholds)
    edges = np.concatenate([[edges[0] - 1], edges, [edges[-1] + 1]])
    middles, widths = (edges[:-1] + edges[1:]) / 2, np.round(np.diff(edges), 9)
    counts = np.array(
        [
            (right_above & (thresholds < middle)).sum()
            + (right_below & (thresholds > middle)).sum()
            for middle in middles
        ]
    )
    best = int(np.lexsort((middles, np.abs(middles), -widths, -counts))[0])
    return float(middles[best]), int(counts[best])


def shifted(log_likelihoods: ArrayLike, shift: Sequence[float], labels: Labels) -> list[str]:
    """The most likely label of each row (n) after the shift; the first of equally likely labels."""
    scores = np.asarray(log_likelihoods, float).reshape(-1, len(shift)) + np.asarray(shift)
    return [labels.names[at] for at in scores.argmax(1)]


def commonest_invalid(
    generated: Sequence[str | None], parsed: Sequence[str | None], count: int = 10
) -> list[tuple[str, int]]:
    """The commonest free answers without a label, with their counts; ties in alphabetical order."""
    invalid = Counter(
        answer.strip()
        for answer, label in zip(generated, parsed, strict=True)
        if answer is not None and label is None
    )
    return sorted(invalid.items(), key=lambda item: (-item[1], item[0]))[:count]
