"""The GPU benchmark runs from beginning to end at toy width on the CPU."""

import re
import runpy
from pathlib import Path

import pytest
import torch

BENCHMARK = Path(__file__).parents[2] / "benchmarks/gpu_qlora.py"


@pytest.mark.faults
def test_every_part_runs_and_prints_its_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [BENCHMARK.name, "--tiny"])
    runpy.run_path(str(BENCHMARK), run_name="__main__")
    printed = capsys.readouterr().out
    machine = printed.splitlines()[0]
    assert re.match(r"\d{4}-\d\d-\d\d, ", machine)
    assert f"torch {torch.__version__}" in machine
    assert "its numbers only show that the code runs" in printed
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines()]
    training = [row for row in cells if len(row) == 6 and row[0].isdigit()]
    assert [row[:2] for row in training] == [
        [length, side]
        for length in ("16", "32")
        for side in (
            "instruct-uplift",
            "instruct-uplift, not deterministic",
            "TRL's example",
            "TRL's, our adapter",
        )
    ]
    assert all(float(row[2].replace(",", "")) > 0 for row in training)
    assert [row[3] for row in training if row[1] == "TRL's example"] == ["1.00", "1.00"]
    if not torch.cuda.is_available():
        assert {row[5] for row in training} == {"not measured"}
    answering = [row for row in cells if len(row) == 2 and row[1][:1].isdigit()]
    assert len(answering) == 2
    assert all(float(row[1].replace(",", "")) > 0 for row in answering)


def test_at_full_width_it_wants_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", [BENCHMARK.name])
    with pytest.raises(SystemExit, match="sees no GPU here; --tiny"):
        runpy.run_path(str(BENCHMARK), run_name="__main__")
