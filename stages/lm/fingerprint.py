"""Which arithmetic computes here, and whether it gives the bits that `dvc.lock` was made with.

`runtime.arithmetic` settles which code computes. MKL keeps to it on Intel's processors alone: on AMD's,
products of few rows or few columns take another path, which depends on the number of threads. So each
kind of operation is computed once on a few numbers: the hashes are the fingerprint of the arithmetic.
`make repro` records the fingerprint that made `dvc.lock` in a file beside it.
"""

import hashlib
import json
import math
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict

from runtime.errors import StudyError

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

RECORD = Path("dvc.lock.arithmetic.json")
NUMPY = "numpy's "  # begins the names of the operations that need no torch


class Arithmetic(TypedDict):
    """A fingerprint, the processor that first gave it, and the stages whose outputs it made.

    `operations` holds the hash of each operation's bits; of stages without a model only numpy's count.
    `stages` holds the hash of each stage's outputs.
    """

    processor: str
    operations: dict[str, str]
    stages: dict[str, str]


def _numbers(*shape: int) -> Tensor:
    """Numbers from -1 to 1 in no order, the same everywhere: none of them is rounded."""
    count = math.prod(shape)
    return ((torch.arange(count) * 48271 % 65521 - 32760).float() / 32768).reshape(shape)


def _float64(*shape: int) -> NDArray[np.float64]:
    return _numbers(*shape).double().numpy()


def _attention(rows: int) -> Iterator[Tensor]:
    """Attention of `rows` tokens on 70, and its three gradients."""
    sides = [_numbers(2, 3, length, 64).requires_grad_() for length in (rows, 70, 70)]
    output = F.scaled_dot_product_attention(*sides)
    yield from (output, *torch.autograd.grad(output.square().sum(), sides))


def _update() -> Iterator[Tensor]:
    """What an optimizer's step is made of, but for the square roots."""
    weight = _numbers(16, 64)
    yield from (weight.lerp(weight.square(), 0.1), torch.linalg.vector_norm(weight))
    yield torch.addcdiv(weight, weight, weight + 2, value=-0.01)


def _loss() -> Iterator[Tensor]:
    """Cross-entropy over 500 words, and its gradient."""
    logits = _numbers(40, 500).requires_grad_()
    loss = F.cross_entropy(logits, torch.arange(40) * 7)
    yield from (loss, *torch.autograd.grad(loss, logits))


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


OPERATIONS: dict[str, Callable[[], Any]] = {
    "the device of models": lambda: torch.tensor(list(_device().encode())),
    "matrix products": lambda: _numbers(96, 576) @ _numbers(64, 576).T,
    "products with an adapter": lambda: _numbers(96, 576) @ _numbers(16, 576).T,
    "narrow products of few rows": lambda: _numbers(6, 576) @ _numbers(16, 576).T,
    "products of few columns": lambda: _numbers(20, 64) @ _numbers(4, 64).T,
    "products of one row": lambda: _numbers(1, 576) @ _numbers(192, 576).T,
    "batched products": lambda: torch.bmm(_numbers(3, 40, 64), _numbers(3, 64, 40)),
    "attention": lambda: _attention(48),
    "attention of one row": lambda: _attention(1),
    "RMS norms": lambda: F.rms_norm(_numbers(40, 576), (576,)),
    "SiLU": lambda: F.silu(_numbers(40, 50)),
    "sines and cosines": lambda: [f(_numbers(40, 50) * 900) for f in (torch.sin, torch.cos)],
    "square roots": lambda: (_numbers(40, 50) + 1).sqrt(),
    "exponentials": lambda: _numbers(40, 50).exp(),
    "logarithms": lambda: (_numbers(40, 50) + 1).log(),
    "softmax": lambda: _numbers(40, 500).log_softmax(-1),
    "cross-entropy": _loss,
    "an optimizer's step": _update,
    "normal numbers": lambda: torch.randn(99, generator=torch.Generator().manual_seed(1)),
    "numpy's products": lambda: _float64(96, 64) @ _float64(64, 9),
    "numpy's products with a vector": lambda: _float64(96, 64) @ _float64(64),
    "numpy's linear equations": lambda: np.linalg.solve(_float64(30, 30), _float64(30)),
    "numpy's exponentials": lambda: np.exp(_float64(999)),
    "numpy's logarithms": lambda: np.log(_float64(999) + 1),
    "numpy's variances": lambda: _float64(999, 9).var(axis=0),
}


def digest(computed: Any) -> str:
    """The first 12 digits of the MD5 of the bytes of an array, or of several."""
    arrays = [computed] if isinstance(computed, Tensor | np.ndarray) else computed
    content = b"".join(torch.as_tensor(array).detach().numpy().tobytes() for array in arrays)
    return hashlib.md5(content, usedforsecurity=False).hexdigest()[:12]


def fingerprint() -> dict[str, str]:
    """The hash of each operation's bits here, computed by as many threads as are set."""
    return {name: digest(compute()) for name, compute in OPERATIONS.items()}


def read_record() -> list[Arithmetic]:
    """The arithmetics that made `dvc.lock`; empty where there is no record.

    Raises `StudyError` for a file that is no such record.
    """
    try:
        content = json.loads(RECORD.read_text(encoding="utf-8"))
        return [
            Arithmetic(
                processor=made["processor"], operations=made["operations"], stages=made["stages"]
            )
            for made in content["arithmetics"]
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StudyError(
            f"{RECORD}: cannot be read ({error}): take git's version of it, or remove it: "
            "`make repro` writes it anew"
        ) from None


def differing(record: Sequence[Arithmetic]) -> list[str]:
    """The operations that give other bits here than in an arithmetic of the record."""
    here = fingerprint()
    return [
        name
        for name in dict.fromkeys(name for made in record for name in made["operations"])
        if any(made["operations"].get(name, here.get(name)) != here.get(name) for made in record)
    ]


def processor() -> str:
    """The processor's name, as far as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def tell_of_other_bits() -> None:
    """Print on stderr which operations give other bits here than those of `dvc.lock`, if any."""
    if names := differing(read_record()):
        print(
            f"note: the last bits differ on this processor ({processor()}) from those of dvc.lock "
            f"in {', '.join(names)}: what is computed with them gets another hash, and metrics that "
            "may differ a little (README, Reproducibility)",
            file=sys.stderr,
        )
