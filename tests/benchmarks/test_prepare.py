"""The benchmark of prepare runs as it stands, on a few rows."""

import re
import runpy
import sys
from itertools import islice
from pathlib import Path

import pytest


def test_the_table_has_seconds_and_memory_with_some_and_with_all_rows_taken(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["prepare.py", "2500"])
    runpy.run_path(str(repo / "benchmarks/prepare.py"), run_name="__main__")
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["rows", "taken", "seconds"]
    assert [line.split()[:2] for line in lines] == [["2500", "some"], ["2500", "all"]]
    for line in lines:
        assert re.fullmatch(r" +2500 +\w+ +[\d.]+ +[\d.]+ +\d+", line)


def test_the_rows_are_the_same_in_every_run(repo: Path) -> None:
    rows = runpy.run_path(str(repo / "benchmarks/prepare.py"))["rows"]
    first, second = ([*islice(rows(1000), 300)] for _ in range(2))
    assert first == second
    texts = [row[-1] for row in first]
    assert len(set(texts)) < len(texts)
    assert {row[0] for row in rows(1000)} == {"0", "4"}
