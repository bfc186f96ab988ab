"""The base model in memory: precision, 4-bit quantisation, adapters, and the draws made repeatable."""

import os
from pathlib import Path
from typing import Any

from runtime.process import RANK

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils import is_flash_attn_2_available

from lm import hear_quantiser
from lm.fingerprint import tell_of_other_bits
from lm.processes import local_device
from settings.model import Precision

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def load_tokenizer(folder: Path) -> Any:
    """The base model's tokenizer."""
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def load_base(folder: Path, precision: Precision, device: str | None = None) -> Any:
    """The base model as precision says, on this process's GPU where there is one.

    Or on `device`; "auto" spreads the layers over all GPUs. With `nf4` the linear layers hold 4-bit
    NormalFloat weights, scales quantised again, and compute in `dtype` (QLoRA, Dettmers et al. 2023).
    """
    own = local_device()
    torch.backends.cuda.matmul.fp32_precision = matmul_precision(precision)
    dtype = getattr(torch, precision.dtype)
    quantization = None
    if precision.quantization == "nf4":
        hear_quantiser()
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
            # Where a CPU has AVX512-BF16, bitsandbytes would at the first validation round the scales
            # of the 4-bit weights, for good, and let no gradient through them in later steps.
            module.support_avx512bf16_for_cpu = False
    return model


def attention(precision: Precision, flash: bool) -> str:
    """FlashAttention 2 where it is installed and the numbers are 16 bits wide, else torch's own SDPA."""
    return "flash_attention_2" if flash and precision.dtype == "bfloat16" else "sdpa"


def matmul_precision(precision: Precision) -> str:
    """What a GPU's float32 matmuls compute in: who asks for float32 gets it.

    Beside bfloat16 the few that are left (an adapter over 4-bit weights) need no more than TF32,
    which is finer than bfloat16 and gives the same bits every time too.
    """
    return "tf32" if precision.dtype == "bfloat16" else "ieee"


def load_system(
    base: Path, adapter: Path | None, precision: Precision, device: str | None = None
) -> Any:
    """The model to be evaluated: the base, with its adapter where it has one, on `device` as above.

    An adapter over full-precision weights is added into them in memory (the same sums in another
    order, and fewer of them); over 4-bit weights it stays apart, since adding would round it.
    """
    model = load_base(base, precision, device)
    if adapter is not None:
        from peft import PeftModel  # its import takes seconds, which the base alone can spare

        model = PeftModel.from_pretrained(model, adapter, use_safetensors=True)
        if precision.quantization == "none":
            model = model.merge_and_unload()
    return model.eval()


def make_repeatable(seed: int, deterministic: bool = True) -> None:
    """Seed every generator, allow `deterministic` kernels alone, tell where a processor differs."""
    transformers.set_seed(seed)
    torch.use_deterministic_algorithms(deterministic)
    os.environ["FLASH_ATTENTION_DETERMINISTIC"] = str(int(deterministic))
    # Filling fresh memory with a number finds bugs, at a cost; nothing here reads what it never wrote.
    torch.utils.deterministic.fill_uninitialized_memory = False
    if RANK == 0 and not torch.cuda.is_available():
        tell_of_other_bits()
