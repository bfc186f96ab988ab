"""A model folder as one GGUF file, and what llama.cpp answers with it; no stage needs it.

Both are llama.cpp's own: its converter in a checkout, and llama-cpp-python, which is imported here alone.
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
F32 = 0  # llama.cpp's number of the type, for keys and values


def require_llama_cpp(checkout: Path) -> None:
    """Raise `StudyError` where the converter or llama-cpp-python is missing."""
    if not (checkout / "convert_hf_to_gguf.py").is_file():
        raise StudyError(
            f"{checkout}: has no convert_hf_to_gguf.py; give the folder of a checkout of llama.cpp "
            "(the source distribution of llama-cpp-python has one, vendor/llama.cpp)"
        )
    try:
        import llama_cpp  # noqa: F401
    except ImportError:
        raise StudyError(
            "llama-cpp-python is not installed; `.venv/bin/python -m pip install llama-cpp-python` "
            "builds it, with a C++ compiler and CMake"
        ) from None


def write_gguf(folder: Path, checkout: Path, dtype: str, file: Path) -> None:
    """Let llama.cpp's converter write the model in `folder` to `file`, in `dtype`."""
    converter = checkout / "convert_hf_to_gguf.py"
    command: list[str | Path] = [sys.executable, converter, folder]
    command += ["--outfile", file, "--outtype", TYPES[dtype]]
    # Its modules are not to be found among the stages.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise StudyError(f"{converter} failed with status {done.returncode}: {last}")


def score_gguf(
    file: Path, prompts: Sequence[list[int]], choices: Sequence[Sequence[list[int]]]
) -> list[list[float]]:
    """The log-likelihood in nats of each prompt's choices, as `lm.answering` defines it."""
    longest = max(
        len(prompt) + max(map(len, of_row)) for prompt, of_row in zip(prompts, choices, strict=True)
    )
    model = _loaded(file, longest)
    found = []
    for prompt, of_row in zip(prompts, choices, strict=True):
        model.reset()
        model.eval(prompt)
        first = _log_softmax(model.scores[len(prompt) - 1])
        scores = []
        for ids in of_row:
            score = first[ids[0]]
            if len(ids) > 1:
                model.n_tokens = len(prompt)  # what stands after the prompt is forgotten
                model.eval(ids[:-1])
                for at, token in enumerate(ids[1:], start=len(prompt)):
                    score += _log_softmax(model.scores[at])[token]
            scores.append(float(score))
        found.append(scores)
    return found


def read_gguf(file: Path, texts: Sequence[str]) -> list[list[int]]:
    """The token ids of texts as the file's tokenizer reads them, its own beginning included."""
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
