"""The base model in memory: precision, 4-bit quantisation, adapters, seeds."""

import os
from pathlib import Path
from typing import Any

from runtime.process import RANK

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils import is_flash_attn_2_available

from lm import show_quantiser_log
from lm.fingerprint import tell_of_other_bits
from lm.processes import local_device
from settings.model import Precision

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer in the base model's folder."""
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def load_base(folder: Path, precision: Precision, device: str | None = None) -> Any:
    """The base model in the given precision, on `device` or else on this process's own device.

    `device="auto"` spreads the layers over all GPUs. With `nf4` the linear layers store 4-bit NormalFloat
    weights with quantised scales, and compute in `dtype` (QLoRA, Dettmers et al. 2023). Raises
    `StudyError` if this machine runs more processes than it has GPUs.
    """
    own = local_device()
    torch.backends.cuda.matmul.fp32_precision = matmul_precision(precision)
    dtype = getattr(torch, precision.dtype)
    quantization = None
    if precision.quantization == "nf4":
        show_quantiser_log()
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype,
        quantization_config=quantization,
        device_map=device or own,
        attn_implementation=attention(precision, own != "cpu" and is_flash_attn_2_available()),
        local_files_only=True,
        use_safetensors=True,
    )
    model.generation_config = None
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            # On a CPU with AVX512-BF16, bitsandbytes would round the scales of the 4-bit weights in the
            # first validation and stop the gradient in all later steps.
            module.support_avx512bf16_for_cpu = False
    return model


def attention(precision: Precision, flash: bool) -> str:
    """The attention implementation: FlashAttention 2 if `flash` and numbers have 16 bits, else SDPA."""
    return "flash_attention_2" if flash and precision.dtype == "bfloat16" else "sdpa"


def matmul_precision(precision: Precision) -> str:
    """The precision of a GPU's float32 matrix products: full float32 if `dtype` is float32.

    With bfloat16 few float32 products remain (an adapter over 4-bit weights). TF32 is enough for them:
    it is finer than bfloat16, and its bits are equal in every run.
    """
    return "tf32" if precision.dtype == "bfloat16" else "ieee"


def load_system(
    base: Path, adapter: Path | None, precision: Precision, device: str | None = None
) -> Any:
    """The model to evaluate: the base model, with its adapter if there is one, on `device`.

    An adapter is merged into full-precision weights (equal sums in another order, and fewer of them).
    Over 4-bit weights the adapter stays apart, because a merge would round it. `device` and errors as in
    `load_base`.
    """
    model = load_base(base, precision, device)
    if adapter is not None:
        from peft import PeftModel  # the import takes seconds, and the base model does not need it

        model = PeftModel.from_pretrained(model, adapter, use_safetensors=True)
        if precision.quantization == "none":
            model = model.merge_and_unload()
    return model.eval()


def make_repeatable(seed: int, deterministic: bool = True) -> None:
    """Seed every generator; with `deterministic` allow deterministic kernels alone.

    On a CPU, operations whose bits differ from the recorded ones are reported.
    """
    transformers.set_seed(seed)
    torch.use_deterministic_algorithms(deterministic)
    os.environ["FLASH_ATTENTION_DETERMINISTIC"] = str(int(deterministic))
    # torch would fill new memory with numbers to show reads of memory that was never written: slow.
    torch.utils.deterministic.fill_uninitialized_memory = False
    if RANK == 0 and not torch.cuda.is_available():
        tell_of_other_bits()
