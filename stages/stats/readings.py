"""Readings of a model's answers: label probabilities, a moved threshold, answers that name no label."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from settings.labels import Labels


def label_probabilities(log_likelihoods: ArrayLike) -> NDArray[np.float64]:
    """Log-likelihoods of the labels in nats, (n, K) -> probabilities that sum to 1, (n, K)."""
    return np.asarray(softmax(np.asarray(log_likelihoods, float), axis=1))


def chosen_shift(
    log_likelihoods: ArrayLike, expected: Sequence[str], labels: Labels
) -> list[float]:
    """The nats added to each label's log-likelihood that give these rows the highest accuracy.

    The first label's is 0; with two labels the other is a moved threshold. Accuracy changes only
    where a row changes its label: the constant is the middle of the widest stretch between two
    such places that has the highest accuracy, the nearest to 0 of equally wide ones. Before the
    first place and after the last a stretch counts as one nat wide. With more labels one constant
    after the other is chosen until none makes it better, which finds a local optimum.
    """
    scores = np.asarray(log_likelihoods, float).reshape(-1, len(labels.names))
    right = np.array([labels.names.index(label) for label in expected], int)
    shift, best, most = np.zeros(len(labels.names)), np.zeros(len(labels.names)), -1
    while len(right):
        before = most
        for label in range(1, len(shift)):
            shift[label], count = _best_constant(scores, shift, right, label)
            if count > most:
                best, most = shift.copy(), count
        if most == before:
            break
    return [float(each) for each in best]


def _best_constant(
    scores: NDArray[np.float64], shift: NDArray[np.float64], right: NDArray[np.int_], label: int
) -> tuple[float, int]:
    """One label's best constant while the others stand, and how many rows it gets right."""
    others = scores + shift
    others[:, label] = -np.inf
    places = others.max(1) - scores[:, label]  # from here on the row has this label
    wins, losses = right == label, right == others.argmax(1)
    edges = np.unique(places)
    edges = np.concatenate([[edges[0] - 1], edges, [edges[-1] + 1]])
    middles, widths = (edges[:-1] + edges[1:]) / 2, np.round(np.diff(edges), 9)
    counts = np.array(
        [(wins & (places < at)).sum() + (losses & (places > at)).sum() for at in middles]
    )
    at = int(np.lexsort((middles, np.abs(middles), -widths, -counts))[0])
    return float(middles[at]), int(counts[at])


def shifted(log_likelihoods: ArrayLike, shift: Sequence[float], labels: Labels) -> list[str]:
    """The most likely label of each row after the shift; of equally likely ones the first."""
    scores = np.asarray(log_likelihoods, float).reshape(-1, len(shift)) + np.asarray(shift)
    return [labels.names[at] for at in scores.argmax(1)]


def commonest_invalid(
    generated: Sequence[str | None], parsed: Sequence[str | None], count: int = 10
) -> list[tuple[str, int]]:
    """The commonest free answers that name no label, with how often; ties in alphabetical order."""
    invalid = Counter(
        answer.strip()
        for answer, label in zip(generated, parsed, strict=True)
        if answer is not None and label is None
    )
    return sorted(invalid.items(), key=lambda each: (-each[1], each[0]))[:count]
