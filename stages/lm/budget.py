"""Estimates of a training, before weights are loaded: parameters, memory, floating-point operations.

The model is built from its configuration on torch's meta device, which needs no memory: all counts are
counts of the real architecture.
"""

import os
import time
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from settings.model import Precision, Train

# Bytes of an NF4 weight: half a byte, an 8-bit scale for 64 weights, and a 32-bit scale for 256 scales
# (double quantisation, Dettmers et al. 2023, section 3).
_NF4, _SCALES = 0.5, 1 / 64 + 4 / (64 * 256)
_BYTES = {"float32": 4, "bfloat16": 2}
# The share of the matmul peak that a training reaches: published values on GPUs, measured on a CPU.
_SHARE_ON_GPU, _SHARE_ON_CPU = 0.4, 0.6


@dataclass(frozen=True)
class Shape:
    """The sizes of a causal language model and its adapter.

    `linear`: weights in the layers' linear modules. `adapted`: weights of an adapter of rank 1.
    `adapted_layers`: layers with an adapter, the last layers of the model.
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
    """The sizes of the architecture of `config`, a config of transformers."""
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
        parameters=sum(weights.numel() for weights in model.parameters()),
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
    """Bytes at the peak of a training step."""

    weights: int
    adapter: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.adapter + self.activations


def weights_bytes(shape: Shape, precision: Precision, sharers: int = 1) -> int:
    """Bytes of the weights in one process; nf4 quantises the layers' linear modules alone.

    With several `sharers` a process holds its part of the linear weights and two whole layers: the layer
    that computes and the next layer. 4-bit scales are not shared.
    """
    width = _BYTES[precision.dtype]
    linear, scales = (width, 0.0) if precision.quantization == "none" else (_NF4, _SCALES)
    part = 1.0 if sharers == 1 else min(1.0, 1 / sharers + 2 / shape.layers)
    rest = (shape.parameters - shape.linear) * width
    return round(shape.linear * (linear * part + scales) + rest)


def training_memory(
    shape: Shape, precision: Precision, train: Train, longest: int, answer: int, sharers: int = 1
) -> Memory:
    """Estimate the memory of a step on `train.batch_size` rows of `longest` tokens, in bytes.

    `answer` tokens of a row are answer tokens; logits are computed for answer tokens alone. `sharers` as
    in `weights_bytes`. A weight of the adapter takes 16 bytes: the weight, its gradient and AdamW's two
    moments, in 32 bits. The backward pass needs about 8 vectors of the hidden size and 5 of the
    feed-forward size for every token and layer. With checkpointing it needs the input of every layer, and
    the other vectors of one layer.
    """
    width = _BYTES[precision.dtype]
    tokens = train.batch_size * longest
    layer = tokens * width * (8 * shape.hidden + 5 * shape.intermediate)
    inputs = tokens * width * shape.hidden * shape.layers
    activations = layer + inputs if train.gradient_checkpointing else layer * shape.adapted_layers
    logits = train.batch_size * answer * shape.vocabulary * 4 * 3  # logits, log-softmax, gradient
    return Memory(
        weights=weights_bytes(shape, precision, sharers),
        adapter=16 * train.lora_rank * shape.adapted,
        activations=activations + logits,
    )


def training_operations(shape: Shape, train: Train, tokens: int) -> float:
    """Floating-point operations of the linear modules in a training on `tokens` tokens.

    For every weight and token: two in the forward pass. In adapted layers two more in the backward pass
    (frozen weights need no gradient), and with checkpointing two more in the second forward pass.
    """
    again = 4 if train.gradient_checkpointing else 2
    return (2 + again * shape.adapted_layers / shape.layers) * float(shape.linear) * tokens


@dataclass(frozen=True)
class Device:
    """A GPU or CPU: memory in bytes, matmul peak in floating-point operations a second."""

    name: str
    is_gpu: bool
    memory: int
    peak: float


def this_device(dtype: str) -> Device:
    """The first GPU, or, without a GPU, the processor and the machine's memory."""
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        return Device(gpu.name, True, gpu.total_memory, matmul_peak(dtype, 8192))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    name = f"the processor, {torch.get_num_threads()} threads"
    return Device(name, False, memory, matmul_peak(dtype, 1024))


def matmul_peak(dtype: str, size: int, repeats: int = 3) -> float:
    """Floating-point operations a second, in the fastest of a few square matrix products.

    The products have `size` rows and columns.
    """
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
    """Seconds for `operations` at the share of the matmul peak that trainings reach."""
    return operations / ((_SHARE_ON_GPU if device.is_gpu else _SHARE_ON_CPU) * device.peak)
