"""A free rival: logistic regression on what the original model already holds of each row.

It reads the hidden state at the end of the prompt, on the same training rows as the tuned models: was
fine-tuning needed at all, or only a linear map? (A linear probe: Alain and Bengio, 2016.)
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
from rows.answers import STATES
from rows.instructions import INSTRUCTIONS
from rows.predictions import PREDICTIONS, label_rows, write_labelled_predictions
from rows.tables import read_table
from settings.read import read_settings
from stats.classification import classification_metrics
from stats.classifiers import log_probabilities, state_classifier

BASE = Path("models/base")
ROWS = Path("data/instructions/labelled")
SYSTEM = "original_probe"


def main() -> None:
    settings = read_settings(
        "seed", "prompt_format", "labels", "precision", "evaluate.batch_size", "launch"
    )
    make_repeatable(settings.seed, settings.precision.deterministic)
    names, size = settings.labels.names, settings.evaluate.batch_size

    # The states of the test rows were read when the original model answered them.
    read = read_table(PREDICTIONS / "original_pretrained/states.parquet", STATES)
    unseen = np.array(read["state"].to_pylist(), dtype=np.float32)
    train = read_table(ROWS / "train.parquet", INSTRUCTIONS)
    encoder = Encoder(load_tokenizer(BASE), settings.prompt_format)
    spread = "auto" if is_sharded(settings.launch) else None
    model = load_base(BASE, settings.precision, spread).eval()
    prompts = [encoder.prompt(text) for text in train["prompt"].to_pylist()]
    answers = answer_prompts(model, encoder, prompts, None, 0, size, f"{SYSTEM} train")
    states = np.array([answer.state.tolist() for answer in answers], dtype=np.float32)

    probe = state_classifier().fit(states, train["label"].to_pylist())
    scores = log_probabilities(probe, unseen, names)
    guesses = [names[at] for at in scores.argmax(1)]
    test = read_table(ROWS / "test.parquet", INSTRUCTIONS)
    row_ids, expected = test["row_id"].to_pylist(), test["label"].to_pylist()
    assert row_ids == read["row_id"].to_pylist()
    write_labelled_predictions(SYSTEM, label_rows(row_ids, expected, guesses, scores.tolist()))
    metrics = classification_metrics(expected, guesses, settings.labels)
    write_json(Path(f"metrics/evaluate/{SYSTEM}.json"), metrics)
    write_log("probe")
    print(f"{SYSTEM}: accuracy {metrics['accuracy']:.3f} on {metrics['n']} rows")


if __name__ == "__main__":
    run_stage(main)
