"""A model folder converted to a GGUF file, and the file's scores in llama.cpp; no stage imports this.

The converter is llama.cpp's own, in a checkout. llama-cpp-python is imported in this module alone.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import numpy as np
from numpy.typing import NDArray

TYPES = {"float32": "f32", "bfloat16": "bf16"}
F32 = 0  # llama.cpp's number for the type float32, of keys and values


def require_llama_cpp(checkout: Path) -> None:
    """Raise `StudyError` if the converter or llama-cpp-python is missing."""
    if not (checkout / "convert_hf_to_gguf.py").is_file():
        raise StudyError(
            f"{checkout}: does not contain convert_hf_to_gguf.py; name the folder of a checkout of "
            "llama.cpp (the source distribution of llama-cpp-python contains one, vendor/llama.cpp)"
        )
    try:
        import llama_cpp  # noqa: F401
    except ImportError:
        raise StudyError(
            "llama-cpp-python is not installed; `.venv/bin/python -m pip install llama-cpp-python` "
            "builds it, with a C++ compiler and CMake"
        ) from None


def write_gguf(folder: Path, checkout: Path, dtype: str, file: Path) -> None:
    """Convert the model in `folder` to `file`, in `dtype`. Raises `StudyError` if the converter fails."""
    converter = checkout / "convert_hf_to_gguf.py"
    command: list[str | Path] = [sys.executable, converter, folder]
    command += ["--outfile", file, "--outtype", TYPES[dtype]]
    # The converter must not import modules of the stages.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if process.returncode:
        reason = (process.stderr.strip().splitlines() or ["without a message"])[-1]
        raise StudyError(f"{converter} failed with status {process.returncode}: {reason}")


def score_gguf(
    file: Path, prompts: Sequence[list[int]], choices: Sequence[Sequence[list[int]]]
) -> list[list[float]]:
    """The log-likelihoods of each prompt's choices in nats, as `lm.answering` defines them.

    Shape: (number of prompts, number of choices).
    """
    longest = max(
        len(prompt) + max(map(len, row_choices))
        for prompt, row_choices in zip(prompts, choices, strict=True)
    )
    model = _loaded(file, longest)
    scores_by_row = []
    for prompt, row_choices in zip(prompts, choices, strict=True):
        model.reset()
        model.eval(prompt)
        first = _log_softmax(model.scores[len(prompt) - 1])
        scores = []
        for ids in row_choices:
            score = first[ids[0]]
            if len(ids) > 1:
                model.n_tokens = len(prompt)  # drops the tokens after the prompt
                model.eval(ids[:-1])
                for position, token in enumerate(ids[1:], start=len(prompt)):
                    score += _log_softmax(model.scores[position])[token]
            scores.append(float(score))
        scores_by_row.append(scores)
    return scores_by_row


def read_gguf(file: Path, texts: Sequence[str]) -> list[list[int]]:
    """The token ids of texts by the file's tokenizer, with a beginning-of-sequence token if it adds one."""
    model = _loaded(file, 8)
    return [list(model.tokenize(text.encode("utf-8"))) for text in texts]


def _loaded(file: Path, length: int) -> Any:
    import llama_cpp

    return llama_cpp.Llama(
        str(file),
        n_ctx=length,
        n_batch=length,
        n_gpu_layers=-1,
        logits_all=True,
        type_k=F32,
        type_v=F32,
        verbose=False,
    )


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - float(logits.max())
    return shifted - np.log(np.exp(shifted).sum())
