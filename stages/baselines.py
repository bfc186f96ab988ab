"""What needs no language model: the majority label, TF-IDF with logistic regression, VADER's lexicon.

Also how many of the training labels may be wrong, which the same TF-IDF tells.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.clock import write_log
from runtime.files import write_json
from runtime.process import run_stage

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from rows.predictions import label_rows, write_labelled_predictions
from rows.prepared import LABELLED
from rows.tables import read_table
from settings.labels import Labels
from settings.read import read_settings
from stats.classification import classification_metrics
from stats.classifiers import log_probabilities, tfidf_classifier
from stats.noise import noise_bound
from systems import systems_of

ROWS = Path("data/prepared/labelled")


@dataclass(frozen=True)
class Data:
    """The labelled rows as every baseline sees them: training texts with labels, and test texts."""

    texts: list[str]
    labels: list[str]
    unseen: list[str]
    names: Labels


@dataclass(frozen=True)
class Guesses:
    """A baseline's label of each test text (None: no guess), and the labels' log-probabilities."""

    labels: Sequence[str | None]
    log_probabilities: list[list[float]] | None = None


def main() -> None:
    settings = read_settings("task", "seed", "labels")
    train = read_table(ROWS / "train.parquet", LABELLED)
    test = read_table(ROWS / "test.parquet", LABELLED)
    texts, labels = train["text"].to_pylist(), train["label"].to_pylist()
    data = Data(texts, labels, test["text"].to_pylist(), settings.labels)
    expected = test["label"].to_pylist()

    for system in systems_of(settings.task).of_kind("baseline", "reference"):
        guesses = BASELINES[system.name](data)
        rows = label_rows(
            test["row_id"].to_pylist(), expected, guesses.labels, guesses.log_probabilities
        )
        write_labelled_predictions(system.name, rows)
        metrics = classification_metrics(expected, guesses.labels, settings.labels)
        write_json(Path(f"metrics/evaluate/{system.name}.json"), metrics)
        print(f"{system.name}: accuracy {metrics['accuracy']:.3f} on {metrics['n']} rows")

    # How many training labels may be wrong, before any model is trained: a bound from above.
    bound, _ = noise_bound(texts, labels, settings.labels, settings.seed)
    write_json(Path("metrics/label_noise.json"), {"upper_bound": bound, "n": len(texts)})
    print(f"at most {bound:.3f} of the training labels are wrong (TF-IDF's own mistakes included)")
    write_log("baselines")


def majority(data: Data) -> Guesses:
    """The commonest label of the training rows, for every text."""
    return Guesses([Counter(data.labels).most_common(1)[0][0]] * len(data.unseen))


def tfidf_logistic(data: Data) -> Guesses:
    """Logistic regression on TF-IDF of words and word pairs."""
    model = tfidf_classifier().fit(data.texts, data.labels)
    scores = log_probabilities(model, data.unseen, data.names.names)
    return Guesses([data.names.names[place] for place in scores.argmax(1)], scores.tolist())


def vader_lexicon(data: Data) -> Guesses:
    """VADER's compound score: negative below 0, positive from 0; neutral within .05 where a label.

    Labels other than negative, positive and neutral are not what the lexicon tells apart: no guess.
    """
    names = {name.casefold(): name for name in data.names.names}
    if not {"negative", "positive"} <= set(names) <= {"negative", "neutral", "positive"}:
        return Guesses([None] * len(data.unseen))
    analyser = SentimentIntensityAnalyzer()
    guesses: list[str | None] = []
    for text in data.unseen:
        compound = analyser.polarity_scores(text)["compound"]
        if "neutral" in names and abs(compound) < 0.05:
            guesses.append(names["neutral"])
        else:
            guesses.append(names["positive" if compound >= 0 else "negative"])
    return Guesses(guesses)


# The function of every system of kind baseline or reference in systems.py.
BASELINES: dict[str, Callable[[Data], Guesses]] = {
    "majority": majority,
    "tfidf_logistic": tfidf_logistic,
    "vader_lexicon": vader_lexicon,
}


if __name__ == "__main__":
    run_stage(main)
