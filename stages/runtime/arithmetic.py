"""One code path for the arithmetic of each library, set before numpy and torch are imported."""

import os
import sys
from pathlib import Path

# The same code path on every processor with AVX2, for any number of threads. `lm.fingerprint` reports
# operations whose bits differ in spite of these settings.
ARITHMETIC = {
    "MKL_CBWR": "AVX2,STRICT",  # torch's matrix products
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",  # the linear algebra of numpy and scipy
    "OPENBLAS_NUM_THREADS": "1",
    "NPY_ENABLE_CPU_FEATURES": "SSSE3 SSE41 POPCNT SSE42 AVX F16C FMA3 AVX2",  # numpy's own kernels
}


def _has_avx2() -> bool:
    """Whether the processor has AVX2; False if the system does not report it."""
    try:
        return " avx2 " in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


if _has_avx2():
    _TOO_LATE = {"numpy", "torch"} & sys.modules.keys() and ARITHMETIC.items() - os.environ.items()
    assert not _TOO_LATE, "import runtime before numpy and torch"
    os.environ.update(ARITHMETIC)
