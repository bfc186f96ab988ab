"""Accuracy, F1, precision and recall of predicted labels."""

from collections.abc import Sequence

from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from settings.labels import Labels


def classification_metrics(
    expected: Sequence[str], predicted: Sequence[str | None], labels: Labels
) -> dict[str, float | int]:
    """Accuracy, F1, precision, recall, macro-F1 and n; null predictions count as wrong.

    With two labels F1, precision and recall are the positive label's, with more macro averages. A
    ratio without any case in it is 0.
    """
    guesses = ["" if label is None else label for label in predicted]  # "" is no label's name
    precision, recall, f1, _ = precision_recall_fscore_support(
        expected, guesses, labels=labels.names, average=None, zero_division=0
    )
    of_positive = labels.names.index(labels.positive)
    pick = (
        (lambda each: each[of_positive]) if len(labels.names) == 2 else (lambda each: each.mean())
    )
    return {
        "accuracy": float(accuracy_score(expected, guesses)),
        "f1": float(pick(f1)),
        "precision": float(pick(precision)),
        "recall": float(pick(recall)),
        "macro_f1": float(f1.mean()),
        "n": len(expected),
    }
