"""An adapter merged into the weights of its base, as an ordinary model folder; no stage needs it."""

import gc
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, GenerationConfig

from lm.base import load_base
from lm.source import FILES
from settings.model import Precision

OWN = re.compile(r"config\.json|model.*\.safetensors(\.index\.json)?")  # what a merge changes


def load_unmerged(base: Path, adapter: Path, precision: Precision) -> Any:
    """The base as precision says, 4 bits included, with the adapter beside its weights."""
    gc.collect()  # a model holds itself in rings of references, and its memory is needed
    model = load_base(base, precision)
    return PeftModel.from_pretrained(model, adapter, use_safetensors=True).eval()


def write_merged(base: Path, adapter: Path, precision: Precision, folder: Path) -> None:
    """Write base and adapter as one model in `precision.dtype`, with the base's tokenizer.

    4-bit weights are those that the adapter was trained over: their values, and not those of the
    weights that they round, are what it is added to. (Adding in 4 bits would round the sum.)
    """
    model = load_base(base, precision)
    if precision.quantization != "none":
        model = model.dequantize(getattr(torch, precision.dtype))
    model = PeftModel.from_pretrained(model, adapter, use_safetensors=True)
    model = model.merge_and_unload(safe_merge=True)
    model.generation_config = GenerationConfig.from_model_config(model.config)
    model.save_pretrained(folder)
    for file in base.iterdir():  # tokenizer and generation settings, byte for byte
        if FILES.fullmatch(file.name) and not OWN.fullmatch(file.name):
            shutil.copyfile(file, folder / file.name)


def load_merged(folder: Path) -> Any:
    """A model folder as anyone loads it, on the GPU where there is one."""
    gc.collect()
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
