"""What needs no language model: the majority label, TF-IDF with logistic regression, VADER's lexicon.

Also how many of the training labels may be wrong, which the same TF-IDF tells.
"""

from collections import Counter
from pathlib import Path

from runtime.clock import write_log
from runtime.files import write_json
from runtime.process import run_stage

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from rows.predictions import label_rows, write_labelled_predictions
from rows.tables import LABELLED, read_table
from settings.labels import Labels
from settings.read import read_settings
from stats.classification import classification_metrics
from stats.classifiers import log_probabilities, tfidf_classifier
from stats.noise import noise_bound

ROWS = Path("data/prepared/labelled")


def main() -> None:
    settings = read_settings("seed", "labels")
    train = read_table(ROWS / "train.parquet", LABELLED)
    test = read_table(ROWS / "test.parquet", LABELLED)
    texts, labels = train["text"].to_pylist(), train["label"].to_pylist()
    unseen, expected = test["text"].to_pylist(), test["label"].to_pylist()

    tfidf = log_probabilities(tfidf_classifier().fit(texts, labels), unseen, settings.labels.names)
    predicted: dict[str, list[str | None]] = {
        "majority": [Counter(labels).most_common(1)[0][0]] * len(unseen),
        "tfidf_logistic": [settings.labels.names[at] for at in tfidf.argmax(1)],
        "vader_lexicon": vader_lexicon(unseen, settings.labels),
    }
    for system, guesses in predicted.items():
        scores = tfidf.tolist() if system == "tfidf_logistic" else None
        rows = label_rows(test["row_id"].to_pylist(), expected, guesses, scores)
        write_labelled_predictions(system, rows)
        metrics = classification_metrics(expected, guesses, settings.labels)
        write_json(Path(f"metrics/evaluate/{system}.json"), metrics)
        print(f"{system}: accuracy {metrics['accuracy']:.3f} on {metrics['n']} rows")

    # How many training labels may be wrong, before any model is trained: a bound from above.
    bound, _ = noise_bound(texts, labels, settings.labels, settings.seed)
    write_json(Path("metrics/label_noise.json"), {"upper_bound": bound, "n": len(texts)})
    print(f"at most {bound:.3f} of the training labels are wrong (TF-IDF's own mistakes included)")
    write_log("baselines")


def vader_lexicon(texts: list[str], labels: Labels) -> list[str | None]:
    """VADER's compound score: negative below 0, positive from 0; neutral within .05 where a label.

    Labels other than negative, positive and neutral are not what the lexicon tells apart: no guess.
    """
    names = {name.casefold(): name for name in labels.names}
    if not {"negative", "positive"} <= set(names) <= {"negative", "neutral", "positive"}:
        return [None] * len(texts)
    analyser = SentimentIntensityAnalyzer()
    guesses: list[str | None] = []
    for text in texts:
        compound = analyser.polarity_scores(text)["compound"]
        if "neutral" in names and abs(compound) < 0.05:
            guesses.append(names["neutral"])
        else:
            guesses.append(names["positive" if compound >= 0 else "negative"])
    return guesses


if __name__ == "__main__":
    run_stage(main)
