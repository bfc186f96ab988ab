"""What all stages do alike."""

import os
import subprocess
import sys
from pathlib import Path


def test_a_console_that_lacks_a_sign_ends_no_stage(repo: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import command; command.run_stage(lambda: print('a … b'))"],
        env={**os.environ, "PYTHONPATH": str(repo / "stages"), "PYTHONIOENCODING": "ascii"},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert said == b"a \\u2026 b\n"
