"""Which operations give other bits is found, told, and not left to what the environment says."""

import json
import os
import subprocess
import sys
from pathlib import Path

from runtime.arithmetic import ARITHMETIC, _has_avx2
from runtime.errors import StudyError

import pytest
import torch
import yaml

from lm import fingerprint as arithmetic

REPO = Path(__file__).resolve().parents[2]
CHECK = str(REPO / "scripts/check_bits.py")
BARE = {key: value for key, value in os.environ.items() if key not in ARITHMETIC}

CPU = Path("/proc/cpuinfo")  # Linux alone has it
FLAGS = CPU.read_text(encoding="utf-8") if CPU.exists() else ""

needs_avx2 = pytest.mark.skipif(not _has_avx2(), reason="the processor has no AVX2")


def _python(
    *arguments: str, cwd: Path = REPO, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**BARE, "PYTHONPATH": str(REPO / "stages"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


INTEL = {  # what every Intel processor with AVX2 gives
    "matrix products": "6692c2c86d4f",
    "products with an adapter": "e0b7c8a3889c",
    "narrow products of few rows": "860241c5ae64",
    "products of few columns": "d4a2a652ff2c",
    "products of one row": "59dc17e92c65",
    "batched products": "78c4c7afe60b",
    "attention": "92dfddd919e8",
    "attention of one row": "1861caa50cfb",
    "RMS norms": "ebcc8e3aa522",
    "SiLU": "e5ac4e314cd2",
    "sines and cosines": "4944cae14981",
    "square roots": "3d080ee39838",
    "exponentials": "08336157ce8a",
    "logarithms": "fb61f7f3b553",
    "softmax": "ed515288c2c2",
    "cross-entropy": "e26fe273bf0b",
    "an optimizer's step": "97dcd1c904ca",
    "normal numbers": "2192e605eb2e",
    "numpy's products": "0fce25c38f52",
    "numpy's products with a vector": "38ac8ced8e6e",
    "numpy's linear equations": "03c312a22d21",
    "numpy's exponentials": "2617443eccce",
    "numpy's logarithms": "1ee0aa79214f",
    "numpy's variances": "e864c543e2b8",
}

PRINT = (
    "import json, runtime; from lm.fingerprint import fingerprint; print(json.dumps(fingerprint()))"
)


@needs_avx2
@pytest.mark.skipif(
    "GenuineIntel" not in FLAGS, reason="other makers' processors give bits that depend on threads"
)
@pytest.mark.parametrize("threads", ["1", "2", "3"])
def test_intel_gives_the_same_bits_with_any_number_of_threads(threads: str) -> None:
    done = _python("-c", PRINT, OMP_NUM_THREADS=threads)
    assert (done.returncode, done.stderr) == (0, "")
    bits = json.loads(done.stdout)
    assert {name: bits[name] for name in INTEL} == INTEL
    assert bits.keys() - INTEL.keys() == {"the device of models"}


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
    plain = _python("-c", PRINT)
    assert len(json.loads(plain.stdout)) == len(arithmetic.OPERATIONS)
    assert _python("-c", PRINT, cwd=REPO, **other).stdout == plain.stdout


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
    look = f"import runtime, os, sys; os.environ[sys.argv[1]] = sys.argv[2]; {PRINT}"
    moved_bits, bits = (
        json.loads(_python("-c", *arguments).stdout)
        for arguments in ((look, name, value), (PRINT,))
    )
    assert moved_bits[moved] != bits[moved]


@pytest.mark.parametrize("library", ["numpy", "torch"])
@needs_avx2
def test_a_library_that_was_imported_first_is_noticed(library: str) -> None:
    done = _python("-c", f"import {library}, runtime")
    assert "import runtime before numpy and torch" in done.stderr
    assert _python("-c", f"import runtime, {library}, lm.base").returncode == 0


# --- compared with the record beside dvc.lock -------------------------------------------------


@pytest.fixture
def two_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Two operations, their bits here, and an empty working directory."""
    monkeypatch.chdir(tmp_path)
    operations = {"sums": lambda: torch.ones(3) + 1, "halves": lambda: [torch.ones(3) / 2]}
    monkeypatch.setattr(arithmetic, "OPERATIONS", operations)
    return arithmetic.fingerprint()


def _record(*operations: dict[str, str]) -> None:
    arithmetics = [
        {"processor": "another", "operations": bits, "stages": {}} for bits in operations
    ]
    arithmetic.RECORD.write_text(json.dumps({"arithmetics": arithmetics}), encoding="utf-8")


def test_a_processor_that_rounds_as_the_recorded_one_prints_nothing(
    two_operations: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    arithmetic.tell_of_other_bits()  # without a record there is nothing to compare with
    _record(two_operations)
    arithmetic.tell_of_other_bits()
    _record({"sums": two_operations["sums"]}, two_operations)
    arithmetic.tell_of_other_bits()
    assert capsys.readouterr().err == ""


def test_a_processor_that_rounds_otherwise_is_told(
    two_operations: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    _record(two_operations, two_operations | {"halves": arithmetic.digest(torch.ones(3))})
    arithmetic.tell_of_other_bits()
    told = capsys.readouterr().err
    assert told.startswith(
        f"note: the last bits differ on this processor ({arithmetic.processor()})"
    )
    assert "in halves:" in told


def test_an_operation_that_is_no_more_differs(two_operations: dict[str, str]) -> None:
    _record(two_operations | {"thirds": "0" * 12})
    assert arithmetic.differing(arithmetic.read_record()) == ["thirds"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"arithmetics": [1]}', "<<<<<<< HEAD\n{}"])
def test_a_record_that_is_none_is_an_error_with_the_way_out(
    two_operations: dict[str, str], text: str
) -> None:
    arithmetic.RECORD.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match=r"dvc\.lock\.arithmetic\.json: cannot be read .*git's"):
        arithmetic.read_record()


def test_the_check_prints_what_differs_from_the_record(tmp_path: Path) -> None:
    bits = json.loads(_python("-c", PRINT).stdout)
    count = len(bits)
    path = tmp_path / arithmetic.RECORD
    for operations, status, end in (
        (bits, 0, f": {count} of {count} operations equal\n"),
        (
            bits | {"SiLU": "0" * 12},
            1,
            f": {count - 1} of {count} operations equal\ndifferent last bits: SiLU\n",
        ),
    ):
        content = [{"processor": "this one", "operations": operations, "stages": {}}]
        path.write_text(json.dumps({"arithmetics": content}), encoding="utf-8")
        done = _python(CHECK, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (status, "")
        assert done.stdout.endswith(end)
    path.unlink()
    done = _python(CHECK, cwd=tmp_path)
    assert done.returncode == 1
    assert "dvc.lock.arithmetic.json: no such file" in done.stderr


def test_the_repository_records_what_made_its_lock(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo)
    recorded = [name for made in arithmetic.read_record() for name in made["stages"]]
    lock = yaml.safe_load((repo / "dvc.lock").read_text(encoding="utf-8"))
    assert sorted(recorded) == sorted(lock["stages"])
