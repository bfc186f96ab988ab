"""Which operations give other bits is found, told, and not left to what the environment says."""

import os
import subprocess
import sys
from pathlib import Path

from runtime.arithmetic import ARITHMETIC, _has_avx2

import pytest
import torch

from lm import fingerprint as arithmetic

REPO = Path(__file__).resolve().parents[2]
CHECK = str(REPO / "scripts/check_bits.py")
BARE = {key: value for key, value in os.environ.items() if key not in ARITHMETIC}

CPU = Path("/proc/cpuinfo")  # Linux alone has it
FLAGS = CPU.read_text(encoding="utf-8") if CPU.exists() else ""

needs_avx2 = pytest.mark.skipif(not _has_avx2(), reason="the processor has no AVX2")


def _python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**BARE, "PYTHONPATH": str(REPO / "stages"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@needs_avx2
@pytest.mark.skipif("GenuineIntel" not in FLAGS, reason="not Intel's")
@pytest.mark.parametrize("threads", ["1", "2", "3"])
def test_intel_gives_the_recorded_bits_with_any_number_of_threads(threads: str) -> None:
    done = _python(CHECK, OMP_NUM_THREADS=threads)
    assert (done.returncode, done.stderr) == (0, "")
    count = len(arithmetic.OPERATIONS)
    assert done.stdout.endswith(f": {count} of {count} operations alike\n")


@needs_avx2
def test_the_environment_changes_nothing() -> None:
    other = {
        "MKL_CBWR": "COMPATIBLE",
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Sandybridge",
        "OPENBLAS_NUM_THREADS": "2",
        "NPY_ENABLE_CPU_FEATURES": "SSSE3",
    }
    assert _python(CHECK, **other).stdout == _python(CHECK).stdout


@needs_avx2
@pytest.mark.parametrize(
    ("name", "value", "moved"),
    [
        ("MKL_CBWR", "COMPATIBLE", "matrix products"),
        ("ATEN_CPU_CAPABILITY", "default", "softmax"),
        ("OPENBLAS_CORETYPE", "Sandybridge", "numpy's linear equations"),
        pytest.param(
            "NPY_ENABLE_CPU_FEATURES",
            ARITHMETIC["NPY_ENABLE_CPU_FEATURES"] + " AVX512F AVX512CD AVX512_SKX",
            "numpy's exponentials",
            marks=pytest.mark.skipif(
                " avx512dq " not in FLAGS, reason="the processor has no AVX-512"
            ),
        ),
    ],
)
def test_each_setting_is_needed(name: str, value: str, moved: str) -> None:
    """Another value gives other bits, and the check names an operation that it moves."""
    look = "import runtime, os, sys; os.environ[sys.argv[1]] = sys.argv[2]"
    look += "; from lm.arithmetic import differing; print(differing())"
    assert moved in _python("-c", look, name, value).stdout


@pytest.mark.parametrize("library", ["numpy", "torch"])
@needs_avx2
def test_a_library_that_was_imported_first_is_noticed(library: str) -> None:
    done = _python("-c", f"import {library}, runtime")
    assert "import runtime before numpy and torch" in done.stderr
    assert _python("-c", f"import runtime, {library}, lm.base").returncode == 0


def test_a_processor_that_rounds_otherwise_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exact = {"sums": (lambda: torch.ones(3) + 1, arithmetic.digest(torch.full((3,), 2.0)))}
    monkeypatch.setattr(arithmetic, "OPERATIONS", exact)
    arithmetic.tell_of_other_bits()
    assert capsys.readouterr().err == ""
    other = {"halves": (lambda: [torch.ones(3) / 2], arithmetic.digest(torch.ones(3)))}
    monkeypatch.setattr(arithmetic, "OPERATIONS", exact | other)
    arithmetic.tell_of_other_bits()
    told = capsys.readouterr().err
    assert told.startswith(
        f"note: the last bits differ on this processor ({arithmetic.processor()})"
    )
    assert "in halves:" in told
