"""What needs no language model: the majority label, TF-IDF with logistic regression, VADER's lexicon."""

from collections import Counter
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from command import run_stage, write_json, write_log
from rows.predictions import write_sentiment_predictions
from rows.tables import SENTIMENT, read_table
from settings import Labels, read_settings
from stats.classification import classification_metrics

ROWS = Path("data/prepared/sentiment")


def main() -> None:
    settings = read_settings("labels")
    train = read_table(ROWS / "train.parquet", SENTIMENT)
    test = read_table(ROWS / "test.parquet", SENTIMENT)
    texts, labels = train["text"].to_pylist(), train["label"].to_pylist()
    unseen, expected = test["text"].to_pylist(), test["label"].to_pylist()

    predicted: dict[str, list[str | None]] = {
        "majority": [Counter(labels).most_common(1)[0][0]] * len(unseen),
        "tfidf_logistic": tfidf_logistic(texts, labels, unseen),
        "vader_lexicon": vader_lexicon(unseen, settings.labels),
    }
    for system, guesses in predicted.items():
        rows = [
            {
                "row_id": row_id,
                "label": label,
                "template": None,
                "prompt": None,
                "log_likelihoods": None,
                "scored": guess,
                "generated": None,
                "parsed": None,
            }
            for row_id, label, guess in zip(
                test["row_id"].to_pylist(), expected, guesses, strict=True
            )
        ]
        write_sentiment_predictions(system, rows)
        metrics = classification_metrics(expected, guesses, settings.labels)
        write_json(Path(f"metrics/evaluate/{system}.json"), metrics)
        print(f"{system}: accuracy {metrics['accuracy']:.3f} on {metrics['n']} rows")
    write_log("baselines")


def tfidf_logistic(texts: list[str], labels: list[str], unseen: list[str]) -> list[str | None]:
    """Logistic regression on TF-IDF of words and word pairs, on the training rows of the models."""
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    )
    return list(map(str, model.fit(texts, labels).predict(unseen)))


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
