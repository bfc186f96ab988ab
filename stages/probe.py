"""Fit a linear probe: logistic regression on the original model's hidden states after each prompt.

The probe is trained on the same rows as the tuned systems and costs no fine-tuning. If the probe is as
accurate as a tuned system, the original model already contained what fine-tuning added. (Alain and
Bengio, 2016.)
"""

from pathlib import Path

from runtime.clock import write_log
from runtime.files import write_json
from runtime.process import run_stage

import numpy as np

from lm.answering import answer_prompts
from lm.base import load_base, load_tokenizer, make_repeatable
from lm.processes import is_sharded
from prompts.encode import Encoder
from rows.answers import HiddenState
from rows.instructions import InstructionRow, label_of
from rows.predictions import PREDICTIONS, label_rows, write_labelled_predictions
from rows.tables import read_typed_rows
from settings.read import read_settings
from stats.classifiers import log_probabilities, state_classifier
from stats.confusion import classification_metrics

BASE = Path("models/base")
ROWS = Path("data/instructions/labelled")
SYSTEM = "original_probe"


def main() -> None:
    settings = read_settings(
        "seed", "prompt_format", "labels", "precision", "evaluate.batch_size", "launch"
    )
    make_repeatable(settings.seed, settings.precision.deterministic)
    names, batch_size = settings.labels.names, settings.evaluate.batch_size
    train = read_typed_rows(ROWS / "train.parquet", InstructionRow)
    test = read_typed_rows(ROWS / "test.parquet", InstructionRow)

    # The stage `evaluate` saved the states of the test rows when the original model answered them.
    test_states = read_typed_rows(PREDICTIONS / "original_pretrained/states.parquet", HiddenState)
    row_ids = [row["row_id"] for row in test]
    assert row_ids == [row["row_id"] for row in test_states]

    # The original model reads the training prompts.
    encoder = Encoder(load_tokenizer(BASE), settings.prompt_format)
    spread = "auto" if is_sharded(settings.launch) else None
    model = load_base(BASE, settings.precision, spread).eval()
    prompts = [encoder.prompt(row["prompt"]) for row in train]
    answers = answer_prompts(model, encoder, prompts, None, 0, batch_size, f"{SYSTEM} train")
    train_states = [answer.state.tolist() for answer in answers]

    # Shapes: states (rows, hidden size), scores (rows, labels).
    probe = state_classifier().fit(
        np.array(train_states, dtype=np.float32), [label_of(row) for row in train]
    )
    states = np.array([row["state"] for row in test_states], dtype=np.float32)
    scores = log_probabilities(probe, states, names)

    predicted = [names[place] for place in scores.argmax(1)]
    expected = [label_of(row) for row in test]
    predictions = label_rows(row_ids, expected, predicted, scores.tolist())
    write_labelled_predictions(SYSTEM, predictions)
    metrics = classification_metrics(expected, predicted, settings.labels)
    write_json(Path(f"metrics/evaluate/{SYSTEM}.json"), metrics)
    write_log("probe")
    print(f"{SYSTEM}: accuracy {metrics['accuracy']:.3f} on {metrics['n']} rows")


if __name__ == "__main__":
    run_stage(main)
