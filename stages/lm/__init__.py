"""The language model: base, batches, training, answering.

Importing this package fixes, before torch is imported, what makes the CPU's arithmetic give the
same bits from run to run: one code path of the maths library and of torch's kernels.
"""

import logging
import os
import sys
from logging.handlers import MemoryHandler

assert "torch" not in sys.modules or os.environ.get("MKL_CBWR"), "import lm before torch"

os.environ["MKL_CBWR"] = "AVX2,STRICT"
os.environ["ATEN_CPU_CAPABILITY"] = "avx2"
os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # the same promise on a GPU
os.environ.setdefault("FLASH_ATTENTION_DETERMINISTIC", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

# PEFT imports bitsandbytes whether or not a weight has 4 bits: what that says waits until one has.
_QUANTISER = logging.getLogger("bitsandbytes")
_HELD = MemoryHandler(capacity=1000, flushLevel=logging.CRITICAL + 1, flushOnClose=False)
_QUANTISER.addHandler(_HELD)
_QUANTISER.propagate = False


def hear_quantiser() -> None:
    """Let bitsandbytes say what it has to say, and what it has said since its import."""
    _QUANTISER.removeHandler(_HELD)
    _QUANTISER.propagate = True
    for record in _HELD.buffer:
        _QUANTISER.handle(record)
    _HELD.buffer.clear()
