"""times prints what trainings and answers took on this machine, from the logs of the stages."""

import json
from pathlib import Path

import pytest
import times


def _log(study: Path, stage: str, **measurements: float) -> None:
    (study / "logs").mkdir(exist_ok=True)
    (study / f"logs/{stage}.json").write_text(json.dumps(measurements), encoding="utf-8")


def test_a_row_for_every_system_that_trained_or_answered(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {"milliseconds_per_test_row": 12.34, "peak_memory_mib": 900}
    _log(study, "train_mixed", training_seconds=61.5, peak_memory_mib=1500)
    _log(study, "evaluate_mixed_fine_tuned", **answers)
    _log(study, "evaluate_original_pretrained", **answers)
    _log(study, "train_encoder", training_seconds=9.6, **answers)
    _log(study, "compare", peak_memory_mib=300)
    times.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row for row in rows if row and "_" in row[0]] == [
        ["original_pretrained", "-", "12.3", "900"],
        ["mixed_fine_tuned", "62", "12.3", "1500"],
        ["encoder_fine_tuned", "10", "12.3", "900"],
    ]


def test_nothing_is_printed_without_a_log(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del study  # has no logs/
    times.main()
    assert capsys.readouterr().out == ""
