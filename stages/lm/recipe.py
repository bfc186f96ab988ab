"""What decides the adapter that a training ends with, and the key of its checkpoints."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from runtime.closure import affecting_files
from runtime.hashing import sha256_of
from runtime.process import PROCESSES

import torch

from prompts.encode import Example
from settings.model import Precision, Train

_STAGES = Path(__file__).resolve().parents[1]
_LIBRARIES = ("accelerate", "bitsandbytes", "peft", "torch", "transformers", "trl")


@dataclass(frozen=True)
class Recipe:
    """Everything but the base model, the code and the computer that decides what a training ends with.

    `sharded`: several processes share out the base model's weights.
    """

    train: Sequence[Example]
    validation: Sequence[Example]
    settings: Train
    precision: Precision
    seed: int
    sharded: bool = False


def training_key(base: Path, recipe: Recipe) -> str:
    """A hash of everything that decides the adapter and the losses of a training on the model `base`."""
    weights = [*base.glob("*.safetensors"), base / "config.json"]
    content = {
        "base": [sha256_of(path) for path in sorted(weights)],
        "recipe": {field.name: getattr(recipe, field.name) for field in fields(recipe)},
        "processes": PROCESSES,  # each adds its batches to an update
        "code": [sha256_of(path) for path in affecting_files(_STAGES / "train.py")],
        "libraries": [version(name) for name in _LIBRARIES],
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }
    return hashlib.sha256(json.dumps(content, default=_plain).encode()).hexdigest()[:16]


def _plain(part: Any) -> Any:
    """A part of a recipe as JSON can write it."""
    if isinstance(part, Example):
        return [part.prompt, part.answer]
    if isinstance(part, Train):
        return part.model_dump(exclude={"checkpoint_every"})
    if isinstance(part, Precision):
        return part.model_dump()
    raise TypeError(f"a recipe cannot hold {type(part).__name__}")
