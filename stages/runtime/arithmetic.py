"""One code path of each library that computes, set before numpy and torch are loaded."""

import os
import sys
from pathlib import Path

# The same code path on every processor that has AVX2, with any number of threads.
# `lm.fingerprint` lists the operations for which these settings are not enough.
ARITHMETIC = {
    "MKL_CBWR": "AVX2,STRICT",  # torch's matrix products
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",  # the linear algebra of numpy and scipy
    "OPENBLAS_NUM_THREADS": "1",
    "NPY_ENABLE_CPU_FEATURES": "SSSE3 SSE41 POPCNT SSE42 AVX F16C FMA3 AVX2",  # numpy's own kernels
}


def _has_avx2() -> bool:
    """Whether the processor has AVX2, as far as the system tells."""
    try:
        return " avx2 " in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


if _has_avx2():
    _LATE = {"numpy", "torch"} & sys.modules.keys() and ARITHMETIC.items() - os.environ.items()
    assert not _LATE, "import runtime before numpy and torch"
    os.environ.update(ARITHMETIC)
