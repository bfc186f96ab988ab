"""The original pretrained model put into an ordinary Hugging Face folder, wherever it comes from."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import StudyError
from runtime.files import write_json

import httpx2
import torch
from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from fetch.cache import hold
from fetch.downloads import download, require_space
from fetch.hub import REFUSALS, HubFile, cache_folder, list_files, place_of, refused
from fetch.packages import fetch_package, read_member, sha256_of
from settings.model import HubBase, PackageBase, PathBase

TOKENIZER = re.compile(r"tokenizer\.(json|model)|vocab\.(json|txt)|spiece\.model")
WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
FILES = re.compile(
    rf"{TOKENIZER.pattern}|{WEIGHTS.pattern}|model\.safetensors\.index\.json|merges\.txt|"
    r"(config|generation_config|tokenizer_config|special_tokens_map|added_tokens)\.json|"
    r"chat_template\.(jinja|json)"
)
INDEX = "model.safetensors.index.json"  # which shard holds which weight
FOUND = Path("data/preflight/base_model.json")  # what `look_up` found, for `place_base`
PARTIAL = Path("models/.base.partial")  # outside of what DVC removes before a stage runs
ORIGIN = "origin.json"  # in the folder of a base from the Hub: id, revision as asked for, commit


@dataclass(frozen=True)
class Found:
    """A base model before its weights are there: what it is, how it is built, and what is to fetch.

    `identity` has the id, the revision as asked for and its commit where it is on the Hub.
    """

    identity: dict[str, str]
    config: Any
    name: str
    missing_bytes: int


def look_up(source: PackageBase | PathBase | HubBase, folder: Path) -> Found:
    """Find the base model without its weights; `folder` is where `place_base` will put them.

    Raises `StudyError` for what would stop that: a missing token or revision, no network, a full disk.
    """
    with hold(folder.parent):
        return _look_up(source, folder)


def _look_up(source: PackageBase | PathBase | HubBase, folder: Path) -> Found:
    if isinstance(source, HubBase):
        folder.mkdir(exist_ok=True)
        commit, files = list_files("model", source.id, source.revision)
        place = place_of("model", source.id, source.revision)
        if commit != source.revision:
            print(f"{place}: is the commit {commit}; to pin it, set  revision: {commit}")
        identity = {"id": source.id, "revision": source.revision, "commit": commit}
        missing = _begin(identity, _needed(place, files), folder)
        for file in missing:
            if file.path == "config.json":
                _fetch(source, commit, file, folder)
        return Found(identity, _config(folder), place, sum(file.size for file in missing))
    if isinstance(source, PackageBase):
        package = source.package
        name = f"package {package.name}=={package.version}"
        identity = {"package": package.name, "version": package.version, "sha256": package.sha256}
        with _gguf(source, folder) as scratch:
            config = AutoConfig.from_pretrained(scratch, gguf_file="model.gguf")
        return Found(identity, config, name, 0)
    _path_files(source)
    return Found({"path": source.path}, _config(Path(source.path)), source.path, 0)


def place_base(
    source: PackageBase | PathBase | HubBase, identity: dict[str, str], folder: Path
) -> None:
    """Fill `folder` with config, tokenizer and safetensors weights of what `look_up` found.

    It is made anew, but for a download from the Hub that was cut there: that one goes on. Whoever calls
    this holds the folder above.
    """
    if not isinstance(source, HubBase):
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(source, PackageBase):
        _from_gguf(source, folder)
    elif isinstance(source, PathBase):
        _from_path(source, folder)
    else:
        _from_hub(source, identity, folder)


def _config(folder: Path) -> Any:
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:  # ValueError: an architecture that needs its own code
        raise StudyError(f"base_model: its config.json is none of transformers': {error}") from None


@contextmanager
def _gguf(source: PackageBase, folder: Path) -> Iterator[str]:
    """A folder with the package's GGUF file as model.gguf, while it is needed."""
    archive = fetch_package(source.package)
    scratch = folder.with_name(".gguf.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir()
        (scratch / "model.gguf").write_bytes(read_member(archive, [source.gguf]))
        yield str(scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _from_gguf(source: PackageBase, folder: Path) -> None:
    with _gguf(source, folder) as scratch:
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
    for file in _path_files(source):
        shutil.copyfile(file, folder / file.name)


def _path_files(source: PathBase) -> list[Path]:
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
    return files


def _from_hub(source: HubBase, identity: dict[str, str], folder: Path) -> None:
    commit = identity["commit"]
    place = place_of("model", source.id, commit)
    needed = _needed(place, list_files("model", source.id, commit)[1])
    for file in _begin(identity, needed, folder):
        _fetch(source, commit, file, folder)
        if file.path == INDEX:
            _require_shards(place, folder, needed)


def _begin(identity: dict[str, str], needed: list[HubFile], folder: Path) -> list[HubFile]:
    """Which files are still to be had; the disk must hold those that no cache holds."""
    _clear(folder, identity, needed)
    cache = cache_folder("model", identity["id"]) / "snapshots" / identity["commit"]
    missing = [file for file in needed if not (folder / file.path).is_file()]
    elsewhere = [file for file in missing if not (cache / file.path).is_file()]
    there = sum(part.stat().st_size for part in folder.glob(".*.part"))
    place = place_of("model", identity["id"], identity["commit"])
    require_space(folder, sum(file.size for file in elsewhere) - there, place)
    return missing


def _fetch(source: HubBase, commit: str, file: HubFile, folder: Path) -> None:
    cache = cache_folder("model", source.id) / "snapshots" / commit
    if not _from_cache(cache / file.path, file, folder):
        _download(source, commit, file, folder)


def _needed(place: str, files: list[HubFile]) -> list[HubFile]:
    """The files that are loaded, small ones first; no remote code and no pickles among them."""
    needed = [file for file in files if FILES.fullmatch(file.path)]
    if not any(WEIGHTS.fullmatch(file.path) for file in needed):
        pickles = [file.path for file in files if file.path.endswith((".bin", ".pt", ".pth"))]
        found = f", only pickled ones, which are not loaded ({', '.join(pickles[:3])})"
        raise StudyError(
            f"{place}: has no model*.safetensors weights{found if pickles else ''}: choose a revision or "
            "a repository that has them, or convert them and use kind: path"
        )
    if not any(file.path == "config.json" for file in needed):
        raise StudyError(f"{place}: has no config.json: is it a model for transformers?")
    if not any(TOKENIZER.fullmatch(file.path) for file in needed):
        raise StudyError(f"{place}: has no tokenizer: choose a repository that has one")
    return sorted(needed, key=lambda file: (bool(WEIGHTS.fullmatch(file.path)), file.path))


def _clear(folder: Path, origin: dict[str, str], needed: list[HubFile]) -> None:
    """Keep of an earlier download in `folder` what is of this commit, and nothing else."""
    record = folder / ORIGIN
    text = record.read_text(encoding="utf-8") if record.is_file() else "{}"
    if json.loads(text) != origin:
        shutil.rmtree(folder)
        folder.mkdir()
        write_json(record, origin)
    kept = {ORIGIN, *(name for file in needed for name in (file.path, f".{file.path}.part"))}
    for file in folder.iterdir():
        if file.name not in kept:
            file.unlink()


def _require_shards(place: str, folder: Path, needed: list[HubFile]) -> None:
    content = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    missing = set(content["weight_map"].values()) - {file.path for file in needed}
    if missing:
        raise StudyError(
            f"{place}: {INDEX} names {', '.join(sorted(missing))}, which is not there: the repository "
            "(or, offline, the cache) is incomplete: choose another revision, or fetch it online"
        )


def _from_cache(cached: Path, file: HubFile, folder: Path) -> bool:
    """Take the file from the library's cache, as a hard link where one disk holds both."""
    if not file.is_whole(cached):
        return False
    try:
        os.link(cached.resolve(), folder / file.path)
    except OSError:
        require_space(folder, file.size, str(cached))
        part = folder / f".{file.path}.part"
        shutil.copyfile(cached, part)
        part.replace(folder / file.path)
    return True


def _download(source: HubBase, commit: str, file: HubFile, folder: Path) -> None:
    """Fetch one file; what is put in place is whole. A damaged one is removed."""
    part = folder / f".{file.path}.part"
    url = hf_hub_url(source.id, file.path, revision=commit)
    try:
        if constants.HF_HUB_OFFLINE:
            raise OfflineModeIsEnabled(url)
        try:
            download(url, part, file.size, build_hf_headers())
        except httpx2.HTTPStatusError as error:
            hf_raise_for_status(error.response)
            raise
    except REFUSALS as error:
        raise refused(error, "model", source.id, source.revision) from None
    if not file.is_whole(part):
        part.unlink()
        raise StudyError(
            f"{place_of('model', source.id, source.revision)}: {file.path} was damaged on its way (its "
            "size or hash is not what the Hub says) and is removed: run the stage again to fetch it anew"
        )
    part.replace(folder / file.path)
