"""Predict the labels of the test rows without a language model: one function for each baseline.

The stage also reports an upper bound for the share of wrong training labels.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.clock import write_log
from runtime.files import write_json
from runtime.process import run_stage

from rows.predictions import label_rows, write_labelled_predictions
from rows.prepared import LabelledRow
from rows.tables import read_typed_rows
from settings.labels import Labels
from settings.read import read_settings
from stats.classifiers import fitted_tfidf, has_words, log_probabilities
from stats.confusion import METRICS, classification_metrics
from stats.noise import noise_bound
from systems import System, systems_of

ROWS = Path("data/prepared/labelled")


@dataclass(frozen=True)
class Data:
    """What a baseline may use: training texts with their labels, test texts, and all labels."""

    train_texts: list[str]
    train_labels: list[str]
    test_texts: list[str]
    labels: Labels


@dataclass(frozen=True)
class Predictions:
    """A baseline's label for each test text, or None for no label.

    `log_probabilities`: one list per text in the order of the labels, or None.
    """

    labels: Sequence[str | None]
    log_probabilities: list[list[float]] | None = None


def main() -> None:
    settings = read_settings("task", "seed", "labels")
    train = read_typed_rows(ROWS / "train.parquet", LabelledRow)
    test = read_typed_rows(ROWS / "test.parquet", LabelledRow)
    data = Data(
        train_texts=[row["text"] for row in train],
        train_labels=[row["label"] for row in train],
        test_texts=[row["text"] for row in test],
        labels=settings.labels,
    )
    row_ids, expected = [row["row_id"] for row in test], [row["label"] for row in test]

    for system in systems_of(settings.task).of_kind("baseline", "reference"):
        predictions = BASELINES[system.name](data)
        if predictions is None:
            write_nothing(system, row_ids, expected)
            continue
        rows = label_rows(row_ids, expected, predictions.labels, predictions.log_probabilities)
        write_labelled_predictions(system.name, rows)
        metrics = classification_metrics(expected, predictions.labels, settings.labels)
        write_json(Path(f"metrics/evaluate/{system.name}.json"), metrics)
        print(f"{system.name}: accuracy {metrics['accuracy']:.3f} on {metrics['n']} rows")

    # The bound includes TF-IDF's own mistakes, so the true share of wrong labels is lower.
    bound, _ = noise_bound(data.train_texts, data.train_labels, settings.labels, settings.seed)
    write_json(Path("metrics/label_noise.json"), {"upper_bound": bound, "n": len(train)})
    print(f"at most {bound:.3f} of the training labels are wrong (TF-IDF's own mistakes included)")
    write_log("baselines")


def write_nothing(system: System, row_ids: list[str], expected: list[str]) -> None:
    """The outputs of a baseline that does not know the labels: no prediction, and null for every metric."""
    rows = label_rows(row_ids, expected, [None] * len(expected))
    write_labelled_predictions(system.name, rows)
    metrics = {**dict.fromkeys(metric.key for metric in METRICS), "n": len(expected)}
    write_json(Path(f"metrics/evaluate/{system.name}.json"), metrics)
    print(f"{system.name}: does not know these labels, and is left out")


def majority(data: Data) -> Predictions:
    """The commonest label of the training rows, for every text."""
    [(label, _)] = Counter(data.train_labels).most_common(1)
    return Predictions([label] * len(data.test_texts))


def tfidf_logistic(data: Data) -> Predictions:
    """Logistic regression on TF-IDF of words and word pairs; the commonest label if no text has words."""
    names = data.labels.names
    if not has_words(data.train_texts):
        print(
            "tfidf_logistic: NOTE: no training text has a word of two letters or digits: TF-IDF and the "
            "bound of wrong labels predict the commonest label"
        )
    model = fitted_tfidf(data.train_texts, data.train_labels)
    scores = log_probabilities(model, data.test_texts, names)
    return Predictions([names[place] for place in scores.argmax(1)], scores.tolist())


def vader_lexicon(data: Data) -> Predictions | None:
    """The label of VADER's compound score: negative below 0, else positive.

    If the labels include neutral, scores between -0.05 and 0.05 are neutral. None for labels other than
    negative, positive and neutral.
    """
    # Imported here: only a study with the VADER baseline needs the package.
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    names = {name.casefold(): name for name in data.labels.names}
    if not {"negative", "positive"} <= set(names) <= {"negative", "neutral", "positive"}:
        return None
    analyser = SentimentIntensityAnalyzer()
    predicted: list[str | None] = []
    for text in data.test_texts:
        compound = analyser.polarity_scores(text)["compound"]
        if "neutral" in names and abs(compound) < 0.05:
            predicted.append(names["neutral"])
        else:
            predicted.append(names["positive" if compound >= 0 else "negative"])
    return Predictions(predicted)


# The function of every system of kind baseline or reference in systems.py. It returns None for labels
# that it does not know.
BASELINES: dict[str, Callable[[Data], Predictions | None]] = {
    "majority": majority,
    "tfidf_logistic": tfidf_logistic,
    "vader_lexicon": vader_lexicon,
}


if __name__ == "__main__":
    run_stage(main)
