"""Compare all systems on the same rows: one table, the ten instructions side by side."""

import json
from pathlib import Path
from typing import Any

from command import StudyError, run_stage, write_json, write_log, write_text
from pages.results import TenAnswers, result_cells, results_markdown, summary_text, ten_markdown
from prompts.checks import load_ten, results
from rows.predictions import PREDICTIONS
from rows.tables import SENTIMENT_PREDICTIONS, TEN_PREDICTIONS, read_table
from settings import read_settings
from stats.classification import wilson_interval

MODELS = ("original_pretrained", "original_few_shot", "sentiment_fine_tuned", "mixed_fine_tuned")
BASELINES = ("majority", "tfidf_logistic", "vader_lexicon")
REPORTS = Path("reports")


def main() -> None:
    settings = read_settings("compare", "labels")
    confidence = settings.compare.confidence

    compared: dict[str, Any] = {}
    cells = []
    for system in (*MODELS, *BASELINES):
        metrics = json.loads(Path(f"metrics/evaluate/{system}.json").read_text(encoding="utf-8"))
        rows = read_table(PREDICTIONS / system / "sentiment.parquet", SENTIMENT_PREDICTIONS)
        if not any(rows["scored"].is_valid().to_pylist()):
            continue  # a baseline that does not know these labels
        right = sum(
            label == scored
            for label, scored in zip(
                rows["label"].to_pylist(), rows["scored"].to_pylist(), strict=True
            )
        )
        if abs(right / len(rows) - metrics["accuracy"]) > 1e-9:
            raise StudyError(f"{system}: metrics and predictions disagree; run `dvc repro`")
        interval = wilson_interval(right, len(rows), confidence)
        compared[system] = {
            "accuracy": metrics["accuracy"],
            "accuracy_low": interval[0],
            "accuracy_high": interval[1],
        }
        cells.append(result_cells(system, metrics, interval))

    ten = ten_answers()
    for system in MODELS:
        passed = [each.passed[system] for each in ten]
        compared[system]["ten_followed"] = sum(done == of for done, of in passed)

    positive = settings.labels.positive
    averaged = f"of the label {positive}" if len(settings.labels.names) == 2 else "macro averages"
    notes = [
        f"accuracy: of the most likely label, with Wilson's {confidence:.0%} interval over test rows.",
        f"F1, precision, recall: {averaged}.",
        "invalid: free answers that name no label, read strictly.",
        "exact: right answers to checkable tasks of families seen in training, and held out of it.",
        "bare label: answers to general instructions that are nothing but a label.",
        "These intervals are about these trained models: another training seed gives others.",
    ]
    files = (
        "reports/results.md  reports/ten-instructions.md  the table and the answers, whole\n"
        "predictions/SYSTEM/  every answer        metrics/  every figure\n"
        "models/sentiment_fine_tuned/  models/mixed_fine_tuned/  the adapters"
    )
    write_text(REPORTS / "results.md", results_markdown(cells, notes))
    write_text(REPORTS / "ten-instructions.md", ten_markdown(ten))
    write_text(REPORTS / "summary.txt", summary_text(cells, ten, notes, files))
    write_json(Path("metrics/compare.json"), compared)
    write_log("compare")
    print(summary_text(cells, ten, notes, files))


def ten_answers() -> list[TenAnswers]:
    """The ten instructions with every model's answer, checked."""
    answers = {
        system: read_table(PREDICTIONS / system / "ten.parquet", TEN_PREDICTIONS)["generated"]
        for system in MODELS
    }
    ten = []
    for at, entry in enumerate(load_ten(Path("data/raw/ten_instructions.yaml"))):
        said = {system: answers[system][at].as_py() for system in MODELS}
        checked = {system: results(entry, answer) for system, answer in said.items()}
        passed = {
            system: (sum(done for _, done in checks), len(checks))
            for system, checks in checked.items()
        }
        ten.append(TenAnswers(entry.instruction, entry.input, said, passed))
    return ten


if __name__ == "__main__":
    run_stage(main)
