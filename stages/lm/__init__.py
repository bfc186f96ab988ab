"""The language model: base model, batches, training, answers."""

import logging
import os
from logging.handlers import MemoryHandler

import runtime  # noqa: F401  # before torch

# Equal bits in every run on one GPU, as `runtime.arithmetic` ensures on a CPU.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

# PEFT imports bitsandbytes in every run: its log records wait here until a model has 4-bit weights.
_QUANTISER = logging.getLogger("bitsandbytes")
_DELAYED = MemoryHandler(capacity=1000, flushLevel=logging.CRITICAL + 1, flushOnClose=False)
_QUANTISER.addHandler(_DELAYED)
_QUANTISER.propagate = False


def show_quantiser_log() -> None:
    """Show the log records of bitsandbytes, those since its import included."""
    _QUANTISER.removeHandler(_DELAYED)
    _QUANTISER.propagate = True
    for record in _DELAYED.buffer:
        _QUANTISER.handle(record)
    _DELAYED.buffer.clear()
