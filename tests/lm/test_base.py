"""The base in memory: what a GPU computes with, decided by functions that need none."""

import lm  # isort: skip  # before torch
from typing import Literal

import pytest

from lm.base import attention, matmul_precision
from settings import Precision

assert lm


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_what_computes_attention_and_how_exact_float32_is(
    quantization: Literal["none", "nf4"],
) -> None:
    half = Precision(dtype="bfloat16", quantization=quantization)
    full = Precision(dtype="float32", quantization=quantization)
    assert attention(half, flash=True) == "flash_attention_2"
    assert attention(half, flash=False) == "sdpa"
    assert attention(full, flash=True) == "sdpa"  # FlashAttention has no float32
    assert matmul_precision(half) == "tf32"
    assert matmul_precision(full) == "ieee"
