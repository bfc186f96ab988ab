"""A sweep over the mixing share: three queued experiments on two workers."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dvc import api as dvc_api

from systems import systems_of

from .conftest import Command, dvc, stages_run

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def sweep(finished: Path, run_in: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the study after three queued experiments on two workers. No test changes it.

    Two use different shares of general instructions; the third has two settings that exclude each other.
    """
    folder = Path(
        shutil.copytree(finished, tmp_path_factory.mktemp("sweep") / "study", symlinks=True)
    )
    by_share = ("-S", "mix.general_rows=null", "-S")
    queue = ("exp", "run", "--queue", "--name")
    dvc(run_in, folder, *queue, "low", *by_share, "mix.general_share=0.2")
    dvc(run_in, folder, *queue, "high", *by_share, "mix.general_share=0.6")
    dvc(run_in, folder, *queue, "wrong", "-S", "mix.general_share=0.4")
    start = [sys.executable, "-m", "dvc", "queue", "start", "--jobs", "2"]
    try:
        # The workers keep the output pipe open until they end, some seconds after the last experiment.
        subprocess.run(start, cwd=folder, capture_output=True, check=True, timeout=500)
    finally:
        dvc(run_in, folder, "queue", "stop", "--kill")
    return folder


def test_a_sweep_over_the_mixing_share_is_shown_with_its_numbers(
    sweep: Path, run_in: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sweep)
    text = run_in(sweep, "python", "scripts/compare_experiments.py", PYTHONPATH="stages").stdout
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    cells = [line.split() for line in lines if re.match(r" *\S+ +(success|failed) ", line)]
    rows = {name: row for name, *row in cells}
    assert {name: row[:3] for name, row in rows.items()} == {
        "workspace": ["success", "12", "null"],
        "main": ["success", "12", "null"],
        "low": ["success", "null", "0.2"],
        "high": ["success", "null", "0.6"],
        "wrong": ["failed", "12", "0.4"],
    }
    # The tuned systems' accuracies come first: no mix changes the original's accuracy.
    tuned = [system.name for system in systems_of("sentiment").tuned]
    for name in ("main", "low", "high"):
        numbers = list(map(float, rows[name][3:]))
        for index, system in enumerate(tuned):
            accuracy = _of(name, f"evaluate/{system}")["accuracy"]
            forgotten = _of(name, "compare")["systems"][system]["forgotten"]
            assert numbers[index] == pytest.approx(accuracy, abs=0.00051)
            assert numbers[len(tuned) + index] == pytest.approx(forgotten, abs=0.0051)
    assert "in all runs: acc original" in text
    assert set(rows["wrong"][3:]) == {"-"}
    assert _of("low", "train_mixed")["rows"] == 24 + 6
    assert _of("high", "train_mixed")["rows"] == 24 + 36


def test_a_failed_experiment_reports_the_reason(sweep: Path, run_in: Command) -> None:
    assert "error: params.yaml: mix: set either" in dvc(run_in, sweep, "queue", "logs", "wrong")


def test_an_experiment_is_applied_with_all_its_outputs(
    sweep: Path, run_in: Command, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(sweep, tmp_path / "study", symlinks=True))
    before = _sha256(folder / "models/mixed_fine_tuned/adapter_model.safetensors")
    dvc(run_in, folder, "exp", "apply", "high")
    assert "general_share: 0.6" in (folder / "params.yaml").read_text(encoding="utf-8")
    assert _sha256(folder / "models/mixed_fine_tuned/adapter_model.safetensors") != before
    assert stages_run(run_in, folder) == set()


def test_differences_are_readable(sweep: Path, run_in: Command) -> None:
    params = dvc(run_in, sweep, "params", "diff", "main", "low").splitlines()
    assert [line.split() for line in params[1:]] == [
        ["params.yaml", "mix.general_rows", "12", "-"],
        ["params.yaml", "mix.general_share", "-", "0.2"],
    ]
    text = dvc(run_in, sweep, "metrics", "diff", "main", "low", "--no-path")
    assert re.search(r"^mixed_forgot ", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 100


def _of(revision: str, metrics: str) -> dict[str, Any]:
    """A metrics file from an experiment or a commit of the study in the working directory."""
    content: dict[str, Any] = json.loads(dvc_api.read(f"metrics/{metrics}.json", rev=revision))
    return content


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
