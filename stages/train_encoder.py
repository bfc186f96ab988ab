"""Fine-tune the pretrained encoder on the labelled training rows, and let it label the test rows."""

import time
from pathlib import Path

from runtime.clock import write_log
from runtime.files import write_json, write_text
from runtime.process import run_stage
from runtime.progress import in_words

from lm.base import make_repeatable
from lm.checkpoints import hold_checkpoints
from lm.encoder import encoder_log_probabilities, save_encoder
from lm.encoder_training import encoder_key, train_encoder
from rows.predictions import label_rows, write_labelled_predictions
from rows.prepared import LabelledRow
from rows.tables import read_typed_rows
from settings.read import read_settings
from stats.confusion import classification_metrics, expected_places
from systems import systems_of

ENCODER = Path("models/encoder")
ROWS = Path("data/prepared/labelled")


def main() -> None:
    settings = read_settings(
        "task", "training_seed", "labels", "encoder", "precision.deterministic"
    )
    system = systems_of(settings.task).encoder
    name, labels, training = system.train_stage, settings.labels, settings.encoder
    make_repeatable(settings.training_seed, settings.precision.deterministic)

    train = read_typed_rows(system.rows, LabelledRow)
    validation = read_typed_rows(ROWS / "validation.parquet", LabelledRow)
    test = read_typed_rows(ROWS / "test.parquet", LabelledRow)
    texts, validation_texts, test_texts = (
        [row["text"] for row in rows] for rows in (train, validation, test)
    )
    places, validation_places = (
        expected_places([row["label"] for row in rows], labels).tolist()
        for rows in (train, validation)
    )

    key = encoder_key(ENCODER, texts, places, labels.names, training, settings.training_seed)
    with hold_checkpoints(name, key) as checkpoints:
        model, account = train_encoder(
            ENCODER,
            texts,
            places,
            validation_texts,
            validation_places,
            labels.names,
            training,
            settings.training_seed,
            checkpoints,
            name,
        )
        save_encoder(model, system.folder)
        losses = "".join(f"{step},{loss:.6f}\n" for step, loss in account.train_losses)
        write_text(Path("curves") / system.name / "train.csv", "step,loss\n" + losses)
        write_json(
            Path(f"metrics/{name}.json"),
            {
                "rows": len(train),
                "truncated_rows": account.n_truncated,
                "steps": account.steps,
                "train_loss": account.train_losses[-1][1],
                "validation_loss": account.validation_loss,
                "validation_accuracy": account.validation_accuracy,
                "trainable_parameters": account.trainable_parameters,
                "total_parameters": account.total_parameters,
            },
        )
    cut = f", {account.n_truncated:,} of them cut at {training.max_length} tokens"
    print(
        f"{name}: {len(train):,} rows{cut if account.n_truncated else ''}, {account.steps:,} steps in "
        f"{in_words(account.seconds)}"
    )

    started = time.perf_counter()
    scores = encoder_log_probabilities(model, test_texts, training.batch_size).log_probabilities
    milliseconds = 1000 * (time.perf_counter() - started) / len(test)
    expected = [row["label"] for row in test]
    predicted = [labels.names[row.index(max(row))] for row in scores]
    row_ids = [row["row_id"] for row in test]
    write_labelled_predictions(system.name, label_rows(row_ids, expected, predicted, scores))
    metrics = classification_metrics(expected, predicted, labels)
    write_json(Path(f"metrics/evaluate/{system.name}.json"), metrics)
    write_log(name, training_seconds=account.seconds, milliseconds_per_test_row=milliseconds)
    print(f"{system.name}: accuracy {metrics['accuracy']:.3f} on {metrics['n']} rows")


if __name__ == "__main__":
    run_stage(main)
