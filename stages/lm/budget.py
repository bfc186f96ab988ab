"""What a training will need: parameters, memory, floating-point operations, before a weight is loaded.

The model is built without memory (on torch's meta device) from its configuration alone, so that
every count is that of the real architecture.
"""

import os
import time
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from settings.model import Precision, Train

# Bytes of a weight in NF4: half, and an 8-bit scale for each 64 with one of 32 bits for 256 of those
# (double quantisation, Dettmers et al. 2023, section 3).
_NF4, _SCALES = 0.5, 1 / 64 + 4 / (64 * 256)
_BYTES = {"float32": 4, "bfloat16": 2}
# The share of the matmul peak that a training reaches: published ones on GPUs, the default's own.
_SHARE_ON_GPU, _SHARE_ON_CPU = 0.4, 0.6


@dataclass(frozen=True)
class Shape:
    """A causal language model's sizes, and an adapter's.

    `linear` counts the weights of the layers' linear modules, `adapted` those of an adapter of rank
    1, `adapted_layers` the layers that it stands on, the last ones.
    """

    parameters: int
    linear: int
    adapted: int
    adapted_layers: int
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int


def shape_of(config: Any, lora_layers: int | None) -> Shape:
    """Count the parameters of the architecture that `config` (of transformers) describes."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings()
    linear = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    }
    layers = config.num_hidden_layers
    first = 0 if lora_layers is None else layers - lora_layers
    adapted = [
        sum(module.weight.shape)
        for name, module in linear.items()
        if first == 0 or any(part.isdigit() and int(part) >= first for part in name.split("."))
    ]
    hidden = config.hidden_size
    return Shape(
        parameters=sum(each.numel() for each in model.parameters()),
        linear=sum(module.weight.numel() for module in linear.values()),
        adapted=sum(adapted),
        adapted_layers=layers - first,
        layers=layers,
        hidden=hidden,
        intermediate=getattr(config, "intermediate_size", None) or 4 * hidden,
        vocabulary=config.vocab_size,
    )


@dataclass(frozen=True)
class Memory:
    """Bytes at the height of a training step."""

    weights: int
    adapter: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.adapter + self.activations


def weights_bytes(shape: Shape, precision: Precision, sharers: int = 1) -> int:
    """Bytes of the weights in memory; with nf4 the layers' linear ones alone are quantised.

    Of those each of several `sharers` holds its part, and whole two layers: one that computes and the
    next. 4-bit scales are not shared.
    """
    width = _BYTES[precision.dtype]
    linear, scales = (width, 0.0) if precision.quantization == "none" else (_NF4, _SCALES)
    held = 1.0 if sharers == 1 else min(1.0, 1 / sharers + 2 / shape.layers)
    rest = (shape.parameters - shape.linear) * width
    return round(shape.linear * (linear * held + scales) + rest)


def training_memory(
    shape: Shape, precision: Precision, train: Train, longest: int, answer: int, sharers: int = 1
) -> Memory:
    """Estimate the memory of a step on `train.batch_size` rows of `longest` tokens.

    `answer` of them are the answer's, whose logits alone are computed; `sharers` as above. An adapter's
    weight takes 16 bytes: itself, its gradient and AdamW's two moments, in 32 bits. Of each layer the
    backward pass keeps some 8 vectors of the hidden size and 5 of the feed-forward one a token; with
    checkpointing the layer's input alone, and the rest of one layer at a time.
    """
    width = _BYTES[precision.dtype]
    tokens = train.batch_size * longest
    layer = tokens * width * (8 * shape.hidden + 5 * shape.intermediate)
    kept = tokens * width * shape.hidden * shape.layers
    activations = layer + kept if train.gradient_checkpointing else layer * shape.adapted_layers
    logits = train.batch_size * answer * shape.vocabulary * 4 * 3  # logits, log-softmax, gradient
    return Memory(
        weights=weights_bytes(shape, precision, sharers),
        adapter=16 * train.lora_rank * shape.adapted,
        activations=activations + logits,
    )


def training_operations(shape: Shape, train: Train, tokens: int) -> float:
    """Floating-point operations of training on `tokens`, of the linear modules.

    Two a weight and token forwards; in adapted layers two backwards to the activations (the frozen
    weights have no gradient), and with checkpointing two for the second forward pass.
    """
    again = 4 if train.gradient_checkpointing else 2
    return (2 + again * shape.adapted_layers / shape.layers) * float(shape.linear) * tokens


@dataclass(frozen=True)
class Device:
    """What computes: its memory in bytes, and its matmul peak in floating-point operations a second."""

    name: str
    is_gpu: bool
    memory: int
    peak: float


def this_device(dtype: str) -> Device:
    """The GPU, or else the processor and the machine's memory."""
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        return Device(gpu.name, True, gpu.total_memory, matmul_peak(dtype, 8192))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    name = f"the processor, {torch.get_num_threads()} threads"
    return Device(name, False, memory, matmul_peak(dtype, 1024))


def matmul_peak(dtype: str, size: int, repeats: int = 3) -> float:
    """Floating-point operations a second of the best of a few square matrix products here."""
    cuda = torch.cuda.is_available()
    a = torch.ones(size, size, dtype=getattr(torch, dtype), device="cuda" if cuda else "cpu")
    best = 0.0
    for _ in range(repeats + 1):
        started = time.perf_counter()
        for _ in range(10 if cuda else 1):
            a @ a
        if cuda:
            torch.cuda.synchronize()
        seconds = (time.perf_counter() - started) / (10 if cuda else 1)
        best = max(best, 2 * size**3 / seconds)
    return best


def estimated_seconds(operations: float, device: Device) -> float:
    """How long so many operations take at the share of the matmul peak that trainings reach."""
    return operations / ((_SHARE_ON_GPU if device.is_gpu else _SHARE_ON_CPU) * device.peak)
