"""An adapter merged into its base model, as an ordinary model folder; no stage imports this."""

import gc
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, GenerationConfig

from lm.base import load_base
from lm.model_files import FILES
from settings.model import Precision

CHANGED = re.compile(
    r"config\.json|model.*\.safetensors(\.index\.json)?"
)  # files that a merge writes


def load_unmerged(base: Path, adapter: Path, precision: Precision) -> Any:
    """The base model in `precision`, 4 bits included, with the adapter beside the weights."""
    gc.collect()  # frees earlier models, which refer to themselves
    model = load_base(base, precision)
    return PeftModel.from_pretrained(model, adapter, use_safetensors=True).eval()


def write_merged(base: Path, adapter: Path, precision: Precision, folder: Path) -> None:
    """Write base model and adapter as one model in `precision.dtype`, with the base model's tokenizer.

    With nf4 the adapter was trained over dequantised 4-bit weights, and is merged into their values, not
    into the original weights. (A merge in 4 bits would round the sum.)
    """
    model = load_base(base, precision)
    if precision.quantization != "none":
        model = model.dequantize(getattr(torch, precision.dtype))
    model = PeftModel.from_pretrained(model, adapter, use_safetensors=True)
    model = model.merge_and_unload(safe_merge=True)
    model.generation_config = GenerationConfig.from_model_config(model.config)
    model.save_pretrained(folder)
    for file in base.iterdir():  # copies of the tokenizer and the generation settings
        if FILES.fullmatch(file.name) and not CHANGED.fullmatch(file.name):
            shutil.copyfile(file, folder / file.name)


def load_merged(folder: Path) -> Any:
    """The model in a folder, loaded as users load it, on the GPU if there is one."""
    gc.collect()
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
