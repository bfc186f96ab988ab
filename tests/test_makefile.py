"""make works in any folder that a person may have."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(not (REPO / ".venv/.installed").exists(), reason="make has not set up .venv")
def test_make_works_in_a_folder_with_blanks_and_accents(tmp_path: Path) -> None:
    folder = tmp_path / "mes projets é" / "study"
    for name in ("stages", "scripts", "profiles", "launch"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "data/raw").mkdir(parents=True)
    (folder / ".dvc").mkdir()
    for name in (
        "Makefile",
        "params.yaml",
        "requirements.lock",
        "data/raw/general_instructions.jsonl",
    ):
        shutil.copyfile(REPO / name, folder / name)
    (folder / ".venv").symlink_to(REPO / ".venv")
    os.utime(folder / "requirements.lock", (0, 0))  # older than the installation
    done = subprocess.run(
        ["make", "pipeline"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (folder / ".dvc/plots.html").is_file()
    written = (folder / "dvc.yaml").read_text(encoding="utf-8")
    assert written == (REPO / "dvc.yaml").read_text(encoding="utf-8")
