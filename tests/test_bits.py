"""The default's real models: a few steps of training give the same model with one thread and with two."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.faults

REPO = Path(__file__).resolve().parents[1]
COMMANDS = {
    "sentiment_fine_tuned": ("stages/train.py", "sentiment"),
    "encoder_fine_tuned": ("stages/train_encoder.py",),
}
Command = Callable[..., subprocess.CompletedProcess[str]]
Change = Callable[[Path, str, object], None]


@pytest.fixture
def few_rows(run_in: Command, change: Change, tmp_path: Path) -> Path:
    """The default study on 24 tweets, ready to be trained on."""
    for name in ("stages", "profiles", "templates", "data/raw", "launch"):
        shutil.copytree(REPO / name, tmp_path / name)
    shutil.copyfile(REPO / "params.yaml", tmp_path / "params.yaml")
    (REPO / ".cache").mkdir(exist_ok=True)
    (tmp_path / ".cache").symlink_to(REPO / ".cache")
    take = {"train": 24, "validation": 8, "test": 40}
    change(tmp_path / "profiles/pocket.yaml", "sources.labelled.take", take)
    prepare = [sys.executable, "stages/prepare.py"]
    done = subprocess.run(prepare, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "pip could not fetch" in done.stderr:
        pytest.skip(f"the default's packages cannot be had: {done.stderr}")
    for stage in ("prepare", "instructify", "mix", "preflight", "base_model", "encoder"):
        run_in(tmp_path, "python", f"stages/{stage}.py")
    return tmp_path


def _train(run_in: Command, study: Path, system: str, threads: int) -> dict[str, str]:
    """The MD5 of every file of the model, of the losses and of what was counted."""
    run_in(study, "python", *COMMANDS[system], OMP_NUM_THREADS=str(threads))
    folders = (f"models/{system}", f"curves/{system}", "metrics")
    files = sorted(file for folder in folders for file in (study / folder).iterdir())
    return {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.parametrize(
    ("system", "steps"), [("sentiment_fine_tuned", 3), ("encoder_fine_tuned", 8)]
)
def test_a_model_has_the_same_bytes_with_one_thread_and_with_two(
    few_rows: Path, run_in: Command, threads_change_bits: bool, system: str, steps: int
) -> None:
    if threads_change_bits:
        pytest.skip("this processor's arithmetic depends on the number of threads")
    one = _train(run_in, few_rows, system, 1)
    (account,) = (name for name in one if name.startswith("train_"))
    assert "train.csv" in one
    assert [name for name in one if name.endswith(".safetensors")]
    assert json.loads((few_rows / "metrics" / account).read_text())["steps"] == steps
    shutil.rmtree(few_rows / "models" / system)
    assert _train(run_in, few_rows, system, 2) == one
