"""The base in memory: what a GPU computes with, decided by functions that need none; what is said."""

import logging
import os
from pathlib import Path
from typing import Literal

import pytest

import lm
from lm.base import attention, load_base, make_repeatable, matmul_precision
from settings.model import Precision


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


def test_the_quantiser_is_heard_once_a_weight_has_4_bits(
    toy_shards: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("bitsandbytes")
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [lm._DELAYED])
    logging.getLogger("bitsandbytes.backends").warning("a kernel is missing")
    load_base(toy_shards, Precision(dtype="bfloat16", quantization="none"))
    assert "a kernel is missing" not in caplog.text
    load_base(toy_shards, Precision(dtype="bfloat16", quantization="nf4"))
    assert caplog.text.count("a kernel is missing") == 1
    logger.warning("another one is missing")
    assert "another one is missing" in caplog.text


@pytest.mark.parametrize("deterministic", [True, False])
def test_which_kernels_are_allowed(deterministic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    was = torch.are_deterministic_algorithms_enabled()
    monkeypatch.delenv("FLASH_ATTENTION_DETERMINISTIC", raising=False)
    try:
        make_repeatable(1, deterministic)
        assert torch.are_deterministic_algorithms_enabled() is deterministic
        assert os.environ["FLASH_ATTENTION_DETERMINISTIC"] == ("1" if deterministic else "0")
    finally:
        torch.use_deterministic_algorithms(was)
