"""The benchmark of 4-bit training runs as it stands, on a toy base."""

import runpy
import sys
from pathlib import Path

import pytest

from rows.instructions import INSTRUCTIONS
from rows.tables import table_of, write_table

pytestmark = pytest.mark.faults


def test_the_table_has_both_ways_of_training_at_the_same_steps(
    study: Path,
    toy_base: Path,
    repo: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (study / "models").mkdir()
    (study / "models/base").symlink_to(toy_base)
    rows = [
        dict.fromkeys(INSTRUCTIONS.names, "")
        | {"prompt": f"Is row {at} good?", "completion": ("positive", "negative")[at % 2]}
        for at in range(30)
    ]
    for split in ("train", "validation"):
        path = study / f"data/instructions/labelled/{split}.parquet"
        write_table(path, table_of(rows, INSTRUCTIONS))
    monkeypatch.setattr(sys, "argv", ["qlora_cpu.py", "--tiny"])
    runpy.run_path(str(repo / "benchmarks/qlora_cpu.py"), run_name="__main__")
    told = capsys.readouterr().out.splitlines()
    assert told[-6:-4] == [
        "validation loss in nats per token, over 4 rows",
        "      step        float32   nf4, float32  nf4, bfloat16",
    ]
    steps, *losses = zip(*(line.split() for line in told[-4:-1]), strict=True)
    assert steps == ("1", "2", "3")
    full, rounded, half = ([float(loss) for loss in column] for column in losses)
    assert full[2] < full[0]
    assert rounded != full
    assert half != rounded
    assert rounded == pytest.approx(full, abs=0.1)
    assert half == pytest.approx(rounded, abs=0.1)
