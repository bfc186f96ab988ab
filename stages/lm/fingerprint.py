"""Whether this processor's arithmetic gives the bits that `dvc.lock` was made with.

`command.ARITHMETIC` settles which code computes. MKL keeps to it on Intel's processors alone: on AMD's
its products of few rows or few columns take another path, and which those are depends on the number
of threads. So each stage of the language model computes every kind of operation once, on a few
numbers, and says so where one differs, instead of leaving it to a changed hash.
"""

import hashlib
import math
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def _numbers(*shape: int) -> Tensor:
    """Numbers from -1 to 1 in no order, the same everywhere: none of them is rounded."""
    count = math.prod(shape)
    return ((torch.arange(count) * 48271 % 65521 - 32760).float() / 32768).reshape(shape)


def _float64(*shape: int) -> NDArray[np.float64]:
    return _numbers(*shape).double().numpy()


def _attention(rows: int) -> Iterator[Tensor]:
    """Attention of `rows` tokens on 70, and its three gradients."""
    sides = [_numbers(2, 3, length, 64).requires_grad_() for length in (rows, 70, 70)]
    given = F.scaled_dot_product_attention(*sides)
    yield from (given, *torch.autograd.grad(given.square().sum(), sides))


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


# Each kind of operation, and what `digest` gives of it on Intel's processors that have AVX2.
OPERATIONS: dict[str, tuple[Callable[[], Any], str]] = {
    "matrix products": (lambda: _numbers(96, 576) @ _numbers(64, 576).T, "6692c2c86d4f"),
    "products with an adapter": (lambda: _numbers(96, 576) @ _numbers(16, 576).T, "e0b7c8a3889c"),
    "narrow products of few rows": (lambda: _numbers(6, 576) @ _numbers(16, 576).T, "860241c5ae64"),
    "products of few columns": (lambda: _numbers(20, 64) @ _numbers(4, 64).T, "d4a2a652ff2c"),
    "products of one row": (lambda: _numbers(1, 576) @ _numbers(192, 576).T, "59dc17e92c65"),
    "batched products": (
        lambda: torch.bmm(_numbers(3, 40, 64), _numbers(3, 64, 40)),
        "78c4c7afe60b",
    ),
    "attention": (lambda: _attention(48), "92dfddd919e8"),
    "attention of one row": (lambda: _attention(1), "1861caa50cfb"),
    "RMS norms": (lambda: F.rms_norm(_numbers(40, 576), (576,)), "ebcc8e3aa522"),
    "SiLU": (lambda: F.silu(_numbers(40, 50)), "e5ac4e314cd2"),
    "sines and cosines": (
        lambda: [f(_numbers(40, 50) * 900) for f in (torch.sin, torch.cos)],
        "4944cae14981",
    ),
    "square roots": (lambda: (_numbers(40, 50) + 1).sqrt(), "3d080ee39838"),
    "exponentials": (lambda: _numbers(40, 50).exp(), "08336157ce8a"),
    "logarithms": (lambda: (_numbers(40, 50) + 1).log(), "fb61f7f3b553"),
    "softmax": (lambda: _numbers(40, 500).log_softmax(-1), "ed515288c2c2"),
    "cross-entropy": (_loss, "e26fe273bf0b"),
    "an optimizer's step": (_update, "97dcd1c904ca"),
    "normal numbers": (
        lambda: torch.randn(99, generator=torch.Generator().manual_seed(1)),
        "2192e605eb2e",
    ),
    "numpy's products": (lambda: _float64(96, 64) @ _float64(64, 9), "0fce25c38f52"),
    "numpy's products with a vector": (lambda: _float64(96, 64) @ _float64(64), "38ac8ced8e6e"),
    "numpy's linear equations": (
        lambda: np.linalg.solve(_float64(30, 30), _float64(30)),
        "03c312a22d21",
    ),
    "numpy's exponentials": (lambda: np.exp(_float64(999)), "2617443eccce"),
    "numpy's logarithms": (lambda: np.log(_float64(999) + 1), "1ee0aa79214f"),
    "numpy's variances": (lambda: _float64(999, 9).var(axis=0), "e864c543e2b8"),
}


def digest(computed: Any) -> str:
    """The first 12 digits of the MD5 of the bytes of an array, or of several."""
    arrays = [computed] if isinstance(computed, Tensor | np.ndarray) else computed
    content = b"".join(torch.as_tensor(array).detach().numpy().tobytes() for array in arrays)
    return hashlib.md5(content, usedforsecurity=False).hexdigest()[:12]


def differing() -> list[str]:
    """The operations that give other bits here, computed by as many threads as are set."""
    return [name for name, (compute, bits) in OPERATIONS.items() if digest(compute()) != bits]


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def tell_of_other_bits() -> None:
    """Say on stderr which operations give other bits here than those of `dvc.lock`, if any."""
    if names := differing():
        print(
            f"note: the last bits differ on this processor ({processor()}) from those of dvc.lock "
            f"in {', '.join(names)}: what is computed with them gets another hash, and figures that "
            "may differ a little (README, Reproducibility)",
            file=sys.stderr,
        )
