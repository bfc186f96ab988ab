"""The language model: base, batches, training, answering."""

import logging
import os
from logging.handlers import MemoryHandler

import runtime  # noqa: F401  # before torch

# As `runtime.arithmetic` on a CPU: the same bits from run to run on one GPU.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
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
