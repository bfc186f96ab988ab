"""The files of a model that transformers reads, and their download from the Hub into a folder."""

import json
import os
import re
import shutil
from pathlib import Path

from runtime.errors import StudyError
from runtime.files import write_json

import httpx2
from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from fetch.downloads import download, require_space
from fetch.hub import REFUSALS, HubFile, cache_folder, place_of, refused
from settings.base_model import HubBase

TOKENIZER = re.compile(r"tokenizer\.(json|model)|vocab\.(json|txt)|spiece\.model")
WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
FILES = re.compile(
    rf"{TOKENIZER.pattern}|{WEIGHTS.pattern}|model\.safetensors\.index\.json|merges\.txt|"
    r"(config|generation_config|tokenizer_config|special_tokens_map|added_tokens)\.json|"
    r"chat_template\.(jinja|json)"
)
INDEX = "model.safetensors.index.json"  # the shard of every weight
ORIGIN = "origin.json"  # in the folder of a model from the Hub: its identity


def needed_files(place: str, files: list[HubFile]) -> list[HubFile]:
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


def begin_fetch(identity: dict[str, str], needed: list[HubFile], folder: Path) -> list[HubFile]:
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


def fetch_file(source: HubBase, commit: str, file: HubFile, folder: Path) -> None:
    cache = cache_folder("model", source.id) / "snapshots" / commit
    if not _from_cache(cache / file.path, file, folder):
        _download(source, commit, file, folder)


def require_shards(place: str, folder: Path, needed: list[HubFile]) -> None:
    """Raise `StudyError` if the index of the weights names a file that is not among `needed`."""
    if not (folder / INDEX).is_file():  # weights in one file
        return
    content = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    missing = set(content["weight_map"].values()) - {file.path for file in needed}
    if missing:
        raise StudyError(
            f"{place}: {INDEX} names {', '.join(sorted(missing))}, which is missing: the repository "
            "(offline: the cache) is incomplete: choose another revision, or fetch the model online"
        )


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
