"""What the stage baselines promises for texts that have no words."""

import pytest

import baselines
from baselines import Data
from settings.labels import Labels

LABELS = Labels(names=["negative", "positive"], positive="positive")


@pytest.mark.parametrize(
    "texts", [["👍", "👎", "👍🏽", "🙂"], ["a", "b", "c", "d"], ["!", "?", ".", ";"]]
)
def test_texts_without_words_get_the_commonest_label_and_a_note(
    texts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["positive", "positive", "negative", "positive"]
    data = Data(texts, labels, test_texts=["👍", "a whole sentence"], labels=LABELS)
    predictions = baselines.tfidf_logistic(data)
    assert predictions.labels == ["positive", "positive"]
    assert "tfidf_logistic: NOTE: no training text has a word" in capsys.readouterr().out


def test_texts_with_words_get_no_note(capsys: pytest.CaptureFixture[str]) -> None:
    data = Data(["so good", "so bad"], ["positive", "negative"], ["good"], LABELS)
    assert baselines.tfidf_logistic(data).labels == ["positive"]
    assert not capsys.readouterr().out
