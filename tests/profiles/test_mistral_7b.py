"""The profile `mistral-7b` runs to the end at toy width: QLoRA in 4 bits on the CPU."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

pytestmark = pytest.mark.faults


def test_the_profile_runs_to_the_end(run_profile: Callable[[str], Path]) -> None:
    folder = run_profile("mistral-7b")
    profile = yaml.safe_load((folder / "profiles/mistral-7b.yaml").read_text())
    precision = {"dtype": "bfloat16", "quantization": "nf4", "deterministic": True}
    assert profile["precision"] == precision
    for which, rows in (("sentiment", 24), ("mixed", 36)):
        account = json.loads((folder / f"metrics/train_{which}.json").read_text())
        assert account["rows"] == rows
        assert account["validation_loss"] < 12  # about ln 32000 at the start
        assert (folder / f"models/{which}_fine_tuned/adapter_model.safetensors").is_file()
        table = pq.read_table(folder / f"predictions/{which}_fine_tuned/labelled.parquet")
        assert len(table) == 16
    assert (folder / "reports/results.md").is_file()
