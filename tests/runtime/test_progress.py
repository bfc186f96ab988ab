"""What `runtime.progress` shows."""

import os
import subprocess
import sys
from pathlib import Path

from runtime.progress import in_words, progress_bar

import pytest


def test_a_bar_shows_what_is_done_and_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(4000, "rows.txt", "B", done=1000) as bar:
        bar.update(3000)
    text = capsys.readouterr().err
    assert "rows.txt" in text
    assert "1.00k/4.00k" in text
    assert "4.00k/4.00k" in text
    assert "?B/s" in text  # the speed, without which the time left is unknown
    with progress_bar(4000, "answers", "row") as bar:
        bar.update(4000)
    assert "4000/4000" in capsys.readouterr().err


@pytest.mark.parametrize(("rank", "is_shown"), [("0", True), ("1", False)])
def test_of_several_processes_the_first_alone_shows_a_bar(
    repo: Path, rank: str, is_shown: bool
) -> None:
    code = "from runtime.progress import progress_bar\nwith progress_bar(2, 'rows', 'row'): pass"
    launched = {"LOCAL_RANK": rank, "RANK": rank, "WORLD_SIZE": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(repo / "stages"), **launched},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("rows" in done.stderr) == is_shown


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 seconds"), (119, "119 seconds"), (120, "2.0 minutes"), (7200, "2.0 hours")],
)
def test_a_time_is_in_the_unit_that_a_person_would_use(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
